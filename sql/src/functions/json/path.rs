//! jsonpath: evaluating paths (jsonpath_exec.c).
//!
//! Rules:
//! 1. A step maps an item to items. In lax mode a step that wants an object or a scalar looks into an array for them, and one
//!    that wants an array takes anything else for an array of one; what isn't there is passed over. In strict mode it is an error.
//! 2. Errors of that kind ([`Fail::Path`]) make a condition unknown, and a silent call yield nothing. Others are the statement's.
//! 3. Conditions have three values; where one is a value, unknown is null.

use super::super::{EvalContext, Registry};
use super::{invalid, jsonb, parse};
use crate::error::{Error, Result, SqlState};
use crate::types::json::Json;
use crate::types::json::path::{self, JsonPath, Method, Node, Operator, Step};
use crate::types::{Datum, Numeric};
use std::borrow::Cow;
use std::cmp::Ordering;

enum Fail {
    /// Of the JSON at hand: rule 2.
    Path(Error),
    Hard(Error),
}

type Found<T> = std::result::Result<T, Fail>;

fn fail<T>(state: &[u8; 5], message: impl Into<String>) -> Found<T> {
    Err(Fail::Path(Error::new(SqlState(*state), message)))
}

const SUBSCRIPT: &[u8; 5] = b"22033";
const NOT_NUMERIC: &[u8; 5] = b"22036";
const NOT_SINGLE: &[u8; 5] = b"22038";
const NO_ARRAY: &[u8; 5] = b"22039";
const NO_MEMBER: &[u8; 5] = b"2203A";
const NO_OBJECT: &[u8; 5] = b"2203C";

struct Evaluation<'a> {
    lax: bool,
    root: &'a Json,
    variables: &'a Json,
    context: &'a EvalContext<'a>,
}

/// What an expression is evaluated in.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// `@`
    current: &'a Json,
    /// The size of the array whose subscripts these are.
    size: Option<usize>,
    /// Below `.**` what is missing is passed over, in strict mode too.
    forgiving: bool,
}

type Items<'a> = Vec<Cow<'a, Json>>;

impl<'a> Evaluation<'a> {
    fn items(&self, node: &'a Node, place: Place<'a>) -> Found<Items<'a>> {
        let mut out = Vec::new();
        self.collect(node, place, &mut out)?;
        Ok(out)
    }

    /// Appends the items one after the other, each with all that follows from it: what was found before an error stays.
    fn collect(&self, node: &'a Node, place: Place<'a>, out: &mut Items<'a>) -> Found<()> {
        out.push(match node {
            Node::Root => Cow::Borrowed(self.root),
            Node::Current => Cow::Borrowed(place.current),
            Node::Null => Cow::Owned(Json::Null),
            Node::Bool(value) => Cow::Owned(Json::Bool(*value)),
            Node::Number(number) => Cow::Owned(Json::Number(number.clone())),
            Node::String(text) => Cow::Owned(Json::String(text.clone())),
            Node::Variable(name) => match self.variables.member(name) {
                Some(value) => Cow::Borrowed(value),
                None => {
                    let message = format!("could not find jsonpath variable \"{name}\"");
                    return Err(Fail::Hard(Error::new(SqlState::UNDEFINED_OBJECT, message)));
                }
            },
            Node::Last => {
                let last = place.size.map_or(-1, |size| size as i64 - 1);
                Cow::Owned(Json::Number(Numeric::from_i64(last)))
            }
            Node::Binary(operator, left, right) if operator.is_arithmetic() => {
                Cow::Owned(Json::Number(self.arithmetic(*operator, left, right, place)?))
            }
            Node::Sign(negative, operand) => {
                for item in self.unwrapped(operand, place)? {
                    out.push(match &*item {
                        Json::Number(number) if *negative => Cow::Owned(Json::Number(number.neg())),
                        Json::Number(_) => item,
                        _ => {
                            let sign = if *negative { '-' } else { '+' };
                            return fail(
                                NOT_NUMERIC,
                                format!("operand of unary jsonpath operator {sign} is not a numeric value"),
                            );
                        }
                    });
                }
                return Ok(());
            }
            Node::Path(base, steps) => {
                let mut bases = Vec::new();
                let result = self.collect(base, place, &mut bases);
                for item in bases {
                    self.walk(steps, item, place, out)?;
                }
                return result;
            }
            predicate => Cow::Owned(match self.truth(predicate, place)? {
                Some(value) => Json::Bool(value),
                None => Json::Null,
            }),
        });
        Ok(())
    }

    /// Applies steps to an item.
    fn walk(
        &self,
        steps: &'a [Step],
        item: Cow<'a, Json>,
        mut place: Place<'a>,
        out: &mut Items<'a>,
    ) -> Found<()> {
        let Some((step, rest)) = steps.split_first() else {
            out.push(item);
            return Ok(());
        };
        self.context.services.check_interrupt().map_err(Fail::Hard)?;
        let mut next = Vec::new();
        let result = self.step(step, item, self.lax, place, &mut next);
        place.forgiving |= matches!(step, Step::Any(..));
        for item in next {
            self.walk(rest, item, place, out)?;
        }
        result
    }

    /// The items, in lax mode with arrays among them replaced by their elements.
    fn unwrapped(&self, node: &'a Node, place: Place<'a>) -> Found<Items<'a>> {
        let items = self.items(node, place)?;
        if !self.lax {
            return Ok(items);
        }
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Cow::Borrowed(Json::Array(elements)) => out.extend(elements.iter().map(Cow::Borrowed)),
                Cow::Owned(Json::Array(elements)) => out.extend(elements.into_iter().map(Cow::Owned)),
                other => out.push(other),
            }
        }
        Ok(out)
    }

    fn arithmetic(
        &self,
        operator: Operator,
        left: &'a Node,
        right: &'a Node,
        place: Place<'a>,
    ) -> Found<Numeric> {
        let operand = |node: &'a Node, side: &str| -> Found<Numeric> {
            match self.unwrapped(node, place)?.as_slice() {
                [item] if matches!(**item, Json::Number(_)) => match &**item {
                    Json::Number(number) => Ok(number.clone()),
                    _ => Ok(Numeric::zero()),
                },
                _ => fail(
                    NOT_SINGLE,
                    format!(
                        "{side} operand of jsonpath operator {} is not a single numeric value",
                        operator.text()
                    ),
                ),
            }
        };
        let (a, b) = (operand(left, "left")?, operand(right, "right")?);
        let result = match operator {
            Operator::Add => a.add(&b),
            Operator::Subtract => a.sub(&b),
            Operator::Multiply => a.mul(&b),
            Operator::Divide => a.div(&b),
            _ => a.rem(&b),
        };
        result.map_err(Fail::Path)
    }

    /// Applies one step to one item. `unwrap`: look into an array for what the step wants.
    fn step(
        &self,
        step: &'a Step,
        item: Cow<'a, Json>,
        unwrap: bool,
        place: Place<'a>,
        out: &mut Items<'a>,
    ) -> Found<()> {
        let forgiving = self.lax || place.forgiving;
        let wants_parts = !matches!(
            step,
            Step::AnyElement | Step::Elements(_) | Step::Any(..) | Step::Method(Method::Type | Method::Size)
        );
        if wants_parts && unwrap && matches!(*item, Json::Array(_)) {
            for element in children(item) {
                self.step(step, element, false, place, out)?;
            }
            return Ok(());
        }
        match step {
            Step::Key(key) => match item {
                Cow::Borrowed(object @ Json::Object(_)) => match object.member(key) {
                    Some(value) => out.push(Cow::Borrowed(value)),
                    None if forgiving => {}
                    None => {
                        return fail(NO_MEMBER, format!("JSON object does not contain key \"{key}\""));
                    }
                },
                Cow::Owned(Json::Object(members)) => {
                    match members.into_iter().find(|(name, _)| name == key) {
                        Some((_, value)) => out.push(Cow::Owned(value)),
                        None if forgiving => {}
                        None => {
                            return fail(NO_MEMBER, format!("JSON object does not contain key \"{key}\""));
                        }
                    }
                }
                _ if forgiving => {}
                _ => {
                    return fail(NO_MEMBER, "jsonpath member accessor can only be applied to an object");
                }
            },
            Step::AnyKey => match &*item {
                Json::Object(_) => out.extend(children(item)),
                _ if forgiving => {}
                _ => {
                    return fail(
                        NO_OBJECT,
                        "jsonpath wildcard member accessor can only be applied to an object",
                    );
                }
            },
            Step::AnyElement => match &*item {
                Json::Array(_) => out.extend(children(item)),
                _ if self.lax => out.push(item),
                _ if forgiving => {}
                _ => {
                    return fail(
                        NO_ARRAY,
                        "jsonpath wildcard array accessor can only be applied to an array",
                    );
                }
            },
            Step::Elements(subscripts) => self.elements(subscripts, item, place, out)?,
            Step::Any(from, to) => descend(item, 0, *from, *to, out),
            Step::Filter(predicate) => {
                // The condition is about the item, which has to outlive it.
                let holds = match &item {
                    Cow::Borrowed(current) => {
                        self.truth(predicate, Place { current, size: None, forgiving: false })?
                    }
                    Cow::Owned(current) => self.truth_of_owned(predicate, current)?,
                };
                if holds == Some(true) {
                    out.push(item);
                }
            }
            Step::Method(method) => self.method(*method, item, forgiving, out)?,
        }
        Ok(())
    }

    /// A filter over a value that this evaluation has made: evaluated on its own, as the results don't leave the filter.
    fn truth_of_owned(&self, predicate: &Node, current: &Json) -> Found<Option<bool>> {
        let inner =
            Evaluation { lax: self.lax, root: self.root, variables: self.variables, context: self.context };
        inner.truth(predicate, Place { current, size: None, forgiving: false })
    }

    fn elements(
        &self,
        subscripts: &'a [(Node, Option<Node>)],
        item: Cow<'a, Json>,
        place: Place<'a>,
        out: &mut Items<'a>,
    ) -> Found<()> {
        let forgiving = self.lax || place.forgiving;
        let size = match &*item {
            Json::Array(elements) => elements.len(),
            _ if self.lax => 1,
            _ if forgiving => return Ok(()),
            _ => return fail(NO_ARRAY, "jsonpath array accessor can only be applied to an array"),
        };
        let inner = Place { size: Some(size), ..place };
        for (from, to) in subscripts {
            let from = self.subscript(from, inner)?;
            let to = to.as_ref().map_or(Ok(from), |to| self.subscript(to, inner))?;
            let last = size as i64 - 1;
            if !forgiving && (from < 0 || from > to || to > last) {
                return fail(SUBSCRIPT, "jsonpath array subscript is out of bounds");
            }
            for index in from.max(0)..=to.min(last) {
                match &item {
                    Cow::Borrowed(Json::Array(elements)) => {
                        out.push(Cow::Borrowed(&elements[index as usize]))
                    }
                    Cow::Owned(Json::Array(elements)) => {
                        out.push(Cow::Owned(elements[index as usize].clone()))
                    }
                    single => out.push(single.clone()),
                }
            }
        }
        Ok(())
    }

    fn subscript(&self, node: &'a Node, place: Place<'a>) -> Found<i64> {
        let items = self.items(node, place)?;
        let [item] = items.as_slice() else {
            return fail(SUBSCRIPT, "jsonpath array subscript is not a single numeric value");
        };
        let Json::Number(number) = &**item else {
            return fail(SUBSCRIPT, "jsonpath array subscript is not a single numeric value");
        };
        match number.trunc(0).to_i64().filter(|index| i32::try_from(*index).is_ok()) {
            Some(index) => Ok(index),
            None => fail(SUBSCRIPT, "jsonpath array subscript is out of integer range"),
        }
    }

    fn method(&self, method: Method, item: Cow<'a, Json>, forgiving: bool, out: &mut Items<'a>) -> Found<()> {
        let name = method.name();
        let numeric = |function: fn(&Numeric) -> Result<Numeric>| -> Found<Json> {
            match &*item {
                Json::Number(number) => function(number).map(Json::Number).map_err(Fail::Path),
                _ => fail(
                    NOT_NUMERIC,
                    format!("jsonpath item method .{name}() can only be applied to a numeric value"),
                ),
            }
        };
        let result = match method {
            Method::Type => Json::string(item.type_name()),
            Method::Size => match &*item {
                Json::Array(elements) => Json::Number(Numeric::from_i64(elements.len() as i64)),
                _ if self.lax => Json::Number(Numeric::from_i64(1)),
                _ if forgiving => return Ok(()),
                _ => {
                    return fail(NO_ARRAY, "jsonpath item method .size() can only be applied to an array");
                }
            },
            Method::Abs => numeric(|number| Ok(number.abs()))?,
            Method::Floor => numeric(Numeric::floor)?,
            Method::Ceiling => numeric(Numeric::ceil)?,
            Method::Double => double(&item)?,
            Method::KeyValue => {
                let Json::Object(members) = &*item else {
                    return fail(
                        NO_OBJECT,
                        "jsonpath item method .keyvalue() can only be applied to an object",
                    );
                };
                // Which object a pair is from: the root's id is 0, as in PostgreSQL; another's is a number of its own.
                let id = match &item {
                    Cow::Borrowed(object) if std::ptr::eq(*object, self.root) => 0,
                    Cow::Borrowed(object) => identity(self.root, object),
                    Cow::Owned(_) => 0,
                };
                for (key, value) in members {
                    out.push(Cow::Owned(Json::Object(vec![
                        ("id".into(), Json::Number(Numeric::from_i64(id))),
                        ("key".into(), Json::string(key)),
                        ("value".into(), value.clone()),
                    ])));
                }
                return Ok(());
            }
        };
        out.push(Cow::Owned(result));
        Ok(())
    }

    // ---- conditions ----

    /// None: unknown.
    fn truth(&self, node: &'a Node, place: Place<'a>) -> Found<Option<bool>> {
        Ok(match node {
            Node::Binary(Operator::And, left, right) => match self.truth(left, place)? {
                Some(false) => Some(false),
                left => match (left, self.truth(right, place)?) {
                    (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                },
            },
            Node::Binary(Operator::Or, left, right) => match self.truth(left, place)? {
                Some(true) => Some(true),
                left => match (left, self.truth(right, place)?) {
                    (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                },
            },
            Node::Not(operand) => self.truth(operand, place)?.map(|value| !value),
            Node::IsUnknown(operand) => Some(self.truth(operand, place)?.is_none()),
            Node::Exists(operand) => known(self.items(operand, place))?.map(|items| !items.is_empty()),
            Node::Binary(operator, left, right) => {
                let Some(left) = known(self.unwrapped(left, place))? else { return Ok(None) };
                let Some(right) = known(self.unwrapped(right, place))? else { return Ok(None) };
                self.any_pair(&left, &right, |a, b| compare(*operator, a, b))
            }
            Node::LikeRegex(operand, pattern, flags) => {
                let Some(items) = known(self.unwrapped(operand, place))? else { return Ok(None) };
                let regex = path::regex(pattern, flags).map_err(Fail::Hard)?;
                let nothing = [Cow::Owned(Json::Null)];
                self.any_pair(&items, &nothing, |item, _| match item {
                    Json::String(text) => Some(regex.is_match(text)),
                    _ => None,
                })
            }
            // A value as a condition: the parser lets none through.
            _ => None,
        })
    }

    /// Whether a condition holds for some pair of items. In strict mode all are looked at, and one that is unknown decides.
    fn any_pair(
        &self,
        left: &[Cow<'a, Json>],
        right: &[Cow<'_, Json>],
        test: impl Fn(&Json, &Json) -> Option<bool>,
    ) -> Option<bool> {
        let (mut found, mut unknown) = (false, false);
        for a in left {
            for b in right {
                match test(a, b) {
                    Some(true) if self.lax => return Some(true),
                    Some(true) => found = true,
                    Some(false) => {}
                    None if !self.lax => return None,
                    None => unknown = true,
                }
            }
        }
        match (found, unknown) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }
}

/// Rule 2: None for what fails because of the JSON.
fn known<T>(result: Found<T>) -> Found<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Fail::Path(_)) => Ok(None),
        Err(hard) => Err(hard),
    }
}

fn compare(operator: Operator, a: &Json, b: &Json) -> Option<bool> {
    if operator == Operator::StartsWith {
        let (Json::String(text), Json::String(start)) = (a, b) else { return None };
        return Some(text.starts_with(start.as_str()));
    }
    let order = match (a, b) {
        (Json::Null, Json::Null) => Ordering::Equal,
        (Json::Null, _) | (_, Json::Null) => return Some(operator == Operator::NotEqual),
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::Number(a), Json::Number(b)) => a.compare(b),
        (Json::String(a), Json::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        _ => return None,
    };
    Some(match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterEqual => order.is_ge(),
        _ => return None,
    })
}

fn double(item: &Json) -> Found<Json> {
    let parsed = match item {
        Json::Number(number) => {
            let value = number.to_f64();
            match value.is_finite() {
                true => value,
                false => {
                    return fail(
                        NOT_NUMERIC,
                        "numeric argument of jsonpath item method .double() is out of range for type double precision",
                    );
                }
            }
        }
        Json::String(text) => match crate::types::float::parse_float8(text) {
            Ok(value) if value.is_finite() => value,
            _ => {
                return fail(
                    NOT_NUMERIC,
                    "string argument of jsonpath item method .double() is not a valid representation of a double precision number",
                );
            }
        },
        _ => {
            return fail(
                NOT_NUMERIC,
                "jsonpath item method .double() can only be applied to a string or numeric value",
            );
        }
    };
    let mut text = Vec::new();
    crate::types::float::write_float8(&mut text, parsed, 1);
    let text =
        String::from_utf8(text).map_err(|_| Fail::Hard(Error::internal("a number that is not ASCII")))?;
    Numeric::parse(&text).map(Json::Number).map_err(Fail::Path)
}

/// The values within a container.
fn children(item: Cow<'_, Json>) -> Items<'_> {
    match item {
        Cow::Borrowed(Json::Array(elements)) => elements.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Json::Object(members)) => {
            members.iter().map(|(_, value)| Cow::Borrowed(value)).collect()
        }
        Cow::Owned(Json::Array(elements)) => elements.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Json::Object(members)) => {
            members.into_iter().map(|(_, value)| Cow::Owned(value)).collect()
        }
        _ => Vec::new(),
    }
}

/// `.**`: the item (level 0) and what is below it, from one level to another; `last` means what has nothing below.
fn descend<'a>(item: Cow<'a, Json>, level: u32, from: u32, to: u32, out: &mut Items<'a>) {
    let leaf = item.is_scalar();
    if (level >= from && level <= to) || (from == u32::MAX && leaf) {
        out.push(item.clone());
    }
    if level < to && !leaf {
        for child in children(item) {
            descend(child, level + 1, from, to, out);
        }
    }
}

/// The place of an object in a walk through the whole value, from 1.
fn identity(root: &Json, object: &Json) -> i64 {
    fn walk(at: &Json, object: &Json, count: &mut i64) -> bool {
        if std::ptr::eq(at, object) {
            return true;
        }
        *count += 1;
        match at {
            Json::Array(elements) => elements.iter().any(|element| walk(element, object, count)),
            Json::Object(members) => members.iter().any(|(_, value)| walk(value, object, count)),
            _ => false,
        }
    }
    let mut count = 0;
    walk(root, object, &mut count);
    count
}

/// What a path led to.
struct Outcome {
    /// Up to where it failed, if it did.
    items: Vec<Json>,
    error: Option<Error>,
    lax: bool,
    silent: bool,
}

fn query(arguments: &[Datum], silent: Option<bool>, context: &EvalContext<'_>) -> Result<Outcome> {
    let root = parse(&arguments[0])?;
    let text = arguments[1].as_str().ok_or_else(|| Error::internal("a path is held as text"))?;
    let JsonPath { lax, root: node } = path::parse(text)?;
    let variables = match arguments.get(2).filter(|_| silent.is_none()) {
        Some(variables) => parse(variables)?,
        None => Json::Object(Vec::new()),
    };
    if !matches!(variables, Json::Object(_)) {
        return Err(invalid("\"vars\" argument is not an object")
            .detail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object."));
    }
    let silent = silent.unwrap_or_else(|| arguments.get(3).and_then(Datum::as_bool).unwrap_or(false));
    let evaluation = Evaluation { lax, root: &root, variables: &variables, context };
    let mut items = Vec::new();
    let place = Place { current: &root, size: None, forgiving: false };
    let error = match evaluation.collect(&node, place, &mut items) {
        Ok(()) => None,
        Err(Fail::Path(error)) => Some(error),
        Err(Fail::Hard(error)) => return Err(error),
    };
    let items = items.into_iter().map(Cow::into_owned).collect();
    Ok(Outcome { items, error, lax, silent })
}

impl Outcome {
    /// The items; silently those before an error.
    fn items(self) -> Result<Vec<Json>> {
        match self.error {
            Some(error) if !self.silent => Err(error),
            _ => Ok(self.items),
        }
    }
}

fn matches(arguments: &[Datum], silent: Option<bool>, context: &EvalContext<'_>) -> Result<Datum> {
    let outcome = query(arguments, silent, context)?;
    let quiet = outcome.silent;
    match outcome.items()?.as_slice() {
        [Json::Bool(value)] => Ok(Datum::Bool(*value)),
        [Json::Null] => Ok(Datum::Null),
        _ if quiet => Ok(Datum::Null),
        _ => Err(Error::new(SqlState(*NOT_SINGLE), "single boolean result is expected")),
    }
}

/// In lax mode the first item decides; in strict mode there must be no error.
fn exists(arguments: &[Datum], silent: Option<bool>, context: &EvalContext<'_>) -> Result<Datum> {
    let outcome = query(arguments, silent, context)?;
    match (outcome.error, outcome.items.is_empty()) {
        (None, empty) => Ok(Datum::Bool(!empty)),
        (Some(_), false) if outcome.lax => Ok(Datum::Bool(true)),
        (Some(_), _) if outcome.silent => Ok(Datum::Null),
        (Some(error), _) => Err(error),
    }
}

pub fn register(r: &mut Registry) {
    r.scalar("jsonb_path_exists_opr", |arguments, context| exists(arguments, Some(true), context));
    r.scalar("jsonb_path_match_opr", |arguments, context| matches(arguments, Some(true), context));
    for name in ["jsonb_path_exists", "jsonb_path_exists_tz"] {
        r.scalar(name, |arguments, context| exists(arguments, None, context));
    }
    for name in ["jsonb_path_match", "jsonb_path_match_tz"] {
        r.scalar(name, |arguments, context| matches(arguments, None, context));
    }
    for name in ["jsonb_path_query", "jsonb_path_query_tz"] {
        r.set(name, |arguments, context| {
            let items = query(arguments, None, context)?.items()?;
            Ok(Box::new(items.into_iter().map(|item| Ok(vec![jsonb(&item)]))))
        });
    }
    for name in ["jsonb_path_query_array", "jsonb_path_query_array_tz"] {
        r.scalar(name, |arguments, context| {
            Ok(jsonb(&Json::Array(query(arguments, None, context)?.items()?)))
        });
    }
    for name in ["jsonb_path_query_first", "jsonb_path_query_first_tz"] {
        r.scalar(name, |arguments, context| {
            Ok(query(arguments, None, context)?.items()?.first().map_or(Datum::Null, jsonb))
        });
    }
}
