//! SQL text of defaults, checks and generated columns, as far as DDL has to understand it: which columns it names, and renaming them;
//! and the names that it finds by the search path, which are spelled out before a text is kept.
//! A scan over tokens is enough for that: a column reference is an identifier that is neither followed by `(` nor by `.`
//! (unless it is the table) nor inside a literal.

use super::Ddl;
use super::names::quote_identifier;
use crate::bind::{Names, Spelling};
use crate::catalog::user_type::{TypeKind, UserType};
use crate::catalog::{ConstraintKind, Table, identifier_length};
use crate::error::Result;
use crate::parse::ast;
use crate::types::{Oid, Type};
use serin_txn::RelationLockMode;

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

/// A schema and a name in it.
pub(super) type FullName = (String, String);

/// What a full name in a text names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Function,
    Type,
    /// In a literal: `nextval('s.q')`, `'s.t'::regclass`.
    Relation,
}

/// What a full name is now, if it has changed.
pub(super) type Renamed<'a> = &'a dyn Fn(&FullName, Named) -> Option<Result<FullName>>;

impl Ddl<'_> {
    pub(super) fn full_name(&self, schema: Oid, name: &str) -> FullName {
        let schema = self.catalog().schema(schema).map_or_else(String::new, |schema| schema.name.clone());
        (schema, name.to_owned())
    }

    /// Objects have been renamed or moved: the texts that name them follow.
    pub(super) fn follow_names(&self, renamed: Renamed<'_>) -> Result<()> {
        let catalog = self.catalog();
        for table in catalog.tables() {
            let mut changed = Table::clone(table);
            let mut follow = Follower { renamed, followed: false };
            for column in &mut changed.columns {
                follow.text(&mut column.default)?;
            }
            for constraint in &mut changed.constraints {
                if let ConstraintKind::Check(text) = &mut constraint.kind {
                    follow.one(text)?;
                }
            }
            for index in &mut changed.indexes {
                index.keys.iter_mut().try_for_each(|key| follow.text(&mut key.expression))?;
                follow.text(&mut index.predicate)?;
            }
            if let Some(partitioning) = &mut changed.inheritance.partitioning {
                partitioning.keys.iter_mut().try_for_each(|key| follow.text(&mut key.expression))?;
            }
            // With its relations as they are called now.
            if let Some(mut text) = table.query_text(&catalog, |_| false) {
                follow.one(&mut text)?;
                if follow.followed {
                    changed.view_names = self.view_names(&text)?;
                    changed.view = Some(text);
                }
            }
            if !follow.followed {
                continue;
            }
            self.lock(table.oid, RelationLockMode::AccessExclusive)?;
            self.put_table(changed)?;
        }
        for user_type in catalog.user_types() {
            let mut changed = UserType::clone(user_type);
            let TypeKind::Domain(domain) = &mut changed.kind else { continue };
            let mut follow = Follower { renamed, followed: false };
            follow.text(&mut domain.default)?;
            domain.checks.iter_mut().try_for_each(|check| follow.one(&mut check.text))?;
            if follow.followed {
                self.lock(changed.oid, RelationLockMode::AccessExclusive)?;
                self.put_type(changed)?;
            }
        }
        Ok(())
    }
}

struct Follower<'a> {
    renamed: Renamed<'a>,
    followed: bool,
}

impl Follower<'_> {
    fn text(&mut self, text: &mut Option<String>) -> Result<()> {
        text.iter_mut().try_for_each(|text| self.one(text))
    }
    fn one(&mut self, text: &mut String) -> Result<()> {
        if let Some(followed) = follow(text, self.renamed)? {
            *text = followed;
            self.followed = true;
        }
        Ok(())
    }
}

/// The text with full names as they are now; None if there is nothing to change.
fn follow(text: &str, renamed: Renamed<'_>) -> Result<Option<String>> {
    let mut places: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let written =
        |(schema, name): FullName| format!("{}.{}", quote_identifier(&schema), quote_identifier(&name));
    for pair in identifiers(text).windows(2) {
        let [(first, schema), (second, name)] = pair else { continue };
        if text[first.end..second.start].trim() != "." {
            continue;
        }
        let (before, after) = (text[..first.start].trim_end(), text[second.end..].trim_start());
        let is_as = before.len() > 2 && before[before.len() - 2..].eq_ignore_ascii_case("as");
        let named = match () {
            () if before.ends_with("::") || is_as || after.starts_with('\'') => Named::Type,
            () if after.starts_with('(') => Named::Function,
            () => continue,
        };
        if let Some(now) = renamed(&(schema.clone(), name.clone()), named) {
            places.push((first.start..second.end, written(now?)));
        }
    }
    for literal in literals(text) {
        let (before, after) = (text[..literal.start].trim_end(), text[literal.end..].trim_start());
        if !before.ends_with("val(") && !after.starts_with("::reg") {
            continue;
        }
        let inner = text[literal.start + 1..literal.end - 1].replace("''", "'");
        if let Ok(parts) = crate::parse::parse_name(&inner)
            && let [schema, name] = &parts[..]
            && let Some(now) = renamed(&(schema.clone(), name.clone()), Named::Relation)
        {
            places.push((literal, crate::parse::quote_literal(&written(now?))));
        }
    }
    if places.is_empty() {
        return Ok(None);
    }
    places.sort_by_key(|(place, _)| place.start);
    let mut followed = String::with_capacity(text.len());
    let mut copied = 0;
    for (place, name) in places {
        followed.push_str(&text[copied..place.start]);
        followed.push_str(&name);
        copied = place.end;
    }
    followed.push_str(&text[copied..]);
    Ok(Some(followed))
}

/// Plain literals, with their quotes.
fn literals(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = skip_quoted(bytes, at, b'"'),
            b'\'' => {
                let end = skip_quoted(bytes, at, b'\'');
                if end > at + 1 && bytes[end - 1] == b'\'' {
                    found.push(at..end);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    found
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
