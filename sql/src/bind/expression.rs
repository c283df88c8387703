//! Expressions.

use super::coerce::{cannot_cast, display, type_name};
use super::{Binder, BoundQuery, Clause, CteBinding, CteName};
use crate::error::{Error, Result, SqlState};
use crate::expr::{Expr, conjuncts};
use crate::functions::{CastContext, cast_datum, resolve_operator};
use crate::parse::ast;
use crate::plan::logical::{Sublink, SublinkKind};
use crate::types::{Datum, Type};
use std::sync::Arc;

impl Binder<'_> {
    pub fn exprs(&mut self, exprs: &[ast::Expr]) -> Result<Vec<Expr>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    pub fn expr(&mut self, expr: &ast::Expr) -> Result<Expr> {
        use ast::Expr as E;
        match expr {
            E::Literal(literal, position) => {
                self.literal(literal, *position).map_err(|error| error.at(*position))
            }
            E::Parameter(number, position) => self.parameter(*number, *position),
            E::Column(parts, position) => self.resolve_column(parts, *position),
            // `t.*` where it can't be expanded is the row.
            E::Star(parts, position) if !parts.is_empty() => self.resolve_column(parts, *position),
            E::Star(_, position) => {
                Err(Error::new(SqlState::SYNTAX_ERROR, "row expansion via \"*\" is not supported here")
                    .at(*position))
            }
            E::Unary { operator, operand, position } => {
                if operator == "-"
                    && let E::Literal(ast::Literal::Number(digits), _) = &**operand
                {
                    return self.number(&format!("-{digits}"));
                }
                let operand = self.expr(operand)?;
                self.operator(operator, vec![operand], *position)
            }
            E::Binary { .. } => self.binary(expr),
            E::And(terms) => Ok(Expr::And(self.booleans(terms, "AND")?)),
            E::Or(terms) => Ok(Expr::Or(self.booleans(terms, "OR")?)),
            E::Not(operand) => {
                let operand = self.expr(operand)?;
                Ok(negate(self.coerce_boolean(operand, "NOT", 0)?))
            }
            E::IsNull { operand, negated } => {
                // This gives an untyped parameter no type (42P18), as in PostgreSQL.
                let operand = Box::new(self.expr(operand)?);
                Ok(Expr::IsNull { operand, negated: *negated })
            }
            E::IsBool { operand, value, negated } => {
                let word = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                let what = if *negated { format!("IS NOT {word}") } else { format!("IS {word}") };
                let operand = self.expr(operand)?;
                let operand = Box::new(self.coerce_boolean(operand, &what, 0)?);
                Ok(Expr::IsBool { operand, value: *value, negated: *negated })
            }
            E::IsDistinctFrom { left, right, negated, position } => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                let resolved = resolve_operator("=", &[Self::open_type(&left), Self::open_type(&right)])
                    .map_err(|error| error.at(*position))?;
                Ok(Expr::IsDistinctFrom {
                    equals: resolved.function,
                    left: Box::new(self.coerce_argument(left, resolved.arguments[0], *position)?),
                    right: Box::new(self.coerce_argument(right, resolved.arguments[1], *position)?),
                    negated: *negated,
                })
            }
            E::Between { operand, low, high, negated, symmetric, position } => {
                self.between(operand, low, high, *negated, *symmetric, *position)
            }
            E::InList { operand, list, negated, position } => {
                self.in_list(operand, list, *negated, *position)
            }
            E::InSubquery { operand, query, negated, position } => {
                let link = self.any_sublink(operand, "=", false, query, *position)?;
                Ok(if *negated { negate(link) } else { link })
            }
            E::Quantified { operand, operator, all, array, position } => {
                self.quantified_array(operand, operator, *all, array, *position)
            }
            E::QuantifiedSubquery { operand, operator, all, query, position } => {
                self.any_sublink(operand, operator, *all, query, *position)
            }
            E::Like { operand, pattern, escape, kind, negated, position } => {
                self.like(operand, pattern, escape.as_deref(), *kind, *negated, *position)
            }
            E::Exists { query, negated } => {
                let link = self.sublink(SublinkKind::Exists, query, Type::BOOL, 0)?;
                Ok(if *negated { negate(link) } else { link })
            }
            E::Subquery(query, position) => self.scalar_sublink(query, *position),
            E::ArraySubquery(query, position) => self.array_sublink(query, *position),
            E::Array(elements, position) => self.array(elements, *position),
            E::Row(fields, _) => {
                let mut bound = Vec::with_capacity(fields.len());
                for field in fields {
                    let field = self.expr(field)?;
                    bound.push(self.resolve_unknown(field)?);
                }
                let types = bound.iter().map(Expr::data_type).collect();
                Ok(Expr::Row { fields: bound, types, names: None, data_type: Type::RECORD })
            }
            E::Subscript { operand, subscripts, position } => self.subscript(operand, subscripts, *position),
            E::Field { operand, field, position } => self.field(operand, field, *position),
            E::Function(call) => self.call(call),
            E::Cast { operand, to, position } => self.cast(operand, to, *position),
            E::TypedLiteral { to, value, position } => {
                let (data_type, modifier) = type_name(to)?;
                let value = cast_datum(
                    Datum::Text(value.as_str().into()),
                    Type::UNKNOWN,
                    data_type,
                    modifier,
                    true,
                    self.context.eval,
                )
                .map_err(|error| error.at(*position))?;
                Ok(self.with_modifier(Expr::Constant { value, data_type }, data_type, modifier, true))
            }
            E::Case { operand, arms, otherwise, position } => {
                self.case(operand.as_deref(), arms, otherwise.as_deref(), *position)
            }
            E::Coalesce(arguments, position) => {
                let arguments = self.exprs(arguments)?;
                let (arguments, result) = self.coerce_common(arguments, "COALESCE", *position)?;
                Ok(Expr::Coalesce { arguments, result })
            }
            E::NullIf(left, right, position) => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                let left = match (Self::open_type(&left), Self::open_type(&right)) {
                    (None, Some(data_type)) => self.coerce_argument(left, data_type, *position)?,
                    _ => self.resolve_unknown(left)?,
                };
                let equals = self.operator("=", vec![left.clone(), right], *position)?;
                Ok(Expr::NullIf { left: Box::new(left), equals: Box::new(equals) })
            }
            E::MinMax { greatest, arguments, position } => {
                let arguments = self.exprs(arguments)?;
                let construct = if *greatest { "GREATEST" } else { "LEAST" };
                let (arguments, result) = self.coerce_common(arguments, construct, *position)?;
                let resolved = resolve_operator("<", &[Some(result), Some(result)])
                    .map_err(|error| error.at(*position))?;
                let arguments = arguments
                    .into_iter()
                    .map(|argument| self.coerce_argument(argument, resolved.arguments[0], *position))
                    .collect::<Result<Vec<_>>>()?;
                let result = arguments.first().map_or(result, Expr::data_type);
                Ok(Expr::MinMax { greatest: *greatest, less: resolved.function, arguments, result })
            }
            E::AtTimeZone { operand, zone, position } => {
                let (operand, zone) = (self.expr(operand)?, self.expr(zone)?);
                self.function_of("timezone", vec![zone, operand], *position)
            }
            E::Collate { operand, collation, position } => {
                crate::ddl::names::collation(collation).map_err(|error| error.at(*position))?;
                self.expr(operand)
            }
            E::SpecialFunction { name, precision, position } => {
                self.special_function(name, *precision, *position)
            }
            E::Default(position) => {
                Err(Error::new(SqlState::SYNTAX_ERROR, "DEFAULT is not allowed in this context")
                    .at(*position))
            }
            E::Grouping(arguments, position) => self.grouping(arguments, *position),
        }
    }

    /// In a clause that takes no aggregates and no set-returning functions.
    pub fn plain_expr(&mut self, expr: &ast::Expr, clause: &'static str) -> Result<Expr> {
        self.within(Clause::plain(clause), |binder| binder.expr(expr))
    }

    fn literal(&mut self, literal: &ast::Literal, position: usize) -> Result<Expr> {
        Ok(match literal {
            ast::Literal::Null => Expr::null(Type::UNKNOWN),
            ast::Literal::Bool(value) => Expr::bool(*value),
            ast::Literal::Number(digits) => return self.number(digits),
            ast::Literal::String(text) => {
                let text: Arc<str> = text.as_str().into();
                self.literals.push((text.clone(), position));
                Expr::Constant { value: Datum::Text(text), data_type: Type::UNKNOWN }
            }
            ast::Literal::Bits(digits) => Expr::Constant {
                value: Datum::text(crate::types::bits::parse(digits)?),
                data_type: Type::BIT,
            },
        })
    }

    fn number(&self, digits: &str) -> Result<Expr> {
        if let Ok(value) = digits.parse::<i32>() {
            return Ok(Expr::Constant { value: Datum::Int4(value), data_type: Type::INT4 });
        }
        if let Ok(value) = digits.parse::<i64>() {
            return Ok(Expr::Constant { value: Datum::Int8(value), data_type: Type::INT8 });
        }
        let text = Datum::Text(digits.into());
        let value = cast_datum(text, Type::UNKNOWN, Type::NUMERIC, -1, false, self.context.eval)?;
        Ok(Expr::Constant { value, data_type: Type::NUMERIC })
    }

    fn parameter(&mut self, number: u32, position: usize) -> Result<Expr> {
        const PARAMETERS_MAX: u32 = 65535;
        if number == 0 || number > PARAMETERS_MAX {
            return Err(Error::new(
                SqlState::UNDEFINED_PARAMETER,
                format!("there is no parameter ${number}"),
            )
            .at(position));
        }
        if let Some(variables) = self.context.variables {
            let missing =
                || Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${number}"));
            let (index, data_type) = variables.numbered(number).ok_or_else(|| missing().at(position))?;
            return Ok(self.variable(index, data_type));
        }
        let index = number as usize - 1;
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        Ok(Expr::Parameter { index, data_type: self.parameters[index].unwrap_or(Type::UNKNOWN) })
    }

    /// A variable of the function whose statement is bound.
    pub fn variable(&mut self, index: usize, data_type: Type) -> Expr {
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        self.parameters[index] = Some(data_type);
        Expr::Parameter { index, data_type }
    }

    fn booleans(&mut self, terms: &[ast::Expr], what: &str) -> Result<Vec<Expr>> {
        let mut bound = Vec::with_capacity(terms.len());
        for term in terms {
            let term = self.expr(term)?;
            bound.push(self.coerce_boolean(term, what, 0)?);
        }
        Ok(bound)
    }

    /// Left-deep chains (`a + b + c …`) are walked in a loop: they may be long.
    fn binary(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let mut chain = Vec::new();
        let mut at = expr;
        while let ast::Expr::Binary { operator, left, right, position } = at {
            chain.push((operator, right, *position));
            at = left;
        }
        let mut result = match (chain.last(), at) {
            // A row's comparison is taken apart before it would become a value.
            (Some((operator, right, position)), ast::Expr::Row(left, _)) => {
                let (operator, right, position) = (*operator, *right, *position);
                chain.pop();
                self.row_comparison(operator, left, right, position)?
            }
            _ => self.expr(at)?,
        };
        while let Some((operator, right, position)) = chain.pop() {
            let right = self.expr(right)?;
            result = self.operator(operator, vec![result, right], position)?;
        }
        Ok(result)
    }

    pub fn operator(&mut self, operator: &str, operands: Vec<Expr>, position: usize) -> Result<Expr> {
        let types: Vec<Option<Type>> = operands.iter().map(Self::open_type).collect();
        // Rows built on the spot are compared field by field; rows of a type, whose fields have names, as values: two nulls are equal.
        if let [Expr::Row { fields: a, names: None, .. }, Expr::Row { fields: b, names: None, .. }] =
            operands.as_slice()
        {
            return self.compare_rows(operator, a.clone(), b.clone(), position);
        }
        let resolved = resolve_operator(operator, &types).map_err(|error| error.at(position))?;
        let arguments = operands
            .into_iter()
            .zip(&resolved.arguments)
            .map(|(operand, to)| self.coerce_argument(operand, *to, position))
            .collect::<Result<Vec<_>>>()?;
        Ok(Expr::Call { function: resolved.function, arguments, result: resolved.result })
    }

    fn row_comparison(
        &mut self,
        operator: &str,
        left: &[ast::Expr],
        right: &ast::Expr,
        position: usize,
    ) -> Result<Expr> {
        if let ast::Expr::Row(right, _) = right {
            let (left, right) = (self.exprs(left)?, self.exprs(right)?);
            return self.compare_rows(operator, left, right, position);
        }
        if let ast::Expr::Subquery(query, _) = right {
            let operands = self.exprs(left)?;
            return self.link_with(SublinkKind::Any, operands, operator, query, position);
        }
        let row = self.expr(&ast::Expr::Row(left.to_vec(), position))?;
        let right = self.expr(right)?;
        self.operator(operator, vec![row, right], position)
    }

    /// `(a, b) = (c, d)`: by fields; `<` and the like: by the first field that differs.
    fn compare_rows(
        &mut self,
        operator: &str,
        left: Vec<Expr>,
        right: Vec<Expr>,
        position: usize,
    ) -> Result<Expr> {
        if left.len() != right.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions")
                .at(position));
        }
        if left.is_empty() {
            return Err(Error::unsupported("comparing rows of no columns").at(position));
        }
        let pairs: Vec<(Expr, Expr)> = left.into_iter().zip(right).collect();
        match operator {
            "=" | "<>" | "!=" => {
                let terms = pairs
                    .into_iter()
                    .map(|(a, b)| self.operator(operator, vec![a, b], position))
                    .collect::<Result<Vec<_>>>()?;
                Ok(if operator == "=" { Expr::And(terms) } else { Expr::Or(terms) })
            }
            "<" | "<=" | ">" | ">=" => {
                let strict = &operator[..1];
                // a < x OR (a = x AND (b < y OR …))
                let mut result: Option<Expr> = None;
                for (a, b) in pairs.into_iter().rev() {
                    result = Some(match result {
                        None => self.operator(operator, vec![a, b], position)?,
                        Some(rest) => {
                            let less = self.operator(strict, vec![a.clone(), b.clone()], position)?;
                            let equal = self.operator("=", vec![a, b], position)?;
                            Expr::Or(vec![less, Expr::And(vec![equal, rest])])
                        }
                    });
                }
                result.ok_or_else(|| Error::internal("a row without fields"))
            }
            _ => Err(Error::unsupported(format!("operator {operator} on rows")).at(position)),
        }
    }

    fn between(
        &mut self,
        operand: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        negated: bool,
        symmetric: bool,
        position: usize,
    ) -> Result<Expr> {
        let operand = self.expr(operand)?;
        let (low, high) = (self.expr(low)?, self.expr(high)?);
        let mut inside = |low: Expr, high: Expr, operand: Expr| -> Result<Expr> {
            let terms = match negated {
                false => [(">=", low), ("<=", high)],
                true => [("<", low), (">", high)],
            }
            .into_iter()
            .map(|(operator, bound)| self.operator(operator, vec![operand.clone(), bound], position))
            .collect::<Result<Vec<_>>>()?;
            Ok(if negated { Expr::Or(terms) } else { Expr::And(terms) })
        };
        if !symmetric {
            return inside(low, high, operand);
        }
        let both = vec![inside(low.clone(), high.clone(), operand.clone())?, inside(high, low, operand)?];
        Ok(if negated { Expr::And(both) } else { Expr::Or(both) })
    }

    fn in_list(
        &mut self,
        operand: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        position: usize,
    ) -> Result<Expr> {
        if let ast::Expr::Row(left, _) = operand {
            let mut terms = Vec::with_capacity(list.len());
            for item in list {
                terms.push(self.row_comparison("=", left, item, position)?);
            }
            let any = Expr::Or(terms);
            return Ok(if negated { negate(any) } else { any });
        }
        let operand = self.expr(operand)?;
        let list = self.exprs(list)?;
        let operator = if negated { "<>" } else { "=" };
        if list.len() == 1 {
            let item = list.into_iter().next().expect("its length is one");
            return self.operator(operator, vec![operand, item], position);
        }
        let types: Vec<Option<Type>> = std::iter::once(&operand).chain(&list).map(Self::open_type).collect();
        let common = match crate::functions::common_type(&types, "IN") {
            Ok(common) => common,
            // No common type: PostgreSQL then compares with each by itself.
            Err(_) => {
                let terms = list
                    .into_iter()
                    .map(|item| self.operator(operator, vec![operand.clone(), item], position))
                    .collect::<Result<Vec<_>>>()?;
                return Ok(if negated { Expr::And(terms) } else { Expr::Or(terms) });
            }
        };
        let resolved =
            resolve_operator(operator, &[Some(common), Some(common)]).map_err(|error| error.at(position))?;
        let operand = self.coerce_argument(operand, resolved.arguments[0], position)?;
        let list = list
            .into_iter()
            .map(|item| {
                // A parameter is of the common type, even where another one compares.
                let item = match item {
                    Expr::Parameter { .. } => self.coerce_argument(item, common, position)?,
                    item => item,
                };
                self.coerce_argument(item, resolved.arguments[1], position)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Expr::Quantified {
            comparison: resolved.function,
            operand: Box::new(operand),
            list,
            array: false,
            all: negated,
        })
    }

    fn quantified_array(
        &mut self,
        operand: &ast::Expr,
        operator: &str,
        all: bool,
        array: &ast::Expr,
        position: usize,
    ) -> Result<Expr> {
        let operand = self.expr(operand)?;
        let array = self.expr(array)?;
        let element = match Self::open_type(&array) {
            None => None,
            Some(data_type) => Some(data_type.element().ok_or_else(|| {
                Error::new(SqlState::WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires array on right side")
                    .at(position)
            })?),
        };
        let resolved = resolve_operator(operator, &[Self::open_type(&operand), element])
            .map_err(|error| error.at(position))?;
        if resolved.result != Type::BOOL {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires operator to yield boolean",
            )
            .at(position));
        }
        let operand = self.coerce_argument(operand, resolved.arguments[0], position)?;
        let of = resolved.arguments[1];
        let array_type = match (element, of.array_of()) {
            (Some(element), Some(_)) if element == of => array.data_type(),
            (_, Some(array_type)) => array_type,
            (_, None) => array.data_type(),
        };
        let array = self.coerce_argument(array, array_type, position)?;
        Ok(Expr::Quantified {
            comparison: resolved.function,
            operand: Box::new(operand),
            list: vec![array],
            array: true,
            all,
        })
    }

    fn like(
        &mut self,
        operand: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        kind: ast::LikeKind,
        negated: bool,
        position: usize,
    ) -> Result<Expr> {
        let operand = self.expr(operand)?;
        let mut pattern = self.expr(pattern)?;
        let escape = escape.map(|escape| self.expr(escape)).transpose()?;
        let operator = match (kind, negated) {
            (ast::LikeKind::Like, false) => "~~",
            (ast::LikeKind::Like, true) => "!~~",
            (ast::LikeKind::ILike, false) => "~~*",
            (ast::LikeKind::ILike, true) => "!~~*",
            (ast::LikeKind::SimilarTo, false) => "~",
            (ast::LikeKind::SimilarTo, true) => "!~",
        };
        match (kind, escape) {
            (ast::LikeKind::SimilarTo, escape) => {
                let arguments = std::iter::once(pattern).chain(escape).collect();
                pattern = self.function_of("similar_to_escape", arguments, position)?;
            }
            (_, Some(escape)) => {
                pattern = self.function_of("like_escape", vec![pattern, escape], position)?
            }
            (_, None) => {}
        }
        self.operator(operator, vec![operand, pattern], position)
    }

    fn array(&mut self, elements: &[ast::Expr], position: usize) -> Result<Expr> {
        if elements.is_empty() {
            return Err(Error::new(SqlState::INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
                .at(position));
        }
        let elements = self.exprs(elements)?;
        let (elements, element) = self.coerce_common(elements, "ARRAY", position)?;
        // Nested constructors make one array of more dimensions.
        if let Some(inner) = element.element().filter(|_| element.is_array()) {
            return Ok(Expr::Array { elements, element: inner, result: element });
        }
        let result = element.array_of().ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", display(element)),
            )
            .at(position)
        })?;
        Ok(Expr::Array { elements, element, result })
    }

    fn subscript(
        &mut self,
        operand: &ast::Expr,
        subscripts: &[ast::Subscript],
        position: usize,
    ) -> Result<Expr> {
        let operand = self.expr(operand)?;
        self.subscript_of(operand, subscripts, position)
    }

    pub(super) fn subscript_of(
        &mut self,
        operand: Expr,
        subscripts: &[ast::Subscript],
        position: usize,
    ) -> Result<Expr> {
        let data_type = operand.data_type().base();
        if data_type == Type::JSONB {
            let mut arguments = vec![operand];
            arguments.extend(self.jsonb_path(subscripts, position)?);
            return self.function_of("jsonb_extract_path", arguments, position);
        }
        if data_type == Type::HSTORE {
            let key = self.hstore_key(subscripts, position)?;
            return self.operator("->", vec![operand, key], position);
        }
        if let (Type::NAME, [ast::Subscript::Index(index)]) = (data_type, subscripts) {
            // An array of its characters, from 0.
            let index = self.expr(index)?;
            let one = |value| Expr::Constant { value: Datum::Int4(value), data_type: Type::INT4 };
            let place = self.operator("+", vec![index, one(1)], position)?;
            let text = self.coerce_argument(operand, Type::TEXT, position)?;
            let character = self.function_of("substr", vec![text, place, one(1)], position)?;
            return self.coerce_argument(character, Type::CHAR, position);
        }
        let part = crate::types::geometry::part_of(data_type);
        let element = data_type.element().or(part).ok_or_else(|| {
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    display(data_type)
                ),
            )
            .at(position)
        })?;
        let mut index = |expr: &ast::Expr| -> Result<Expr> {
            let expr = self.expr(expr)?;
            self.coerce(expr, Type::INT4, -1, CastContext::Assignment, position)?.ok_or_else(|| {
                Error::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer").at(position)
            })
        };
        let mut bound = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            bound.push(match subscript {
                ast::Subscript::Index(expr) => (Some(index(expr)?), None, false),
                ast::Subscript::Field(_) => return Err(Error::internal("a field among subscripts")),
                ast::Subscript::Slice(lower, upper) => (
                    lower.as_ref().map(&mut index).transpose()?,
                    upper.as_ref().map(&mut index).transpose()?,
                    true,
                ),
            });
        }
        let is_slice = bound.iter().any(|(_, _, slice)| *slice);
        if is_slice && part.is_some() {
            let message = "slices of fixed-length arrays not implemented";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
        }
        let result = if is_slice { data_type } else { element };
        Ok(Expr::Subscript { operand: Box::new(operand), subscripts: bound, result })
    }

    /// jsonb's subscripts as the texts of a path.
    pub(super) fn jsonb_path(&mut self, subscripts: &[ast::Subscript], position: usize) -> Result<Vec<Expr>> {
        let mut path = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            let ast::Subscript::Index(expr) = subscript else {
                let message = "jsonb subscript does not support slices";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
            };
            let step = self.expr(expr)?;
            let from = step.data_type();
            let fits = matches!(from.category(), 'S' | 'X') || from == Type::INT4 || from == Type::INT2;
            if !fits {
                let message = format!("subscript type {} is not supported", display(from));
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .hint("jsonb subscript must be coercible to either integer or text.")
                    .at(position));
            }
            path.push(self.coerce_argument(step, Type::TEXT, position)?);
        }
        Ok(path)
    }

    /// hstore's one subscript, a key.
    pub(super) fn hstore_key(&mut self, subscripts: &[ast::Subscript], position: usize) -> Result<Expr> {
        let [ast::Subscript::Index(key)] = subscripts else {
            let message = "hstore allows only one subscript";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
        };
        let key = self.expr(key)?;
        self.coerce(key, Type::TEXT, -1, CastContext::Assignment, position)?.ok_or_else(|| {
            let message = "hstore subscript must have type text";
            Error::new(SqlState::DATATYPE_MISMATCH, message).at(position)
        })
    }

    fn field(&mut self, operand: &ast::Expr, field: &str, position: usize) -> Result<Expr> {
        // `(t).a`, and `(f(x)).column` of what FROM has.
        if let ast::Expr::Column(parts, _) = operand {
            let mut parts = parts.clone();
            parts.push(field.into());
            if let Some(found) = self.find_column(&parts, position)? {
                return Ok(found);
            }
        }
        let bound = self.expr(operand)?;
        if let Some((fields, names)) = bound.row_shape()
            && let Some(index) = names.iter().position(|name| name == field)
        {
            let result = fields[index].data_type();
            return Ok(match &bound {
                Expr::Row { fields, .. } => fields[index].clone(),
                _ => Expr::Field { operand: Box::new(bound), index, result },
            });
        }
        if let Some(template) = bound.data_type().row_template() {
            let names = template.names.as_deref().unwrap_or_default();
            let Some(index) = names.iter().position(|name| name == field) else {
                let message = format!(
                    "column \"{field}\" not found in data type {}",
                    bound.data_type().base().display()
                );
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(position));
            };
            let result = template[index].0;
            return Ok(Expr::Field { operand: Box::new(bound), index, result });
        }
        if let Expr::Row { fields, .. } = &bound
            && let Some(index) = field.strip_prefix('f').and_then(|n| n.parse::<usize>().ok())
            && let Some(value) = fields.get(index.wrapping_sub(1))
        {
            return Ok(value.clone());
        }
        if let Expr::Column { index: id, .. } = &bound
            && let Some(row) = &self.columns[*id].row
            && let Some(index) = row.iter().position(|(name, _)| name == field)
        {
            let result = row[index].1;
            return Ok(Expr::Field { operand: Box::new(bound), index, result });
        }
        if let Expr::Routine(call) = &bound
            && let Some(index) = call.columns.iter().position(|(name, _)| name == field)
            && call.is_row
        {
            let result = call.columns[index].1;
            return Ok(Expr::Field { operand: Box::new(bound), index, result });
        }
        Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("could not identify column \"{field}\" in record data type"),
        )
        .at(position))
    }

    fn cast(&mut self, operand: &ast::Expr, to: &ast::TypeName, position: usize) -> Result<Expr> {
        let (data_type, modifier) = type_name(to)?;
        if let ast::Expr::Array(elements, _) = operand
            && (data_type.is_array() || [Type::INT2VECTOR, Type::OIDVECTOR].contains(&data_type))
        {
            return self.cast_array(elements, (data_type, modifier), position);
        }
        let bound = self.expr(operand)?;
        self.explicit_cast(bound, (data_type, modifier), position)
    }

    fn explicit_cast(
        &mut self,
        bound: Expr,
        (data_type, modifier): (Type, i32),
        position: usize,
    ) -> Result<Expr> {
        let from = bound.data_type();
        let cast = self
            .coerce(bound, data_type, modifier, CastContext::Explicit, position)?
            .ok_or_else(|| cannot_cast(from, data_type).at(position))?;
        // A literal has become a constant of the type, which does not tell its length or precision.
        Ok(match cast {
            Expr::Constant { .. } => self.with_modifier(cast, data_type, modifier, true),
            cast => cast,
        })
    }

    /// `ARRAY[…]::type[]`: an empty one is fine, also within, and the elements are cast one by one.
    fn cast_array(
        &mut self,
        elements: &[ast::Expr],
        (data_type, modifier): (Type, i32),
        position: usize,
    ) -> Result<Expr> {
        let element = data_type.element().ok_or_else(|| Error::internal("an array type has elements"))?;
        let mut bound = Vec::with_capacity(elements.len());
        for item in elements {
            bound.push(match item {
                ast::Expr::Array(inner, at) => self.cast_array(inner, (data_type, modifier), *at)?,
                item => self.expr(item)?,
            });
        }
        let nested = bound.iter().any(|item| item.data_type().is_array());
        let to = if nested { data_type } else { element };
        let mut cast = Vec::with_capacity(bound.len());
        for item in bound {
            cast.push(self.explicit_cast(item, (to, modifier), position)?);
        }
        Ok(Expr::Array { elements: cast, element, result: data_type })
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        arms: &[(ast::Expr, ast::Expr)],
        otherwise: Option<&ast::Expr>,
        position: usize,
    ) -> Result<Expr> {
        let mut held = None;
        let subject = match operand {
            None => None,
            Some(operand) => {
                let operand = self.expr(operand)?;
                let operand = self.resolve_unknown(operand)?;
                // A simple operand is repeated in every arm; others are evaluated once, into a slot.
                Some(match operand {
                    Expr::Column { .. } | Expr::Constant { .. } | Expr::Parameter { .. } => operand,
                    operand => {
                        let (index, data_type) = (self.slots, operand.data_type());
                        self.slots += 1;
                        held = Some((Box::new(operand), index));
                        Expr::Slot { index, data_type }
                    }
                })
            }
        };
        let mut conditions = Vec::with_capacity(arms.len());
        let mut values = Vec::with_capacity(arms.len() + 1);
        for (condition, value) in arms {
            let condition = self.expr(condition)?;
            conditions.push(match &subject {
                None => self.coerce_boolean(condition, "CASE/WHEN", position)?,
                Some(subject) => self.operator("=", vec![subject.clone(), condition], position)?,
            });
            values.push(self.expr(value)?);
        }
        // PostgreSQL lets ELSE have the first say.
        values.insert(
            0,
            match otherwise {
                Some(otherwise) => self.expr(otherwise)?,
                None => Expr::null(Type::UNKNOWN),
            },
        );
        let (values, result) = self.coerce_common(values, "CASE", position)?;
        let mut values = values.into_iter();
        let otherwise_value = values.next().expect("ELSE was put in");
        let arms = conditions.into_iter().zip(values).collect();
        let otherwise = otherwise.is_some().then(|| Box::new(otherwise_value));
        Ok(Expr::Case { operand: held, arms, otherwise, result })
    }

    // ---- subqueries ----

    /// A query within an expression. It must not refer to a recursive query that it is a part of: how often it would run
    /// has no meaning.
    fn subquery(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        self.in_name_scope(|binder| {
            for at in 0..binder.cte_names.len() {
                let CteName { name, binding } = &binder.cte_names[at];
                let hidden = binder.cte_names[at + 1..].iter().any(|later| later.name == *name);
                if let (CteBinding::WorkTable { .. }, false) = (binding, hidden) {
                    let name = name.clone();
                    binder.cte_names.push(CteName { name, binding: CteBinding::Forbidden("a subquery") });
                }
            }
            binder.query(query)
        })
    }

    fn sublink(
        &mut self,
        kind: SublinkKind,
        query: &ast::Query,
        data_type: Type,
        _position: usize,
    ) -> Result<Expr> {
        let bound = self.subquery(query)?;
        Ok(self.finish_link(Sublink {
            kind,
            columns: bound.columns,
            plan: bound.plan,
            operands: Vec::new(),
            comparisons: Vec::new(),
            free: Default::default(),
            volatile: false,
            data_type,
        }))
    }

    fn finish_link(&mut self, mut link: Sublink) -> Expr {
        link.free = link.plan.free_columns();
        link.volatile = link.plan.is_volatile();
        Expr::Sublink(Box::new(link))
    }

    fn single_column(&self, link: Expr, position: usize) -> Result<Expr> {
        match link {
            Expr::Sublink(mut link) => {
                if link.columns.len() != 1 {
                    return Err(Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column")
                        .at(position));
                }
                let column = self.columns[link.columns[0]].data_type;
                link.data_type = match link.kind {
                    SublinkKind::Array if column.is_array() => column,
                    SublinkKind::Array => column.array_of().ok_or_else(|| {
                        Error::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!("could not find array type for data type {}", display(column)),
                        )
                    })?,
                    _ => column,
                };
                Ok(Expr::Sublink(link))
            }
            other => Ok(other),
        }
    }

    fn scalar_sublink(&mut self, query: &ast::Query, position: usize) -> Result<Expr> {
        let link = self.sublink(SublinkKind::Scalar, query, Type::UNKNOWN, position)?;
        self.single_column(link, position)
    }

    fn array_sublink(&mut self, query: &ast::Query, position: usize) -> Result<Expr> {
        let link = self.sublink(SublinkKind::Array, query, Type::UNKNOWN, position)?;
        self.single_column(link, position)
    }

    /// `(a, b) = (SELECT …)` in UPDATE: a record.
    pub fn row_sublink(&mut self, query: &ast::Query, position: usize) -> Result<(Expr, Vec<Type>)> {
        let link = self.sublink(SublinkKind::Row, query, Type::RECORD, position)?;
        let types = match &link {
            Expr::Sublink(link) => link.columns.iter().map(|id| self.columns[*id].data_type).collect(),
            _ => Vec::new(),
        };
        Ok((link, types))
    }

    fn any_sublink(
        &mut self,
        operand: &ast::Expr,
        operator: &str,
        all: bool,
        query: &ast::Query,
        position: usize,
    ) -> Result<Expr> {
        let operands = match operand {
            ast::Expr::Row(fields, _) => self.exprs(fields)?,
            other => vec![self.expr(other)?],
        };
        let kind = if all { SublinkKind::All } else { SublinkKind::Any };
        self.link_with(kind, operands, operator, query, position)
    }

    fn link_with(
        &mut self,
        kind: SublinkKind,
        operands: Vec<Expr>,
        operator: &str,
        query: &ast::Query,
        position: usize,
    ) -> Result<Expr> {
        let bound = self.subquery(query)?;
        if bound.columns.len() != operands.len() {
            let many = bound.columns.len() > operands.len();
            let message = if many { "subquery has too many columns" } else { "subquery has too few columns" };
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        let mut left = Vec::with_capacity(operands.len());
        let mut comparisons = Vec::with_capacity(operands.len());
        let mut outputs = Vec::with_capacity(operands.len());
        let mut columns = Vec::with_capacity(operands.len());
        for (operand, id) in operands.into_iter().zip(&bound.columns) {
            let column = self.column(*id);
            let resolved = resolve_operator(operator, &[Self::open_type(&operand), Some(column.data_type())])
                .map_err(|error| error.at(position))?;
            left.push(self.coerce_argument(operand, resolved.arguments[0], position)?);
            let right = self.coerce_argument(column, resolved.arguments[1], position)?;
            comparisons.push(resolved.function);
            let name = self.columns[*id].name.clone();
            let new = match &right {
                Expr::Column { index, .. } => *index,
                _ => self.output_column(&name, &right),
            };
            columns.push(new);
            outputs.push((new, right));
        }
        // Casts that the comparison needs go on top of the subquery.
        let cast = outputs.iter().any(|(_, expr)| !matches!(expr, Expr::Column { .. }));
        let plan = match cast {
            true => crate::plan::logical::Logical::Project { input: Box::new(bound.plan), outputs },
            false => bound.plan,
        };
        Ok(self.finish_link(Sublink {
            kind,
            plan,
            columns,
            operands: left,
            comparisons,
            free: Default::default(),
            volatile: false,
            data_type: Type::BOOL,
        }))
    }

    /// A condition as a list of conjuncts.
    pub fn condition(&mut self, expr: &ast::Expr, clause: &'static str) -> Result<Vec<Expr>> {
        let bound = self.plain_expr(expr, clause)?;
        let bound = self.coerce_boolean(bound, clause, 0)?;
        let mut out = Vec::new();
        conjuncts(bound, &mut out);
        Ok(out)
    }
}

pub fn negate(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => *inner,
        Expr::IsNull { operand, negated } => Expr::IsNull { operand, negated: !negated },
        other => Expr::Not(Box::new(other)),
    }
}
