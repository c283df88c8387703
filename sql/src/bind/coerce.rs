//! Types of what has none yet, and casts.
//!
//! A string literal and a parameter are `unknown` until something around them says otherwise: the literal is then read by that
//! type's input function, the parameter takes the type. Whatever is left in a result becomes text.

use super::Binder;
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, CastMethod, cast_datum, common_type, find_cast};
use crate::parse::ast;
use crate::types::{Datum, Type};
use std::sync::Arc;

/// The type's name as errors print it.
pub fn display(data_type: Type) -> String {
    crate::types::format_type(data_type, -1)
}

pub fn type_name(name: &ast::TypeName) -> Result<(Type, i32)> {
    let missing = || {
        let array = if name.array_dimensions > 0 { "[]" } else { "" };
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{}{array}\" does not exist", name.name.parts.join(".")),
        )
        .at(name.name.position)
    };
    let Some((last, schema)) = name.name.parts.split_last() else { return Err(missing()) };
    let schema = schema.last().map(String::as_str);
    let built_in = matches!(schema, None | Some("pg_catalog"));
    let scalar = Type::from_name(last)
        .filter(|_| built_in)
        .or_else(|| crate::types::user::named(schema, last))
        .ok_or_else(missing)?;
    let modifier = type_modifier(scalar, name).map_err(|error| error.at(name.name.position))?;
    if name.array_dimensions == 0 || scalar.is_array() {
        return Ok((scalar, modifier));
    }
    Ok((scalar.array_of().ok_or_else(missing)?, modifier))
}

/// A modifier as pg_attribute.atttypmod has it.
fn type_modifier(data_type: Type, name: &ast::TypeName) -> Result<i32> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let word = name.name.parts.last().map_or("", String::as_str);
    match (data_type, name.modifiers.as_slice()) {
        (Type::INTERVAL, modifiers) => Ok(interval_modifier(name.interval_fields.as_deref(), modifiers)),
        (_, []) => Ok(-1),
        (Type::VARCHAR | Type::BPCHAR, [length]) => {
            let word = if data_type == Type::BPCHAR { "char" } else { "varchar" };
            match length {
                ..1 => invalid(format!("length for type {word} must be at least 1")),
                10_485_761.. => invalid(format!("length for type {word} cannot exceed 10485760")),
                length => Ok(length + 4),
            }
        }
        (Type::NUMERIC, [precision, rest @ ..]) => {
            let scale = rest.first().copied().unwrap_or(0);
            if !(1..=1000).contains(precision) {
                return invalid(format!("NUMERIC precision {precision} must be between 1 and 1000"));
            }
            if !(-1000..=1000).contains(&scale) {
                return invalid(format!("NUMERIC scale {scale} must be between -1000 and 1000"));
            }
            Ok(crate::types::make_numeric_modifier(*precision, scale))
        }
        (Type::BIT | Type::VARBIT, [length]) => {
            let word = if data_type == Type::BIT { "bit" } else { "varbit" };
            match length {
                ..1 => invalid(format!("length for type {word} must be at least 1")),
                83_886_081.. => invalid(format!("length for type {word} cannot exceed 83886080")),
                length => Ok(*length),
            }
        }
        (Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ, [precision]) => match precision {
            ..0 => invalid(format!("{}({precision}) precision must not be negative", word.to_uppercase())),
            precision => Ok((*precision).min(6)),
        },
        // float(24) and the like have chosen their type already.
        (Type::FLOAT4 | Type::FLOAT8, _) => Ok(-1),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{word}\""),
        )),
    }
}

/// INTERVAL_TYPMOD: which fields are kept, and the precision of the seconds.
fn interval_modifier(fields: Option<&str>, modifiers: &[i32]) -> i32 {
    const FULL_RANGE: i32 = 0x7fff;
    const FULL_PRECISION: i32 = 0xffff;
    const FIELDS: [(&str, i32); 6] = [
        ("year", 1 << 2),
        ("month", 1 << 1),
        ("day", 1 << 3),
        ("hour", 1 << 10),
        ("minute", 1 << 11),
        ("second", 1 << 12),
    ];
    if fields.is_none() && modifiers.is_empty() {
        return -1;
    }
    let at = |word: &str| FIELDS.iter().position(|(name, _)| word.trim().eq_ignore_ascii_case(name));
    let range = fields.map_or(FULL_RANGE, |fields| {
        let mut words = fields.split(" to ").map(at);
        let first = words.next().flatten().unwrap_or(0);
        let last = words.next().flatten().unwrap_or(first);
        FIELDS[first..=last.max(first)].iter().fold(0, |mask, (_, bit)| mask | bit)
    });
    let precision = modifiers.first().map_or(FULL_PRECISION, |precision| (*precision).clamp(0, 6));
    range << 16 | precision
}

impl Binder<'_> {
    /// For overload resolution: None while the type is open.
    pub fn open_type(expr: &Expr) -> Option<Type> {
        Some(expr.data_type().base()).filter(|data_type| *data_type != Type::UNKNOWN)
    }

    /// The type modifier an expression's values are known to obey.
    pub fn modifier(&self, expr: &Expr) -> i32 {
        match expr {
            Expr::Column { index, .. } => self.columns.get(*index).map_or(-1, |info| info.modifier),
            Expr::Cast { modifier, .. } => *modifier,
            Expr::Sublink(link) if link.columns.len() == 1 => self.columns[link.columns[0]].modifier,
            // What all the values agree on.
            Expr::Array { elements, .. } => self.common_modifier(elements.iter(), expr.data_type()),
            Expr::Coalesce { arguments, .. } | Expr::MinMax { arguments, .. } => {
                self.common_modifier(arguments.iter(), expr.data_type())
            }
            Expr::Case { arms, otherwise: Some(otherwise), .. } => {
                let results = arms.iter().map(|(_, result)| result).chain([&**otherwise]);
                self.common_modifier(results, expr.data_type())
            }
            Expr::NullIf { left, .. } => self.modifier(left),
            _ => -1,
        }
    }

    fn common_modifier<'e>(&self, mut values: impl Iterator<Item = &'e Expr>, to: Type) -> i32 {
        let element = to.element().filter(|_| to.is_array());
        let known = |value: &Expr| match value.data_type() {
            same if same == to || Some(same) == element => self.modifier(value),
            _ => -1,
        };
        let Some(first) = values.next().map(known) else { return -1 };
        if values.all(|value| known(value) == first) { first } else { -1 }
    }

    /// Casts for this context; None if there is no such cast.
    pub fn coerce(
        &mut self,
        expr: Expr,
        to: Type,
        modifier: i32,
        context: CastContext,
        position: usize,
    ) -> Result<Option<Expr>> {
        let from = expr.data_type();
        let explicit = context == CastContext::Explicit;
        match expr {
            _ if matches!(to, Type::ANY | Type::ANYELEMENT | Type::ANYARRAY | Type::UNKNOWN) => {
                Ok(Some(if to == Type::UNKNOWN { expr } else { self.resolve_unknown(expr)? }))
            }
            Expr::Constant { value: Datum::Null, data_type: Type::UNKNOWN } if !to.is_domain() => {
                Ok(Some(Expr::Constant { value: Datum::Null, data_type: to }))
            }
            // What a domain makes of a literal is for the time it runs, as for any other expression.
            Expr::Constant { value, data_type: Type::UNKNOWN } if to.is_domain() => {
                let modifier = to.base_modifier();
                let literal = Expr::Constant { value, data_type: Type::UNKNOWN };
                let base = self.coerce(literal, to.base(), modifier, CastContext::Assignment, position)?;
                Ok(base.map(|operand| Expr::Cast {
                    operand: Box::new(operand),
                    method: CastMethod::Domain,
                    to,
                    modifier: -1,
                    explicit,
                }))
            }
            Expr::Constant { value, data_type: Type::UNKNOWN } => {
                let written = |literal: &(Arc<str>, usize)| match &value {
                    Datum::Text(text) if Arc::ptr_eq(&literal.0, text) => Some(literal.1),
                    _ => None,
                };
                let literal = value.clone();
                let value =
                    cast_datum(value.clone(), Type::UNKNOWN, to, modifier, explicit, self.context.eval)
                        .map_err(|error| {
                            error.at(self.literals.iter().find_map(written).unwrap_or(position))
                        })?;
                self.spell_literal(&literal, &value, to);
                Ok(Some(Expr::Constant { value, data_type: to }))
            }
            Expr::Parameter { index, data_type: Type::UNKNOWN } => {
                match self.parameters[index] {
                    None => self.parameters[index] = Some(to),
                    Some(known) if known == to => {}
                    Some(known) => {
                        return Err(Error::new(
                            SqlState::AMBIGUOUS_PARAMETER,
                            format!("inconsistent types deduced for parameter ${}", index + 1),
                        )
                        .detail(format!("{} versus {}", display(known), display(to)))
                        .at(position));
                    }
                }
                let parameter = Expr::Parameter { index, data_type: to };
                Ok(Some(self.with_modifier(parameter, to, modifier, explicit)))
            }
            // A whole row that may be missing: as the row is.
            Expr::Case { operand: None, arms, otherwise: Some(row), result: Type::RECORD }
                if to.is_row() && row.row_shape().is_some() =>
            {
                let row = self.coerce(*row, to, modifier, context, position)?;
                let arms = arms.into_iter().map(|(condition, _)| (condition, Expr::null(to))).collect();
                Ok(row.map(|row| Expr::Case {
                    operand: None,
                    arms,
                    otherwise: Some(Box::new(row)),
                    result: to,
                }))
            }
            // ROW(…) as a composite type: each field by itself.
            Expr::Row { fields, data_type: Type::RECORD, .. } if to.is_row() => {
                let Some(template) = to.row_template() else { return Ok(None) };
                if fields.len() != template.len() {
                    let few = if fields.len() < template.len() { "few" } else { "many" };
                    let error = cannot_cast(from, to).detail(format!("Input has too {few} columns."));
                    return Err(error.at(position));
                }
                let mut cast = Vec::with_capacity(fields.len());
                let types: Vec<Type> = template.iter().map(|(data_type, _)| *data_type).collect();
                for (field, data_type) in fields.into_iter().zip(&types) {
                    match self.coerce(field, *data_type, -1, context, position)? {
                        Some(field) => cast.push(field),
                        None => return Ok(None),
                    }
                }
                Ok(Some(Expr::Row { fields: cast, types, names: template.names, data_type: to }))
            }
            expr if from == to => Ok(Some(self.with_modifier(expr, to, modifier, explicit))),
            // A row or array constructor hands the cast on to its elements.
            Expr::Array { elements, .. }
                if to.is_array() && elements.iter().all(|e| !e.data_type().is_array()) =>
            {
                let element = to.element().expect("array types have elements");
                let mut cast = Vec::with_capacity(elements.len());
                for item in elements {
                    match self.coerce(item, element, modifier, context, position)? {
                        Some(item) => cast.push(item),
                        None => return Ok(None),
                    }
                }
                Ok(Some(Expr::Array { elements: cast, element, result: to }))
            }
            expr => Ok(find_cast(from, to, context).map(|method| Expr::Cast {
                operand: Box::new(expr),
                method,
                to,
                modifier,
                explicit,
            })),
        }
    }

    /// Applies length or precision where the values may not obey it yet.
    pub(super) fn with_modifier(&self, expr: Expr, to: Type, modifier: i32, explicit: bool) -> Expr {
        if modifier == -1 || self.modifier(&expr) == modifier {
            return expr;
        }
        let method = find_cast(to, to, CastContext::Implicit).unwrap_or(CastMethod::Relabel);
        Expr::Cast { operand: Box::new(expr), method, to, modifier, explicit }
    }

    /// As [`Binder::coerce`] for contexts where the function resolution has already said that it works.
    pub fn coerce_argument(&mut self, expr: Expr, to: Type, position: usize) -> Result<Expr> {
        let from = expr.data_type();
        // Resolution has seen to it that the casts are implicit ones, but for what concat(), format() and || turn into text.
        self.coerce(expr, to, -1, CastContext::Assignment, position)?
            .ok_or_else(|| cannot_cast(from, to).at(position))
    }

    pub fn coerce_boolean(&mut self, expr: Expr, what: &str, position: usize) -> Result<Expr> {
        let from = expr.data_type();
        self.coerce(expr, Type::BOOL, -1, CastContext::Assignment, position)?
            .filter(|_| from == Type::BOOL || from == Type::UNKNOWN)
            .ok_or_else(|| {
                Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("argument of {what} must be type boolean, not type {}", display(from)),
                )
                .at(position)
            })
    }

    /// Brings expressions to one type (CASE, COALESCE, ARRAY, …).
    pub fn coerce_common(
        &mut self,
        exprs: Vec<Expr>,
        construct: &str,
        position: usize,
    ) -> Result<(Vec<Expr>, Type)> {
        let types: Vec<Option<Type>> =
            exprs.iter().map(|expr| Self::open_type(expr).map(|_| expr.data_type())).collect();
        let common = common_type(&types, construct).map_err(|error| error.at(position))?;
        let exprs = exprs
            .into_iter()
            .map(|expr| {
                let from = expr.data_type();
                self.coerce(expr, common, -1, CastContext::Implicit, position)?.ok_or_else(|| {
                    Error::new(
                        SqlState::CANNOT_COERCE,
                        format!(
                            "{construct} could not convert type {} to {}",
                            display(from),
                            display(common)
                        ),
                    )
                    .at(position)
                })
            })
            .collect::<Result<_>>()?;
        Ok((exprs, common))
    }

    /// What nothing gave a type is text.
    pub fn resolve_unknown(&mut self, expr: Expr) -> Result<Expr> {
        match expr.data_type() {
            Type::UNKNOWN => self.coerce_argument(expr, Type::TEXT, 0),
            _ => Ok(expr),
        }
    }
}

pub fn cannot_cast(from: Type, to: Type) -> Error {
    Error::new(SqlState::CANNOT_COERCE, format!("cannot cast type {} to {}", display(from), display(to)))
}
