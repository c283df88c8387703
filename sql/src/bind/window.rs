//! Window functions: calls with OVER, named windows, frames.

use super::scope::Scope;
use super::{Binder, Clause};
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr;
use crate::functions::{Body, CastContext, Resolved, resolve_operator};
use crate::parse::ast;
use crate::plan::logical::{FrameBound, RangeOffsets, SortKey, WindowCall, WindowFrame};
use crate::types::Type;

fn windowing(message: impl Into<String>) -> Error {
    Error::new(SqlState::WINDOWING_ERROR, message)
}

/// Named windows may build on each other this deep.
const BASES_MAX: usize = 64;

impl Binder<'_> {
    pub fn window_call(
        &mut self,
        call: &ast::FunctionCall,
        over: &ast::Over,
        arguments: Vec<Expr>,
        resolved: Resolved,
        before: usize,
    ) -> Result<Expr> {
        let position = call.position;
        if !matches!(resolved.function.body, Body::Aggregate(_) | Body::Window(_)) {
            let message = format!(
                "OVER specified, but {} is not a window function nor an aggregate function",
                resolved.function.name
            );
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(position));
        }
        if !self.clause.windows {
            let message = format!("window functions are not allowed in {}", self.clause.name);
            return Err(windowing(message).at(position));
        }
        if self.scope().windows.len() > before {
            return Err(windowing("window function calls cannot be nested").at(position));
        }
        let unsupported = |what: &str| Error::new(SqlState::FEATURE_NOT_SUPPORTED, what).at(position);
        if call.distinct {
            return Err(unsupported("DISTINCT is not implemented for window functions"));
        }
        if !call.order_by.is_empty() {
            return Err(unsupported("aggregate ORDER BY is not implemented for window functions"));
        }
        if call.filter.is_some() && matches!(resolved.function.body, Body::Window(_)) {
            return Err(unsupported("FILTER is not implemented for non-aggregate window functions"));
        }
        let inner = Clause { name: "window", aggregates: true, sets: false, windows: false };
        let filter = match &call.filter {
            None => None,
            Some(filter) => {
                let bound = self.within(Clause { name: "FILTER", ..inner }, |binder| binder.expr(filter))?;
                Some(self.coerce_boolean(bound, "FILTER", position)?)
            }
        };
        let spec = match over {
            ast::Over::Name(name) => self.named_window(name)?,
            ast::Over::Window(spec) => spec.clone(),
        };
        // OVER w takes the frame along, OVER (w …) does not.
        let copies = matches!(over, ast::Over::Window(_));
        let (partition_by, order_by) =
            self.within(inner, |binder| binder.window_parts(&spec, copies, BASES_MAX))?;
        let frame = match &spec.frame {
            None => None,
            Some(frame) => Some(self.window_frame(frame, &order_by)?),
        };
        let result = resolved.result;
        let window = WindowCall {
            function: resolved.function,
            arguments,
            filter,
            partition_by,
            order_by,
            frame,
            result,
        };
        let id = self.new_column(resolved.function.name, result, -1, (0, 0), "".into());
        self.scope().windows.push((id, window));
        Ok(Expr::Column { index: id, data_type: result })
    }

    fn named_window(&mut self, name: &str) -> Result<ast::WindowSpec> {
        let found = self.scope().window_names.iter().find(|(known, _)| known == name);
        found.map(|(_, spec)| spec.clone()).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist"))
        })
    }

    /// PARTITION BY and ORDER BY, those of the window it builds on included.
    fn window_parts(
        &mut self,
        spec: &ast::WindowSpec,
        copies: bool,
        left: usize,
    ) -> Result<(Vec<Expr>, Vec<SortKey>)> {
        let (mut partition, mut order) = (Vec::new(), Vec::new());
        if let Some(base) = &spec.base {
            if left == 0 {
                return Err(windowing("windows build on each other too deeply"));
            }
            let other = self.named_window(base)?;
            if !spec.partition_by.is_empty() {
                return Err(windowing(format!("cannot override PARTITION BY clause of window \"{base}\"")));
            }
            if !spec.order_by.is_empty() && !other.order_by.is_empty() {
                return Err(windowing(format!("cannot override ORDER BY clause of window \"{base}\"")));
            }
            if other.frame.is_some() && copies {
                return Err(windowing(format!(
                    "cannot copy window \"{base}\" because it has a frame clause"
                )));
            }
            (partition, order) = self.window_parts(&other, copies, left - 1)?;
        }
        for expr in &spec.partition_by {
            let bound = self.expr(expr)?;
            partition.push(self.resolve_unknown(bound)?);
        }
        for item in &spec.order_by {
            let bound = self.expr(&item.expr)?;
            let bound = self.resolve_unknown(bound)?;
            order.push(super::select::sort_key(bound, item)?);
        }
        Ok((partition, order))
    }

    fn window_frame(&mut self, frame: &ast::WindowFrame, order: &[SortKey]) -> Result<WindowFrame> {
        use ast::FrameBound as B;
        let offsets = |bound: &B| matches!(bound, B::Preceding(_) | B::Following(_));
        let has_offsets = offsets(&frame.start) || offsets(&frame.end);
        let name = match frame.units {
            ast::FrameUnits::Rows => "ROWS",
            ast::FrameUnits::Range => "RANGE",
            ast::FrameUnits::Groups => "GROUPS",
        };
        if frame.units == ast::FrameUnits::Groups && order.is_empty() {
            return Err(windowing("GROUPS mode requires an ORDER BY clause"));
        }
        let range = match (frame.units, has_offsets) {
            (ast::FrameUnits::Range, true) => Some(self.range_offsets(order)?),
            _ => None,
        };
        let to = range.as_ref().map_or(Type::INT8, |range| range.offset);
        let start = self.frame_bound(&frame.start, name, to)?;
        let end = self.frame_bound(&frame.end, name, to)?;
        Ok(WindowFrame { units: frame.units, start, end, exclude: frame.exclude, range: range.map(Box::new) })
    }

    fn frame_bound(&mut self, bound: &ast::FrameBound, name: &'static str, to: Type) -> Result<FrameBound> {
        let mut offset = |expr: &ast::Expr| -> Result<Expr> {
            // No column can be meant: the offset is one for the whole partition.
            let scopes = std::mem::replace(&mut self.scopes, vec![Scope::default()]);
            let bound = self.plain_expr(expr, name);
            self.scopes = scopes;
            let bound = bound.map_err(|error| match error.state() {
                SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_TABLE => Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("argument of {name} must not contain variables"),
                ),
                _ => error,
            })?;
            let from = bound.data_type();
            self.coerce(bound, to, -1, CastContext::Implicit, 0)?.ok_or_else(|| {
                let message =
                    format!("argument of {name} must be type {}, not type {}", to.display(), from.display());
                Error::new(SqlState::DATATYPE_MISMATCH, message)
            })
        };
        Ok(match bound {
            ast::FrameBound::UnboundedPreceding => FrameBound::UnboundedPreceding,
            ast::FrameBound::Preceding(expr) => FrameBound::Preceding(offset(expr)?),
            ast::FrameBound::CurrentRow => FrameBound::CurrentRow,
            ast::FrameBound::Following(expr) => FrameBound::Following(offset(expr)?),
            ast::FrameBound::UnboundedFollowing => FrameBound::UnboundedFollowing,
        })
    }

    /// How RANGE's offsets are added: in the widest type of the ORDER BY column's kind.
    fn range_offsets(&mut self, order: &[SortKey]) -> Result<RangeOffsets> {
        let [key] = order else {
            return Err(windowing(
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            ));
        };
        let from = key.expr.data_type();
        let (data_type, offset) = match from {
            Type::INT2 | Type::INT4 | Type::INT8 => (Type::INT8, Type::INT8),
            Type::FLOAT4 | Type::FLOAT8 => (Type::FLOAT8, Type::FLOAT8),
            Type::NUMERIC => (Type::NUMERIC, Type::NUMERIC),
            Type::DATE | Type::TIMESTAMP => (Type::TIMESTAMP, Type::INTERVAL),
            Type::TIMESTAMPTZ => (Type::TIMESTAMPTZ, Type::INTERVAL),
            Type::INTERVAL => (Type::INTERVAL, Type::INTERVAL),
            other => {
                let message = format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                    other.display()
                );
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
        };
        let expr = self.coerce_argument(key.expr.clone(), data_type, 0)?;
        let types = [Some(data_type), Some(offset)];
        Ok(RangeOffsets {
            key: expr,
            plus: resolve_operator("+", &types)?.function,
            minus: resolve_operator("-", &types)?.function,
            data_type,
            offset,
            descending: key.descending,
        })
    }
}
