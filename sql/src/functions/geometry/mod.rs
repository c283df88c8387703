//! Functions and operators of the geometric types.

pub(super) mod float;
mod plane;

use super::Registry;
use super::arguments::{Argument, IntoDatum, scalar};
use crate::error::{Error, Result, SqlState};
use crate::types::Datum;
use crate::types::geometry::{Circle, Geometry, Line, Path, Point, Polygon, Rectangle, Segment};
use float::{add, divide, hypotenuse, multiply, subtract};
pub use plane::line_through;
use plane::{beyond, distance, eq, ge, gt, le, lt, ne, same_point, slope};

macro_rules! geometric {
    ($($type:ty)*) => {$(
        impl<'a> Argument<'a> for $type {
            fn take(datum: &'a Datum) -> Result<$type> {
                let bytes = datum.as_bytes().ok_or_else(|| Error::internal("a geometric value without bytes"))?;
                let damaged = || Error::new(SqlState::DATA_CORRUPTED, "damaged geometric value");
                <$type>::from_bytes(bytes).ok_or_else(damaged)
            }
        }
        impl IntoDatum for $type {
            fn into_datum(self) -> Result<Datum> {
                Ok(self.to_datum())
            }
        }
    )*};
}

geometric! { Point Segment Line Rectangle Path Polygon Circle }

/// The point found, if it was found: its distance is NaN else.
fn found((point, distance): (Point, f64)) -> Option<Point> {
    (!distance.is_nan()).then_some(point)
}

/// Points of two paths in a row.
fn joined(a: Path, b: Path) -> Option<Path> {
    if a.closed || b.closed {
        return None;
    }
    let mut points = a.points;
    points.extend(b.points);
    Some(Path { closed: false, points })
}

fn path_to_polygon(path: Path) -> Result<Polygon> {
    match path.closed {
        true => Ok(Polygon { points: path.points }),
        false => {
            let message = "open path cannot be converted to polygon";
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

fn line_of_points(a: Point, b: Point) -> Result<Line> {
    line_through(a, b)?.ok_or_else(|| {
        let message = "invalid line specification: must be two distinct points";
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

fn corners(of: &Rectangle) -> Polygon {
    let Rectangle { high, low } = *of;
    let points = vec![low, Point { x: low.x, y: high.y }, high, Point { x: high.x, y: low.y }];
    Polygon { points }
}

fn nearest_of_segments(from: Segment, to: Segment) -> Result<Option<Point>> {
    #[allow(clippy::float_cmp)]
    let parallel = from.slope()? == to.slope()?;
    if parallel { Ok(None) } else { Ok(found(to.nearest_to(&from)?)) }
}

fn nearest_to_line(line: Line, on: Segment) -> Result<Option<Point>> {
    #[allow(clippy::float_cmp)]
    let parallel = on.slope()? == line.slope()?;
    if parallel { Ok(None) } else { Ok(found(on.nearest_to_line(&line)?)) }
}

fn inscribed(circle: Circle) -> Result<Rectangle> {
    let delta = divide(circle.radius, 2f64.sqrt())?;
    let Point { x, y } = circle.center;
    Ok(Rectangle {
        high: Point { x: add(x, delta)?, y: add(y, delta)? },
        low: Point { x: subtract(x, delta)?, y: subtract(y, delta)? },
    })
}

fn circumscribed(of: Rectangle) -> Result<Circle> {
    let center = of.center()?;
    Ok(Circle { center, radius: distance(center, of.high)? })
}

fn moved_box(of: Rectangle, change: impl Fn(Point) -> Result<Point>) -> Result<Rectangle> {
    Ok(Rectangle { high: change(of.high)?, low: change(of.low)? })
}

fn turned_box(of: Rectangle, change: impl Fn(Point) -> Result<Point>) -> Result<Rectangle> {
    Ok(Rectangle::of(change(of.high)?, change(of.low)?))
}

pub fn register(r: &mut Registry) {
    points(r);
    lines(r);
    segments(r);
    boxes(r);
    paths(r);
    polygons(r);
    circles(r);
    distances(r);
}

fn points(r: &mut Registry) {
    scalar!(r, "construct_point", |x: f64, y: f64| Point { x, y });
    scalar!(r, "point_left", |a: Point, b: Point| lt(a.x, b.x));
    scalar!(r, "point_right", |a: Point, b: Point| gt(a.x, b.x));
    scalar!(r, "point_above", |a: Point, b: Point| gt(a.y, b.y));
    scalar!(r, "point_below", |a: Point, b: Point| lt(a.y, b.y));
    scalar!(r, "point_vert", |a: Point, b: Point| eq(a.x, b.x));
    scalar!(r, "point_horiz", |a: Point, b: Point| eq(a.y, b.y));
    scalar!(r, "point_eq", |a: Point, b: Point| same_point(a, b));
    scalar!(r, "point_ne", |a: Point, b: Point| !same_point(a, b));
    scalar!(r, "point_distance", |a: Point, b: Point| distance(a, b));
    scalar!(r, "point_slope", |a: Point, b: Point| slope(a, b));
    scalar!(r, "point_add", |a: Point, b: Point| plane::add_points(a, b));
    scalar!(r, "point_sub", |a: Point, b: Point| plane::subtract_points(a, b));
    scalar!(r, "point_mul", |a: Point, b: Point| plane::multiply_points(a, b));
    scalar!(r, "point_div", |a: Point, b: Point| plane::divide_points(a, b));
    scalar!(r, "on_pb", |a: Point, b: Rectangle| b.contains(a));
    scalar!(r, "on_ppath", |a: Point, b: Path| b.contains(a));
    scalar!(r, "on_ps", |a: Point, b: Segment| b.contains(a));
    scalar!(r, "on_pl", |a: Point, b: Line| b.contains(a));
    scalar!(r, "pt_contained_poly", |a: Point, b: Polygon| plane::is_inside(a, &b.points));
    scalar!(r, "pt_contained_circle", |a: Point, b: Circle| b.contains(a));
    scalar!(r, "close_pl", |a: Point, b: Line| b.nearest(a).map(found));
    scalar!(r, "close_ps", |a: Point, b: Segment| b.nearest(a).map(found));
    scalar!(r, "close_pb", |a: Point, b: Rectangle| b.nearest(a).map(found));
}

fn lines(r: &mut Registry) {
    scalar!(r, "line_construct_pp", |a: Point, b: Point| line_of_points(a, b));
    scalar!(r, "line_eq", |a: Line, b: Line| a.is_same(&b));
    scalar!(r, "line_intersect", |a: Line, b: Line| a.meets(&b).map(|point| point.is_some()));
    scalar!(r, "line_interpt", |a: Line, b: Line| a.meets(&b));
    scalar!(r, "line_parallel", |a: Line, b: Line| a.meets(&b).map(|point| point.is_none()));
    scalar!(r, "line_perp", |a: Line, b: Line| a.is_perpendicular(&b));
    scalar!(r, "line_vertical", |a: Line| plane::is_zero(a.b));
    scalar!(r, "line_horizontal", |a: Line| plane::is_zero(a.a));
    scalar!(r, "line_distance", |a: Line, b: Line| a.distance(&b));
    scalar!(r, "inter_lb", |a: Line, b: Rectangle| b.meets_line(&a));
    scalar!(r, "close_ls", |a: Line, b: Segment| nearest_to_line(a, b));
}

fn segments(r: &mut Registry) {
    scalar!(r, "lseg_construct", |start: Point, end: Point| Segment { start, end });
    scalar!(r, "lseg_center", |a: Segment| a.center());
    scalar!(r, "lseg_length", |a: Segment| a.length());
    scalar!(r, "lseg_intersect", |a: Segment, b: Segment| a.meets(&b).map(|point| point.is_some()));
    scalar!(r, "lseg_interpt", |a: Segment, b: Segment| a.meets(&b));
    scalar!(r, "lseg_parallel", |a: Segment, b: Segment| a
        .slope()
        .and_then(|slope| Ok(eq(slope, b.slope()?))));
    scalar!(r, "lseg_perp", |a: Segment, b: Segment| a
        .slope()
        .and_then(|slope| Ok(eq(slope, plane::perpendicular_slope(b.start, b.end)?))));
    scalar!(r, "lseg_vertical", |a: Segment| eq(a.start.x, a.end.x));
    scalar!(r, "lseg_horizontal", |a: Segment| eq(a.start.y, a.end.y));
    scalar!(r, "lseg_eq", |a: Segment, b: Segment| a.is_same(&b));
    scalar!(r, "lseg_ne", |a: Segment, b: Segment| !a.is_same(&b));
    macro_rules! by_length {
        ($($name:literal $compare:ident)*) => {$(
            scalar!(r, $name, |a: Segment, b: Segment| a
                .length()
                .and_then(|length| Ok($compare(length, b.length()?))));
        )*};
    }
    by_length! { "lseg_lt" lt "lseg_le" le "lseg_gt" gt "lseg_ge" ge }
    scalar!(r, "lseg_distance", |a: Segment, b: Segment| a.nearest_to(&b).map(|nearest| nearest.1));
    scalar!(r, "inter_sl", |a: Segment, b: Line| a.meets_line(&b).map(|point| point.is_some()));
    scalar!(r, "inter_sb", |a: Segment, b: Rectangle| b.meets(&a));
    scalar!(r, "on_sl", |a: Segment, b: Line| b
        .contains(a.start)
        .and_then(|start| Ok(start && b.contains(a.end)?)));
    scalar!(r, "on_sb", |a: Segment, b: Rectangle| b.contains(a.start) && b.contains(a.end));
    scalar!(r, "close_lseg", |a: Segment, b: Segment| nearest_of_segments(a, b));
    scalar!(r, "close_sb", |a: Segment, b: Rectangle| b.nearest_to(&a).map(found));
}

fn boxes(r: &mut Registry) {
    macro_rules! by_area {
        ($($name:literal $compare:ident)*) => {$(
            scalar!(r, $name, |a: Rectangle, b: Rectangle| a
                .area()
                .and_then(|area| Ok($compare(area, b.area()?))));
        )*};
    }
    by_area! { "box_lt" lt "box_le" le "box_gt" gt "box_ge" ge "box_eq" eq }
    scalar!(r, "box_same", |a: Rectangle, b: Rectangle| same_point(a.high, b.high)
        && same_point(a.low, b.low));
    scalar!(r, "box_overlap", |a: Rectangle, b: Rectangle| a.overlaps(&b));
    scalar!(r, "box_left", |a: Rectangle, b: Rectangle| lt(a.high.x, b.low.x));
    scalar!(r, "box_overleft", |a: Rectangle, b: Rectangle| le(a.high.x, b.high.x));
    scalar!(r, "box_right", |a: Rectangle, b: Rectangle| gt(a.low.x, b.high.x));
    scalar!(r, "box_overright", |a: Rectangle, b: Rectangle| ge(a.low.x, b.low.x));
    scalar!(r, "box_below", |a: Rectangle, b: Rectangle| lt(a.high.y, b.low.y));
    scalar!(r, "box_overbelow", |a: Rectangle, b: Rectangle| le(a.high.y, b.high.y));
    scalar!(r, "box_above", |a: Rectangle, b: Rectangle| gt(a.low.y, b.high.y));
    scalar!(r, "box_overabove", |a: Rectangle, b: Rectangle| ge(a.low.y, b.low.y));
    scalar!(r, "box_below_eq", |a: Rectangle, b: Rectangle| le(a.high.y, b.low.y));
    scalar!(r, "box_above_eq", |a: Rectangle, b: Rectangle| ge(a.low.y, b.high.y));
    scalar!(r, "box_contain", |a: Rectangle, b: Rectangle| a.contains_box(&b));
    scalar!(r, "box_contained", |a: Rectangle, b: Rectangle| b.contains_box(&a));
    scalar!(r, "box_contain_pt", |a: Rectangle, b: Point| a.contains(b));
    scalar!(r, "box_area", |a: Rectangle| a.area());
    scalar!(r, "box_width", |a: Rectangle| a.width());
    scalar!(r, "box_height", |a: Rectangle| a.height());
    scalar!(r, "box_center", |a: Rectangle| a.center());
    scalar!(r, "box_distance", |a: Rectangle, b: Rectangle| a
        .center()
        .and_then(|center| distance(center, b.center()?)));
    scalar!(r, "box_intersect", |a: Rectangle, b: Rectangle| a.common(&b));
    scalar!(r, "box_diagonal", |a: Rectangle| Segment { start: a.high, end: a.low });
    scalar!(r, "boxes_bound_box", |a: Rectangle, b: Rectangle| a.around_both(&b));
    scalar!(r, "points_box", |a: Point, b: Point| Rectangle::of(a, b));
    scalar!(r, "point_box", |a: Point| Rectangle { high: a, low: a });
    scalar!(r, "box_add", |a: Rectangle, b: Point| moved_box(a, |point| plane::add_points(point, b)));
    scalar!(r, "box_sub", |a: Rectangle, b: Point| moved_box(a, |point| plane::subtract_points(point, b)));
    scalar!(r, "box_mul", |a: Rectangle, b: Point| turned_box(a, |point| plane::multiply_points(point, b)));
    scalar!(r, "box_div", |a: Rectangle, b: Point| turned_box(a, |point| plane::divide_points(point, b)));
    scalar!(r, "box_poly", |a: Rectangle| corners(&a));
    scalar!(r, "box_circle", |a: Rectangle| circumscribed(a));
}

fn paths(r: &mut Registry) {
    macro_rules! by_count {
        ($($name:literal $compare:ident)*) => {$(
            scalar!(r, $name, |a: Path, b: Path| a.points.len().$compare(&b.points.len()));
        )*};
    }
    by_count! { "path_n_lt" lt "path_n_le" le "path_n_gt" gt "path_n_ge" ge "path_n_eq" eq }
    scalar!(r, "path_area", |a: Path| a.area());
    scalar!(r, "path_length", |a: Path| a.length());
    scalar!(r, "path_isclosed", |a: Path| a.closed);
    scalar!(r, "path_isopen", |a: Path| !a.closed);
    scalar!(r, "path_npoints", |a: Path| a.points.len() as i32);
    scalar!(r, "path_close", |a: Path| Path { closed: true, ..a });
    scalar!(r, "path_open", |a: Path| Path { closed: false, ..a });
    scalar!(r, "path_inter", |context; a: Path, b: Path| a
        .meets(&b, &|| context.services.check_interrupt()));
    scalar!(r, "path_distance", |context; a: Path, b: Path| a
        .distance(&b, &|| context.services.check_interrupt()));
    scalar!(r, "path_add", |a: Path, b: Path| joined(a, b));
    scalar!(r, "path_add_pt", |a: Path, b: Point| a.changed(|point| plane::add_points(point, b)));
    scalar!(r, "path_sub_pt", |a: Path, b: Point| a.changed(|point| plane::subtract_points(point, b)));
    scalar!(r, "path_mul_pt", |a: Path, b: Point| a.changed(|point| plane::multiply_points(point, b)));
    scalar!(r, "path_div_pt", |a: Path, b: Point| a.changed(|point| plane::divide_points(point, b)));
    scalar!(r, "path_poly", |a: Path| path_to_polygon(a));
    scalar!(r, "sql:path_contain_pt/2", |a: Path, b: Point| a.contains(b));
}

fn polygons(r: &mut Registry) {
    scalar!(r, "poly_left", |a: Polygon, b: Polygon| a.bounds().high.x < b.bounds().low.x);
    scalar!(r, "poly_overleft", |a: Polygon, b: Polygon| a.bounds().high.x <= b.bounds().high.x);
    scalar!(r, "poly_right", |a: Polygon, b: Polygon| a.bounds().low.x > b.bounds().high.x);
    scalar!(r, "poly_overright", |a: Polygon, b: Polygon| a.bounds().low.x >= b.bounds().low.x);
    scalar!(r, "poly_below", |a: Polygon, b: Polygon| a.bounds().high.y < b.bounds().low.y);
    scalar!(r, "poly_overbelow", |a: Polygon, b: Polygon| a.bounds().high.y <= b.bounds().high.y);
    scalar!(r, "poly_above", |a: Polygon, b: Polygon| a.bounds().low.y > b.bounds().high.y);
    scalar!(r, "poly_overabove", |a: Polygon, b: Polygon| a.bounds().low.y >= b.bounds().low.y);
    scalar!(r, "poly_same", |a: Polygon, b: Polygon| a.is_same(&b));
    scalar!(r, "poly_overlap", |context; a: Polygon, b: Polygon| a
        .overlaps(&b, &|| context.services.check_interrupt()));
    scalar!(r, "poly_contain", |context; a: Polygon, b: Polygon| a
        .contains_polygon(&b, &|| context.services.check_interrupt()));
    scalar!(r, "poly_contained", |context; a: Polygon, b: Polygon| b
        .contains_polygon(&a, &|| context.services.check_interrupt()));
    scalar!(r, "poly_contain_pt", |a: Polygon, b: Point| plane::is_inside(b, &a.points));
    scalar!(r, "poly_distance", |context; a: Polygon, b: Polygon| a
        .distance(&b, &|| context.services.check_interrupt()));
    scalar!(r, "poly_npoints", |a: Polygon| a.points.len() as i32);
    scalar!(r, "poly_center", |a: Polygon| a.circle().map(|circle| circle.center));
    scalar!(r, "poly_box", |a: Polygon| a.bounds());
    scalar!(r, "poly_path", |a: Polygon| Path { closed: true, points: a.points });
    scalar!(r, "poly_circle", |a: Polygon| a.circle());
}

fn circles(r: &mut Registry) {
    macro_rules! by_area {
        ($($name:literal $compare:ident)*) => {$(
            scalar!(r, $name, |a: Circle, b: Circle| a
                .area()
                .and_then(|area| Ok($compare(area, b.area()?))));
        )*};
    }
    by_area! {
        "circle_lt" lt "circle_le" le "circle_gt" gt "circle_ge" ge "circle_eq" eq "circle_ne" ne
    }
    macro_rules! by_ends {
        ($($name:literal $compare:ident $own:ident $other:ident)*) => {$(
            scalar!(r, $name, |a: Circle, b: Circle| a
                .$own()
                .and_then(|end| Ok($compare(end, b.$other()?))));
        )*};
    }
    by_ends! {
        "circle_left" lt right left
        "circle_overleft" le right right
        "circle_right" gt left right
        "circle_overright" ge left left
        "circle_below" lt top bottom
        "circle_overbelow" le top top
        "circle_above" gt bottom top
        "circle_overabove" ge bottom bottom
    }
    scalar!(r, "circle_same", |a: Circle, b: Circle| (a.radius.is_nan() && b.radius.is_nan()
        || eq(a.radius, b.radius))
        && same_point(a.center, b.center));
    scalar!(r, "circle_overlap", |a: Circle, b: Circle| distance(a.center, b.center)
        .and_then(|distance| Ok(le(distance, add(a.radius, b.radius)?))));
    scalar!(r, "circle_contain", |a: Circle, b: Circle| distance(a.center, b.center)
        .and_then(|distance| Ok(le(distance, subtract(a.radius, b.radius)?))));
    scalar!(r, "circle_contained", |a: Circle, b: Circle| distance(a.center, b.center)
        .and_then(|distance| Ok(le(distance, subtract(b.radius, a.radius)?))));
    scalar!(r, "circle_contain_pt", |a: Circle, b: Point| a.contains(b));
    scalar!(r, "circle_area", |a: Circle| a.area());
    scalar!(r, "circle_diameter", |a: Circle| multiply(a.radius, 2.0));
    scalar!(r, "circle_radius", |a: Circle| a.radius);
    scalar!(r, "circle_center", |a: Circle| a.center);
    scalar!(r, "circle_distance", |a: Circle, b: Circle| distance(a.center, b.center)
        .and_then(|distance| beyond(distance, add(a.radius, b.radius)?)));
    scalar!(r, "circle_add_pt", |a: Circle, b: Point| plane::add_points(a.center, b)
        .map(|center| Circle { center, ..a }));
    scalar!(r, "circle_sub_pt", |a: Circle, b: Point| plane::subtract_points(a.center, b)
        .map(|center| Circle { center, ..a }));
    scalar!(r, "circle_mul_pt", |a: Circle, b: Point| plane::multiply_points(a.center, b)
        .and_then(|center| Ok(Circle { center, radius: multiply(a.radius, hypotenuse(b.x, b.y)?)? })));
    scalar!(r, "circle_div_pt", |a: Circle, b: Point| plane::divide_points(a.center, b)
        .and_then(|center| Ok(Circle { center, radius: divide(a.radius, hypotenuse(b.x, b.y)?)? })));
    scalar!(r, "cr_circle", |center: Point, radius: f64| Circle { center, radius });
    scalar!(r, "circle_box", |a: Circle| inscribed(a));
    scalar!(r, "circle_poly", |context; corners: i32, a: Circle| a
        .polygon(corners, &|| context.services.check_interrupt()));
    scalar!(r, "sql:polygon/1", |a: Circle| a.polygon(12, &|| Ok(())));
}

/// `<->` of what are not of one type.
fn distances(r: &mut Registry) {
    scalar!(r, "dist_pl", |a: Point, b: Line| b.nearest(a).map(|nearest| nearest.1));
    scalar!(r, "dist_lp", |a: Line, b: Point| a.nearest(b).map(|nearest| nearest.1));
    scalar!(r, "dist_ps", |a: Point, b: Segment| b.nearest(a).map(|nearest| nearest.1));
    scalar!(r, "dist_sp", |a: Segment, b: Point| a.nearest(b).map(|nearest| nearest.1));
    scalar!(r, "dist_pb", |a: Point, b: Rectangle| b.nearest(a).map(|nearest| nearest.1));
    scalar!(r, "dist_bp", |a: Rectangle, b: Point| a.nearest(b).map(|nearest| nearest.1));
    scalar!(r, "dist_ppath", |a: Point, b: Path| b.distance_to(a));
    scalar!(r, "dist_pathp", |a: Path, b: Point| a.distance_to(b));
    scalar!(r, "dist_ppoly", |a: Point, b: Polygon| b.distance_to(a));
    scalar!(r, "dist_polyp", |a: Polygon, b: Point| a.distance_to(b));
    scalar!(r, "dist_pc", |a: Point, b: Circle| b.distance_to(a));
    scalar!(r, "dist_cpoint", |a: Circle, b: Point| a.distance_to(b));
    scalar!(r, "dist_sl", |a: Segment, b: Line| a.nearest_to_line(&b).map(|nearest| nearest.1));
    scalar!(r, "dist_ls", |a: Line, b: Segment| b.nearest_to_line(&a).map(|nearest| nearest.1));
    scalar!(r, "dist_sb", |a: Segment, b: Rectangle| b.nearest_to(&a).map(|nearest| nearest.1));
    scalar!(r, "dist_bs", |a: Rectangle, b: Segment| a.nearest_to(&b).map(|nearest| nearest.1));
    scalar!(r, "dist_cpoly", |a: Circle, b: Polygon| b
        .distance_to(a.center)
        .and_then(|distance| beyond(distance, a.radius)));
    scalar!(r, "dist_polyc", |a: Polygon, b: Circle| a
        .distance_to(b.center)
        .and_then(|distance| beyond(distance, b.radius)));
}
