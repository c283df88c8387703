//! One plan for all texts that differ only in their integers.
//!
//! Clients of the simple protocol (psql, pgbench unless told otherwise, psycopg2 and what builds on it) write values into the text. No
//! two texts are equal then, and each would be parsed and planned: more work than a statement by primary key does itself. So a text
//! is split into its *shape*, the text with `$1`, `$2`, … for its integer constants, and these integers; the shape
//! becomes a prepared statement whose parameters are declared integer, and the text an [`Instance`] of it.
//!
//! That must never show, so a shape is used only where a parameter can't mean anything else than the constant did:
//!
//! 1. Constants of type integer only. Strings stay in the shape: their types are inferred, and inferring differs for parameters.
//! 2. No ORDER BY or GROUP BY, where an integer is a position, and no subquery; what takes a constant only (the 2 in `numeric(8, 2)`,
//!    the predicate of a partial index in ON CONFLICT) does not parse or plan with a parameter.
//! 3. The plan is a [`Short`](crate::plan::short::Short) one, a single row by its primary key or an INSERT: constants have no say in
//!    which plan is best. Plans that statistics decide are made with the constants, as ever.
//! 4. Any error on the way there, and the text is parsed and planned as it stands: the error's words and position are
//!    those of the text. Errors at run time have no positions.

use super::statement::Prepared;
use crate::parse::ast::StatementKind;
use crate::types::{Datum, Type};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A longer text takes longer to run than to plan.
const TEXT_BYTES_MAX: usize = 2048;
const VALUES_MAX: usize = 32;

pub(super) type Values = SmallVec<[i32; 8]>;

pub(super) struct Shape {
    /// None: it does not parse with parameters, or to something else.
    prepared: Option<Arc<Prepared>>,
    is_fit: AtomicBool,
}

impl Shape {
    pub fn new(text: &str, values: usize) -> Shape {
        let prepared = prepare(text, values);
        Shape { is_fit: AtomicBool::new(prepared.is_some()), prepared }
    }

    pub fn instance(self: &Arc<Shape>, text: &str, values: Values) -> Option<(Arc<Prepared>, Instance)> {
        let prepared = self.prepared.clone().filter(|_| self.is_fit.load(Ordering::Relaxed))?;
        let text = text.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        Some((prepared, Instance { shape: self.clone(), text: text.trim_start().into(), values }))
    }
}

fn prepare(text: &str, values: usize) -> Option<Arc<Prepared>> {
    let mut statements = crate::parse::parse(text).ok()?;
    let statement = statements.pop().filter(|_| statements.is_empty())?;
    let is_planned = matches!(
        statement.kind,
        StatementKind::Query(_)
            | StatementKind::Insert(_)
            | StatementKind::Update(_)
            | StatementKind::Delete(_)
    );
    (is_planned && statement.parameters as usize == values)
        .then(|| Prepared::new(text.into(), Some(statement), vec![Some(Type::INT4); values]))
}

/// A text as its shape and what was in the gaps.
#[derive(Clone)]
pub(super) struct Instance {
    shape: Arc<Shape>,
    pub text: Arc<str>,
    values: Values,
}

impl Instance {
    pub fn parameters(&self) -> Vec<Datum> {
        self.values.iter().map(|&value| Datum::Int4(value)).collect()
    }
    /// From now on texts of this shape are planned one by one.
    pub fn is_unfit(&self) {
        self.shape.is_fit.store(false, Ordering::Relaxed);
    }
}

/// Splits a text, if it is one that may have a shape: `shape` is overwritten with it.
///
/// This is no lexer: whatever needs one (comments, escapes, dollar quotes, numbers of other forms) is turned down.
pub(super) fn split(text: &str, shape: &mut String) -> Option<Values> {
    let bytes = text.as_bytes();
    let mut values = Values::new();
    let mut first_word = true;
    // The text up to here is in the shape.
    let mut copied = 0;
    let mut at = 0;
    if bytes.len() > TEXT_BYTES_MAX {
        return None;
    }
    shape.clear();
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1);
        match byte {
            b'\'' | b'"' => {
                let end = at + 1 + memchr::memchr(byte, &bytes[at + 1..])?;
                if memchr::memchr(b'\\', &bytes[at..end]).is_some() {
                    return None;
                }
                at = end + 1;
            }
            b'\\' | b'$' => return None,
            b'-' if next == Some(&b'-') => return None,
            b'/' if next == Some(&b'*') => return None,
            b'.' if next.is_some_and(u8::is_ascii_digit) => at = end_of_digits(bytes, at + 1)?,
            byte if is_of_word(byte) && !byte.is_ascii_digit() => {
                let start = at;
                while bytes.get(at).is_some_and(|&byte| is_of_word(byte)) {
                    at += 1;
                }
                let is = |word: &[u8]| bytes[start..at].eq_ignore_ascii_case(word);
                let is_fit = match first_word {
                    true => is(b"select") || is(b"update") || is(b"insert") || is(b"delete"),
                    false => !is(b"select") && !is(b"by"),
                };
                if !is_fit {
                    return None;
                }
                first_word = false;
            }
            b'0'..=b'9' => {
                let start = at;
                at = end_of_digits(bytes, at)?;
                if bytes.get(at) == Some(&b'.') {
                    at = end_of_digits(bytes, at + 1)?;
                } else if let Ok(value) = text[start..at].parse() {
                    if values.len() == VALUES_MAX {
                        return None;
                    }
                    values.push(value);
                    shape.push_str(&text[copied..start]);
                    shape.push('$');
                    if values.len() > 9 {
                        shape.push((b'0' + (values.len() / 10) as u8) as char);
                    }
                    shape.push((b'0' + (values.len() % 10) as u8) as char);
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    shape.push_str(&text[copied..]);
    (!values.is_empty()).then_some(values)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// None if what follows the digits belongs to them: an exponent, a hexadecimal number, junk.
fn end_of_digits(bytes: &[u8], mut at: usize) -> Option<usize> {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (!bytes.get(at).is_some_and(|&byte| is_of_word(byte))).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, Vec<i32>)> {
        let mut shape = String::from("what was there before");
        let values = split(text, &mut shape)?;
        Some((shape, values.to_vec()))
    }

    #[test]
    fn integers_leave_the_text() {
        let all = |text: &str, shape: &str, values: &[i32]| {
            assert_eq!(parts(text), Some((shape.to_string(), values.to_vec())));
        };
        all("SELECT a FROM t1 WHERE id = 5;", "SELECT a FROM t1 WHERE id = $1;", &[5]);
        all("update t set a=a+-7 where id=2147483647", "update t set a=a+-$1 where id=$2", &[7, i32::MAX]);
        all(
            "INSERT INTO t VALUES (1,'it''s 2', \"3\", 4.5, .6, 7., 2147483648, 08)",
            "INSERT INTO t VALUES ($1,'it''s 2', \"3\", 4.5, .6, 7., 2147483648, $2)",
            &[1, 8],
        );
        let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let (shape, values) = parts(&format!("select {}", many.join(","))).unwrap();
        assert_eq!(shape, "select $1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12");
        assert_eq!(values, (0..12).collect::<Vec<i32>>());
    }

    #[test]
    fn what_needs_a_lexer_has_no_shape() {
        for text in [
            "select 1e5",
            "select 1e-5",
            "select 1.5e3 + 2",
            "select 0x1F",
            "select 5a",
            "select 'a\\' || 5",
            "select $1 + 5",
            "select $$5$$",
            "select 5 -- five",
            "select /* five */ 5",
            "select '5",
            "select a from t order by 1",
            "select a, count(*) from t Group BY 1",
            "insert into t select 1",
            "select 1 union SELECT 2",
            "explain select 1",
            "",
            "select a from t",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }
}
