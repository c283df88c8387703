//! What a result column is called when it has no AS: PostgreSQL's FigureColname.

use crate::parse::ast::{Expr, SetExpr};

pub fn column_name(expr: &Expr) -> String {
    figure(expr).map_or_else(|| "?column?".into(), |(name, _)| name)
}

/// The name, and whether it is a good one (a cast's type name and "case" yield to better).
fn figure(expr: &Expr) -> Option<(String, bool)> {
    let good = |name: &str| Some((name.to_string(), true));
    match expr {
        Expr::Column(parts, _) => good(parts.last()?),
        Expr::Field { field, .. } => good(field),
        Expr::Subscript { operand, .. } => figure(operand),
        Expr::Function(call) => good(call.name.parts.last()?),
        Expr::Cast { operand, to, .. } => match figure(operand) {
            Some((name, true)) => Some((name, true)),
            _ => Some((to.name.parts.last()?.clone(), false)),
        },
        Expr::TypedLiteral { to, .. } => Some((to.name.parts.last()?.clone(), false)),
        Expr::Collate { operand, .. } => figure(operand),
        Expr::Case { otherwise, .. } => match otherwise.as_deref().and_then(figure) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".into(), false)),
        },
        Expr::Coalesce(..) => good("coalesce"),
        Expr::NullIf(..) => good("nullif"),
        Expr::MinMax { greatest, .. } => good(if *greatest { "greatest" } else { "least" }),
        Expr::Exists { negated: false, .. } => good("exists"),
        Expr::ArraySubquery(..) | Expr::Array(..) => good("array"),
        Expr::Row(..) => good("row"),
        Expr::Grouping(..) => good("grouping"),
        Expr::AtTimeZone { .. } => good("timezone"),
        Expr::SpecialFunction { name, .. } => good(name),
        Expr::Subquery(query, _) => {
            let mut body = &query.body;
            loop {
                match body {
                    SetExpr::Select(select) => {
                        let target = select.targets.first()?;
                        return match &target.alias {
                            Some(alias) => good(alias),
                            None => figure(&target.expr),
                        };
                    }
                    SetExpr::Query(inner) => body = &inner.body,
                    SetExpr::Operation { left, .. } => body = left,
                    SetExpr::Values(_) => return good("column1"),
                }
            }
        }
        _ => None,
    }
}
