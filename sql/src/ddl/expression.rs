//! SQL text of defaults, checks and generated columns, as far as DDL has to understand it: which columns it names, and renaming them;
//! and the names that it finds by the search path, which are spelled out before a text is kept.
//! A scan over tokens is enough for that: a column reference is an identifier that is neither followed by `(` nor by `.`
//! (unless it is the table) nor inside a literal.

use super::Ddl;
use crate::bind::{Names, Spelling};
use crate::catalog::identifier_length;
use crate::error::Result;
use crate::parse::ast;
use crate::types::Type;

impl Ddl<'_> {
    /// An expression's text, so that it means the same by any search path: who uses the table later has another one, and may have
    /// made it so that it finds other functions.
    pub(super) fn spelled_out(
        &self,
        text: &str,
        names: Names<'_>,
        target: Option<(Type, i32)>,
    ) -> Result<String> {
        let expr = crate::parse::parse_expression(text)?;
        let spellings = self
            .with_plan_context(|context| crate::bind::expression_spellings(&expr, names, target, context))?;
        Ok(spell_out(text, spellings))
    }

    /// The same of a query's text, but for its relations.
    pub(super) fn spelled_out_query(&self, text: &str) -> Result<String> {
        let parsed = crate::parse::parse(text)?;
        let Some(ast::StatementKind::Query(query)) = parsed.first().map(|statement| &statement.kind) else {
            return Ok(text.to_owned());
        };
        let spellings = self.with_plan_context(|context| crate::bind::query_spellings(query, context))?;
        Ok(spell_out(text, spellings))
    }
}

fn spell_out(text: &str, mut spellings: Vec<Spelling>) -> String {
    spellings.sort_by_key(|spelling| spelling.position);
    spellings.dedup_by_key(|spelling| spelling.position);
    let mut spelled = String::with_capacity(text.len());
    let mut copied = 0;
    for Spelling { position, full } in spellings {
        let start = text.char_indices().nth(position.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
        let length = match text[start..].starts_with('\'') {
            true => skip_quoted(text.as_bytes(), start, b'\'') - start,
            false => identifier_length(&text[start..]),
        };
        // What is written in another way (E'…') stays.
        if start >= copied && length > 0 {
            spelled.push_str(&text[copied..start]);
            spelled.push_str(&full);
            copied = start + length;
        }
    }
    spelled.push_str(&text[copied..]);
    spelled
}

/// The identifiers of a text: byte range, and the name with case folded and quotes resolved.
fn identifiers(text: &str) -> Vec<(std::ops::Range<usize>, String)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' => at = skip_quoted(bytes, at, b'\''),
            b'"' => {
                let end = skip_quoted(bytes, at, b'"');
                let inner = &text[at + 1..end.saturating_sub(1).max(at + 1)];
                found.push((at..end, inner.replace("\"\"", "\"")));
                at = end;
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                let end = bytes[at..]
                    .iter()
                    .position(|&b| !(b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80))
                    .map_or(bytes.len(), |len| at + len);
                // E'…', B'…': the letter belongs to the literal.
                if bytes.get(end) != Some(&b'\'') {
                    found.push((at..end, text[at..end].to_ascii_lowercase()));
                }
                at = end;
            }
            byte if byte.is_ascii_digit() => {
                at += bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'.').count();
            }
            _ => at += 1,
        }
    }
    found
}

/// Past the closing quote; doubled quotes stay inside.
fn skip_quoted(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

fn is_column(text: &str, range: &std::ops::Range<usize>) -> bool {
    let before = text[..range.start].trim_end();
    // `::type`, and what follows AS in a CAST, name types.
    if before.ends_with("::") {
        return false;
    }
    !text[range.end..].trim_start().starts_with('(')
}

/// Whether a text names a column.
pub(crate) fn names_column(text: &str, column: &str) -> bool {
    identifiers(text).iter().any(|(range, name)| name == column && is_column(text, range))
}

/// The text with a column renamed.
pub(crate) fn rename_column(text: &str, from: &str, to: &str) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, name) in identifiers(text) {
        if name == from && is_column(text, &range) {
            renamed.push_str(&text[copied..range.start]);
            renamed.push_str(&super::names::quote_identifier(to));
            copied = range.end;
        }
    }
    renamed.push_str(&text[copied..]);
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_told_from_literals_functions_and_types() {
        let text = "a > 0 AND lower(b) <> 'a''c' AND x::text = \"C\"";
        for column in ["a", "b", "x", "C"] {
            assert!(names_column(text, column), "{column}");
        }
        for other in ["lower", "text", "c"] {
            assert!(!names_column(text, other), "{other}");
        }
    }

    #[test]
    fn renaming_touches_only_the_column() {
        assert_eq!(
            rename_column("a + ab > length('a') + A", "a", "New"),
            "\"New\" + ab > length('a') + \"New\""
        );
        assert_eq!(rename_column("a(a)", "a", "b"), "a(b)");
        assert_eq!(rename_column("'unfinished", "a", "b"), "'unfinished");
    }
}
