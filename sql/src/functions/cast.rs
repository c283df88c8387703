//! Conversions between types: which exist in which context (pg_cast, and the automatic ones through text), and doing them.

use super::registry::{cast_fact, function_by_oid};
use super::{Body, CastContext, CastMethod, EvalContext};
use crate::catalog::system::deparse;
use crate::catalog::{FIRST_USER_OID, Relation};
use crate::error::{Error, Result, SqlState};
use crate::types::{ArrayValue, Datum, Type, apply_modifier, format_datum, parse_datum};

/// multirange_constructor1.
const RANGE_TO_MULTIRANGE: u32 = 4281;

/// The cast from one type to another allowed in this context.
pub fn find_cast(from: Type, to: Type, context: CastContext) -> Option<CastMethod> {
    if from == to || matches!(to, Type::ANY) {
        return Some(CastMethod::Relabel);
    }
    if to.is_domain() {
        let base = to.base();
        return (from == Type::UNKNOWN || find_cast(from, base, context).is_some())
            .then_some(CastMethod::Domain);
    }
    if from == Type::UNKNOWN {
        return Some(CastMethod::InputOutput);
    }
    if from.is_domain() {
        return find_cast(from.base(), to, context);
    }
    if from.is_row() && to == Type::RECORD {
        return Some(CastMethod::Relabel);
    }
    if from == Type::RECORD && to.is_row() {
        return Some(CastMethod::Row);
    }
    if from.0 >= FIRST_USER_OID && from.multirange_of_range() == Some(to) {
        return match context {
            CastContext::Explicit => function_by_oid(RANGE_TO_MULTIRANGE).map(CastMethod::Function),
            _ => None,
        };
    }
    if let Some(fact) = cast_fact(from, to) {
        let needed = match fact.context {
            'i' => CastContext::Implicit,
            'a' => CastContext::Assignment,
            _ => CastContext::Explicit,
        };
        if needed > context {
            return None;
        }
        return Some(match fact.method {
            // Binary-coercible in PostgreSQL, but held differently here (integer and oid): that cast, or what the function returns.
            'f' if function_by_oid(fact.function)?.result.repr() != to.repr() => CastMethod::InputOutput,
            'f' => CastMethod::Function(function_by_oid(fact.function)?),
            'b' if from.repr() == to.repr() => CastMethod::Relabel,
            _ => CastMethod::InputOutput,
        });
    }
    if let (Some(source), Some(target)) = (from.element(), to.element()) {
        if !to.is_array() {
            return None;
        }
        let method = find_cast(source, target, context)?;
        // int2vector and oidvector differ from arrays only in how they print.
        return match method {
            CastMethod::Relabel => Some(CastMethod::Relabel),
            _ => Some(CastMethod::Array),
        };
    }
    // Through text: to a string type in assignments, from one when asked for.
    let string = |t: Type| t.category() == 'S';
    match context {
        CastContext::Assignment | CastContext::Explicit if string(to) && !from.is_pseudo_but_record() => {
            Some(CastMethod::InputOutput)
        }
        CastContext::Explicit if string(from) && !to.is_pseudo() => Some(CastMethod::InputOutput),
        _ => None,
    }
}

impl Type {
    fn is_pseudo_but_record(self) -> bool {
        self.is_pseudo() && self != Type::RECORD && self != Type::CSTRING && self != Type::VOID
    }
}

/// Applies a cast to one value, with the target's type modifier (length, precision); `explicit` truncates where an assignment
/// would fail (varchar(n)).
pub fn cast_datum(
    value: Datum,
    from: Type,
    to: Type,
    modifier: i32,
    explicit: bool,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    if to.is_domain() {
        let base = to.base();
        let modifier = if modifier == -1 { to.base_modifier() } else { modifier };
        let converted = match from == base {
            true => apply_modifier(value, base, modifier, explicit)?,
            false => cast_datum(value, from, base, modifier, explicit, context)?,
        };
        super::domain::verify(&converted, to, context)?;
        return Ok(converted);
    }
    if value.is_null() {
        return Ok(Datum::Null);
    }
    let method = find_cast(from, to, CastContext::Explicit).ok_or_else(|| cannot_cast(from, to))?;
    let converted = match method {
        CastMethod::Relabel => value,
        CastMethod::Function(function) => match &function.body {
            Body::Scalar { scalar, .. } => scalar(&[value], context)?,
            _ => return Err(cannot_cast(from, to)),
        },
        CastMethod::InputOutput => {
            // The input function applies the modifier as an explicit cast does not: leave it to the end.
            let text = format_in_context(&value, from, context)?;
            let input_modifier = if to == Type::INTERVAL { modifier } else { -1 };
            parse_in_context(&text, to, input_modifier, context)?
        }
        CastMethod::Domain => return Err(Error::internal("a cast to a domain that is none")),
        CastMethod::Row => return cast_row(&value, to, explicit, context),
        CastMethod::Array => {
            let array = value.as_array().ok_or_else(|| cannot_cast(from, to))?;
            let target = to.element().ok_or_else(|| cannot_cast(from, to))?;
            let elements = array
                .elements
                .iter()
                .map(|element| {
                    cast_datum(element.clone(), array.element, target, modifier, explicit, context)
                })
                .collect::<Result<Vec<Datum>>>()?;
            return Ok(Datum::array(ArrayValue {
                element: target,
                dimensions: array.dimensions.clone(),
                elements,
            }));
        }
    };
    apply_modifier(converted, to, modifier, explicit)
}

/// A record's fields as those of a composite type.
fn cast_row(value: &Datum, to: Type, explicit: bool, context: &EvalContext<'_>) -> Result<Datum> {
    let (Some(record), Some(template)) = (value.as_record(), to.row_template()) else {
        return Err(cannot_cast(Type::RECORD, to));
    };
    if record.len() != template.len() {
        let few = if record.len() < template.len() { "few" } else { "many" };
        return Err(cannot_cast(Type::RECORD, to).detail(format!("Input has too {few} columns.")));
    }
    let fields = record.iter().zip(template.iter()).map(|((from, value), (to, _))| {
        Ok((*to, cast_datum(value.clone(), *from, *to, -1, explicit, context)?))
    });
    Ok(Datum::record(fields.collect::<Result<_>>()?))
}

pub fn cannot_cast(from: Type, to: Type) -> Error {
    let message = format!("cannot cast type {} to {}", from.display(), to.display());
    Error::new(SqlState::CANNOT_COERCE, message)
}

/// A value's text form where names of catalog objects are known: regclass and its kin.
pub fn format_in_context(value: &Datum, data_type: Type, context: &EvalContext<'_>) -> Result<String> {
    let Datum::Oid(oid) = value else { return Ok(format_datum(value, data_type, context.render)) };
    let name = match data_type {
        _ if *oid == 0 => None,
        Type::REGCLASS => {
            let catalog = context.services.catalog();
            catalog.relation(*oid).map(|relation| {
                let (schema, name) = match &relation {
                    Relation::Table(table) => (table.schema, table.name.clone()),
                    Relation::Sequence(sequence) => (sequence.schema, sequence.name.clone()),
                    Relation::Index(table, index) => (table.schema, table.indexes[*index].name.clone()),
                    Relation::System(system) => (system.schema, system.name.to_string()),
                };
                // Qualified only where the search path would find something else.
                let path = context.services.search_path();
                let visible = catalog
                    .find_relation(None, &name, &path)
                    .is_some_and(|found| relation_oid(&found) == *oid);
                match catalog.schema(schema) {
                    Some(schema) if !visible => {
                        format!(
                            "{}.{}",
                            super::text::quote_ident(&schema.name),
                            super::text::quote_ident(&name)
                        )
                    }
                    _ => super::text::quote_ident(&name),
                }
            })
        }
        Type::REGNAMESPACE => {
            context.services.catalog().schema(*oid).map(|schema| super::text::quote_ident(&schema.name))
        }
        Type::REGROLE => {
            let catalog = context.services.catalog();
            catalog.roles().find(|role| role.oid == *oid).map(|role| super::text::quote_ident(&role.name))
        }
        Type::REGPROC | Type::REGPROCEDURE if *oid >= crate::catalog::FIRST_USER_OID => {
            let catalog = context.services.catalog();
            let path = context.services.search_path();
            catalog.routine(*oid).map(|routine| match data_type {
                Type::REGPROC => deparse::routine_name(&catalog, &routine, &path),
                _ => deparse::routine_signature(&catalog, &routine, &path),
            })
        }
        Type::REGPROC | Type::REGPROCEDURE => {
            let known = super::function_by_oid(*oid).map(|function| (function.name, function.arguments));
            known.or_else(|| support_function(*oid)).map(|(name, arguments)| match data_type {
                Type::REGPROC => name.to_string(),
                _ => {
                    let arguments: Vec<String> =
                        arguments.iter().map(|argument| argument.display()).collect();
                    format!("{name}({})", arguments.join(","))
                }
            })
        }
        _ => None,
    };
    Ok(name.unwrap_or_else(|| format_datum(value, data_type, context.render)))
}

/// Name and arguments of a function that only catalogs name.
fn support_function(oid: u32) -> Option<(&'static str, &'static [Type])> {
    super::support_function(oid).map(|found| (found.name, found.arguments))
}

pub(super) fn relation_oid(relation: &Relation) -> u32 {
    match relation {
        Relation::Table(table) => table.oid,
        Relation::Sequence(sequence) => sequence.oid,
        Relation::Index(table, index) => table.indexes[*index].oid,
        Relation::System(system) => system.oid,
    }
}

/// [`parse_datum`] where names of catalog objects are known.
pub fn parse_in_context(
    text: &str,
    data_type: Type,
    modifier: i32,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    if data_type == Type::ACLITEM {
        let catalog = context.services.catalog();
        let item = crate::catalog::acl::parse_item(text, &catalog)?;
        return Ok(Datum::text(crate::catalog::acl::item_text(&item, &catalog)));
    }
    if data_type == Type::REGPROCEDURE && text.contains('(') {
        return procedure_named(text, context).map(Datum::Oid);
    }
    let named = matches!(data_type, Type::REGCLASS | Type::REGNAMESPACE | Type::REGROLE | Type::REGPROC);
    let trimmed = text.trim();
    if !named || trimmed == "-" || trimmed.bytes().all(|byte| byte.is_ascii_digit()) && !trimmed.is_empty() {
        let value = parse_datum(text, data_type, modifier, context.render)?;
        super::domain::verify(&value, data_type, context)?;
        return Ok(value);
    }
    let parts = split_identifier(text)?;
    let catalog = context.services.catalog();
    let oid = match (data_type, parts.as_slice()) {
        (Type::REGCLASS, [name]) => catalog.find_relation(None, name, &context.services.search_path()),
        (Type::REGCLASS, [schema, name] | [_, schema, name]) => {
            catalog.find_relation(Some(schema), name, &[])
        }
        _ => None,
    }
    .map(|relation| relation_oid(&relation));
    let oid = match (data_type, parts.as_slice()) {
        (Type::REGNAMESPACE, [name]) => catalog.find_schema(name).map(|schema| schema.oid),
        (Type::REGROLE, [name]) => catalog.roles().find(|role| role.name == *name).map(|role| role.oid),
        (Type::REGPROC, [name] | [_, name]) => {
            let schema = (parts.len() == 2).then(|| parts[0].as_str());
            let routines = catalog.routines_named(schema, name, &context.services.search_path());
            let mut found = super::functions_named(name)
                .map(|function| function.oid)
                .chain(super::support_functions().iter().filter(|f| f.name == *name).map(|f| f.oid))
                .chain(routines.iter().map(|routine| routine.oid));
            let first = found.next();
            if found.next().is_some() {
                let message = format!("more than one function named \"{text}\"");
                return Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, message));
            }
            first
        }
        _ => oid,
    };
    oid.map(Datum::Oid).ok_or_else(|| match data_type {
        Type::REGNAMESPACE => {
            Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{trimmed}\" does not exist"))
        }
        Type::REGROLE => Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{trimmed}\" does not exist")),
        Type::REGPROC => {
            Error::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{trimmed}\" does not exist"))
        }
        _ => {
            Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", parts.join(".")))
        }
    })
}

/// `schema.f(integer, text)`
fn procedure_named(text: &str, context: &EvalContext<'_>) -> Result<u32> {
    let missing = || Error::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"));
    let (name, arguments) = text.split_once('(').ok_or_else(missing)?;
    let arguments = arguments
        .trim()
        .strip_suffix(')')
        .ok_or_else(|| Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected a right parenthesis"))?;
    let parts = split_identifier(name)?;
    let mut types = Vec::new();
    for argument in arguments.split(',').filter(|argument| !argument.trim().is_empty()) {
        match parse_in_context(argument, Type::REGTYPE, -1, context)? {
            Datum::Oid(oid) => types.push(Type(oid)),
            _ => return Err(Error::internal("regtype is an OID")),
        }
    }
    let (name, schema) = match parts.as_slice() {
        [name] => (name, None),
        [schema, name] => (name, Some(schema.as_str())),
        _ => return Err(missing()),
    };
    let path = context.services.search_path();
    let routines = context.services.catalog().routines_named(schema, name, &path);
    let own = routines.iter().find(|routine| routine.input_types() == types).map(|routine| routine.oid);
    let built_in = matches!(schema, None | Some("pg_catalog"));
    let known = || super::functions_named(name).find(|f| built_in && f.arguments == types).map(|f| f.oid);
    let support = || {
        let same = |f: &&super::SupportFunction| built_in && f.name == *name && f.arguments == types;
        super::support_functions().iter().find(same).map(|f| f.oid)
    };
    own.or_else(known).or_else(support).ok_or_else(missing)
}

/// `Schema."Name"` to its parts, case folded where not quoted.
pub(super) fn split_identifier(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut characters = quoted.char_indices().peekable();
            let end = loop {
                match characters.next() {
                    None => return Err(invalid()),
                    Some((_, '"')) if characters.peek().is_some_and(|next| next.1 == '"') => {
                        characters.next();
                        part.push('"');
                    }
                    Some((index, '"')) => break index + 1,
                    Some((_, c)) => part.push(c),
                }
            };
            parts.push(part);
            rest = quoted[end..].trim_start();
        } else {
            let end = rest.find(['.', '"']).unwrap_or(rest.len());
            let part = rest[..end].trim();
            if part.is_empty() || part.contains(char::is_whitespace) {
                return Err(invalid());
            }
            parts.push(part.to_lowercase());
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(tail) => rest = tail.trim_start(),
            None if rest.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}
