//! Expressions back to text, as PostgreSQL's ruleutils.c prints them: every operator in parentheses, every cast written out.

use super::Plan;
use super::logical::SublinkKind;
use crate::expr::{ColumnId, Expr};
use crate::functions::operator_symbol;
use crate::types::{Datum, RenderSettings, Type, format_datum, format_type};
use std::fmt::Write;

/// What columns and slots are called.
pub trait Names {
    fn column(&self, index: usize) -> String;
    fn slot(&self, index: usize) -> String {
        format!("${index}")
    }
    /// Parentheses only where they are needed, as psql asks for.
    fn is_pretty(&self) -> bool {
        false
    }
    /// 1-based number of a subquery in the plan.
    fn subquery(&self, index: usize) -> usize {
        index + 1
    }
}

/// Columns of one table by position: for expressions kept in the catalog.
pub struct TableNames<'t>(pub &'t crate::catalog::Table);

impl Names for TableNames<'_> {
    fn column(&self, index: usize) -> String {
        self.0.columns.get(index).map_or_else(|| "?".into(), |column| quote_identifier(&column.name))
    }
}

/// The same, pretty.
pub struct PrettyTableNames<'t>(pub &'t crate::catalog::Table);

impl Names for PrettyTableNames<'_> {
    fn column(&self, index: usize) -> String {
        TableNames(self.0).column(index)
    }
    fn is_pretty(&self) -> bool {
        true
    }
}

/// Of a domain's check.
pub struct DomainNames {
    pub pretty: bool,
}

impl Names for DomainNames {
    fn column(&self, _index: usize) -> String {
        "VALUE".into()
    }
    fn is_pretty(&self) -> bool {
        self.pretty
    }
}

/// What an expression stands in: decides whether it needs parentheses when they are to be few.
#[derive(Clone, Copy)]
enum Around<'a> {
    And,
    Or,
    Not,
    /// With which side of it this is.
    Operator(&'a str, bool),
    Other,
}

/// ruleutils.c's isSimpleNode.
fn is_simple(expr: &Expr, around: Around<'_>) -> bool {
    let low = |operator: &str| matches!(operator, "+" | "-");
    let high = |operator: &str| matches!(operator, "*" | "/" | "%");
    match (expr, around) {
        (Expr::Call { function, arguments, .. }, around) => match (operator_symbol(function), around) {
            (None, _) | (_, Around::And | Around::Or | Around::Not) => true,
            (Some(own), Around::Operator(parent, is_left)) if arguments.len() == 2 => {
                (low(own) && low(parent) && is_left)
                    || (high(own) && (low(parent) || (high(parent) && is_left)))
            }
            _ => false,
        },
        (Expr::And(_), around) => matches!(around, Around::And | Around::Or),
        (Expr::Or(_), around) => matches!(around, Around::Or),
        (Expr::Not(_) | Expr::IsNull { .. } | Expr::IsBool { .. } | Expr::IsDistinctFrom { .. }, around) => {
            matches!(around, Around::And | Around::Or | Around::Not)
        }
        (Expr::Quantified { .. } | Expr::InSet { .. }, _) => false,
        (Expr::Cast { operand, .. }, _) => is_simple(operand, Around::Other),
        _ => true,
    }
}

/// An expression within another.
fn write_inner(expr: &Expr, around: Around<'_>, names: &dyn Names, out: &mut String) {
    // Without pretty printing every expression brings its own parentheses.
    let wrap = names.is_pretty() && !is_simple(expr, around);
    if wrap {
        out.push('(');
    }
    write_expr(expr, names, out);
    if wrap {
        out.push(')');
    }
}

/// Columns of a plan node's input.
pub struct PlanNames<'p> {
    pub plan: &'p Plan,
    pub columns: &'p [ColumnId],
    /// Put the table's alias before the column: the plan has several tables.
    pub qualified: bool,
}

impl PlanNames<'_> {
    fn name(&self, id: ColumnId) -> String {
        let Some(info) = self.plan.columns.get(id) else { return "?".into() };
        match self.qualified && !info.relation.is_empty() {
            true => format!("{}.{}", quote_identifier(&info.relation), quote_identifier(&info.name)),
            false => quote_identifier(&info.name),
        }
    }
}

impl Names for PlanNames<'_> {
    fn column(&self, index: usize) -> String {
        self.columns.get(index).map_or_else(|| "?".into(), |id| self.name(*id))
    }
    fn slot(&self, index: usize) -> String {
        match self.plan.slot_columns.get(&index) {
            // It comes from another relation, which is to be seen.
            Some(id) => PlanNames { qualified: true, ..*self }.name(*id),
            None => format!("${index}"),
        }
    }
}

pub fn quote_identifier(name: &str) -> String {
    let plain = name
        .chars()
        .enumerate()
        .all(|(i, c)| c.is_ascii_lowercase() || c == '_' || (i > 0 && (c.is_ascii_digit() || c == '$')));
    match plain && !name.is_empty() {
        true => name.into(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

pub fn deparse(expr: &Expr, names: &dyn Names) -> String {
    let mut out = String::new();
    write_expr(expr, names, &mut out);
    out
}

fn list(exprs: &[Expr], separator: &str, names: &dyn Names, out: &mut String) {
    for (i, expr) in exprs.iter().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        write_expr(expr, names, out);
    }
}

fn write_expr(expr: &Expr, names: &dyn Names, out: &mut String) {
    let (open, close) = if names.is_pretty() { ("", "") } else { ("(", ")") };
    match expr {
        Expr::Constant { value, data_type } => constant(value, *data_type, out),
        Expr::Column { index, .. } => out.push_str(&names.column(*index)),
        Expr::Slot { index, .. } => out.push_str(&names.slot(*index)),
        Expr::Parameter { index, .. } => {
            let _ = write!(out, "${}", index + 1);
        }
        Expr::Call { function, arguments, .. } => match (operator_symbol(function), arguments.as_slice()) {
            (Some(operator), [left, right]) => {
                out.push_str(open);
                write_inner(left, Around::Operator(operator, true), names, out);
                let _ = write!(out, " {operator} ");
                write_inner(right, Around::Operator(operator, false), names, out);
                out.push_str(close);
            }
            (Some(operator), [operand]) => {
                let _ = write!(out, "{open}{operator} ");
                write_inner(operand, Around::Operator(operator, false), names, out);
                out.push_str(close);
            }
            _ => {
                let _ = write!(out, "{}(", function.name);
                list(arguments, ", ", names, out);
                out.push(')');
            }
        },
        Expr::Routine(call) => {
            let _ = write!(out, "{}(", crate::types::user::routine_name(&call.routine));
            list(&call.arguments, ", ", names, out);
            out.push(')');
        }
        // A literal of a type with a length or precision is one constant to who reads it.
        Expr::Cast { operand, to, modifier, .. } if matches!(&**operand, Expr::Constant { data_type, .. } if data_type == to) =>
        {
            if let Expr::Constant { value, data_type } = &**operand {
                needs_type(value, *data_type, out);
            }
            let _ = write!(out, "::{}", format_type(*to, *modifier));
        }
        Expr::Cast { operand, to, modifier, .. } => {
            out.push_str(open);
            write_inner(operand, Around::Other, names, out);
            let _ = write!(out, "{close}::{}", format_type(*to, *modifier));
        }
        Expr::And(terms) | Expr::Or(terms) => {
            let (word, around) = match expr {
                Expr::And(_) => (" AND ", Around::And),
                _ => (" OR ", Around::Or),
            };
            out.push_str(open);
            for (at, term) in terms.iter().enumerate() {
                if at > 0 {
                    out.push_str(word);
                }
                write_inner(term, around, names, out);
            }
            out.push_str(close);
        }
        Expr::Not(operand) => {
            let _ = write!(out, "{open}NOT ");
            write_inner(operand, Around::Not, names, out);
            out.push_str(close);
        }
        Expr::IsNull { operand, negated } => {
            out.push_str(open);
            write_inner(operand, Around::Other, names, out);
            let _ = write!(out, " IS {}NULL{close}", if *negated { "NOT " } else { "" });
        }
        Expr::IsBool { operand, value, negated } => {
            let word = match value {
                Some(true) => "TRUE",
                Some(false) => "FALSE",
                None => "UNKNOWN",
            };
            out.push_str(open);
            write_inner(operand, Around::Other, names, out);
            let _ = write!(out, " IS {}{word}{close}", if *negated { "NOT " } else { "" });
        }
        Expr::IsDistinctFrom { left, right, negated, .. } => {
            out.push_str(open);
            write_inner(left, Around::Other, names, out);
            out.push_str(if *negated { " IS NOT DISTINCT FROM " } else { " IS DISTINCT FROM " });
            write_inner(right, Around::Other, names, out);
            out.push_str(close);
        }
        Expr::Case { operand, arms, otherwise, .. } => {
            out.push_str("CASE");
            if let Some((operand, _)) = operand {
                out.push(' ');
                write_expr(operand, names, out);
            }
            for (condition, value) in arms {
                out.push_str(" WHEN ");
                write_expr(condition, names, out);
                out.push_str(" THEN ");
                write_expr(value, names, out);
            }
            if let Some(otherwise) = otherwise {
                out.push_str(" ELSE ");
                write_expr(otherwise, names, out);
            }
            out.push_str(" END");
        }
        Expr::Coalesce { arguments, .. } => {
            out.push_str("COALESCE(");
            list(arguments, ", ", names, out);
            out.push(')');
        }
        Expr::NullIf { left, equals } => {
            out.push_str("NULLIF(");
            write_expr(left, names, out);
            if let Expr::Call { arguments, .. } = &**equals
                && let Some(right) = arguments.get(1)
            {
                out.push_str(", ");
                write_expr(right, names, out);
            }
            out.push(')');
        }
        Expr::MinMax { greatest, arguments, .. } => {
            out.push_str(if *greatest { "GREATEST(" } else { "LEAST(" });
            list(arguments, ", ", names, out);
            out.push(')');
        }
        Expr::Quantified { comparison, operand, list: items, array, all } => {
            out.push_str(open);
            let operator = operator_symbol(comparison).unwrap_or("=");
            write_inner(operand, Around::Operator(operator, true), names, out);
            let _ = write!(out, " {operator} {} (", if *all { "ALL" } else { "ANY" });
            match array {
                true => list(items, ", ", names, out),
                false => {
                    out.push_str("ARRAY[");
                    list(items, ", ", names, out);
                    out.push(']');
                }
            }
            let _ = write!(out, "){close}");
        }
        Expr::InSet { operand, set, negated } => {
            out.push('(');
            write_expr(operand, names, out);
            out.push_str(if *negated { " <> ALL (" } else { " = ANY (" });
            let array_type = set.data_type.array_of().unwrap_or(set.data_type);
            let dimensions = vec![(set.values.len() as i32, 1)];
            let array =
                crate::types::ArrayValue { element: set.data_type, dimensions, elements: set.values.clone() };
            constant(&Datum::Array(std::sync::Arc::new(array)), array_type, out);
            out.push_str("))");
        }
        Expr::Array { elements, .. } => {
            out.push_str("ARRAY[");
            list(elements, ", ", names, out);
            out.push(']');
        }
        Expr::Subscript { operand, subscripts, .. } => {
            write_expr(operand, names, out);
            for (lower, upper, slice) in subscripts {
                out.push('[');
                lower.iter().for_each(|bound| write_expr(bound, names, out));
                if *slice {
                    out.push(':');
                    upper.iter().for_each(|bound| write_expr(bound, names, out));
                }
                out.push(']');
            }
        }
        Expr::Row { fields, .. } => {
            out.push_str("ROW(");
            list(fields, ", ", names, out);
            out.push(')');
        }
        Expr::Field { operand, index, .. } => {
            out.push('(');
            write_expr(operand, names, out);
            let _ = write!(out, ").f{}", index + 1);
        }
        Expr::Subquery(query) => {
            let number = names.subquery(query.index);
            let _ = match (query.kind, query.is_constant) {
                (SublinkKind::Any | SublinkKind::All, true) if query.is_hashable => {
                    write!(out, "(hashed SubPlan {number})")
                }
                (SublinkKind::Any | SublinkKind::All, _) | (_, false) => write!(out, "(SubPlan {number})"),
                (_, true) => write!(out, "${}", number - 1),
            };
        }
        Expr::Sublink(_) => out.push_str("(subquery)"),
    }
}

fn constant(value: &Datum, data_type: Type, out: &mut String) {
    if needs_type(value, data_type, out) {
        let _ = write!(out, "::{}", format_type(data_type, -1));
    }
}

/// Writes a constant without its type; whether it would be read as another without. (`get_const_expr`)
fn needs_type(value: &Datum, data_type: Type, out: &mut String) -> bool {
    if value.is_null() {
        out.push_str("NULL");
        return true;
    }
    let text = match value {
        Datum::Oid(oid) => crate::types::user::object_name(*oid, data_type),
        _ => None,
    };
    let text = text.unwrap_or_else(|| format_datum(value, data_type, &RenderSettings::default()));
    let unsigned = text.starts_with(|c: char| c.is_ascii_digit());
    match data_type {
        Type::BOOL => out.push_str(if text == "t" { "true" } else { "false" }),
        Type::INT4 if unsigned => out.push_str(&text),
        // Without a point it would be an integer.
        Type::NUMERIC if unsigned && text.contains(['.', 'e', 'E']) => out.push_str(&text),
        _ => {
            let _ = write!(out, "'{}'", text.replace('\'', "''"));
            return true;
        }
    }
    false
}
