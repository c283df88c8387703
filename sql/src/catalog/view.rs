//! The query of a view: its text as written, and which relations the names in it mean. The text alone would mean other relations
//! under another search path or after a rename; so what is bound, and what pg_get_viewdef shows, is written anew from both.

use super::system::deparse::qualified_name;
use super::{Catalog, Table};
use crate::parse::quote_identifier;
use crate::parse::routine_ast::TriggerTiming;
use crate::types::Oid;
use serde::{Deserialize, Serialize};

/// A name in FROM, in the text of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewName {
    /// Bytes into the text.
    pub at: usize,
    pub length: usize,
    pub relation: Oid,
    /// It has an alias; otherwise the query may refer to its columns by the name in the text.
    pub aliased: bool,
}

/// What an automatically updatable view changes (`bind/target.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimpleView {
    /// The table or view that it selects from.
    pub below: Oid,
    /// By column: which column of that it is; None: none that could be assigned to.
    pub columns: Vec<Option<usize>>,
}

impl ViewName {
    /// The name that starts at a position (characters from 1) of the text.
    pub fn new(text: &str, position: usize, relation: Oid, aliased: bool) -> ViewName {
        let at = text.char_indices().nth(position.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
        let mut rest = &text[at..];
        loop {
            rest = &rest[identifier_length(rest)..];
            match rest.trim_start().strip_prefix('.') {
                Some(more) => rest = more.trim_start(),
                None => return ViewName { at, length: text.len() - rest.len() - at, relation, aliased },
            }
        }
    }
}

pub(crate) fn identifier_length(text: &str) -> usize {
    if !text.starts_with('"') {
        let is_end = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii());
        return text.find(is_end).unwrap_or(text.len());
    }
    let mut end = 1;
    loop {
        match text[end..].find('"') {
            None => return text.len(),
            Some(quote) if text[end + quote + 1..].starts_with('"') => end += quote + 2,
            Some(quote) => return end + quote + 1,
        }
    }
}

/// What can be done to a relation's rows, as bits of `pg_relation_is_updatable`.
pub const CAN_UPDATE: i32 = 1 << 2;
pub const CAN_INSERT: i32 = 1 << 3;
pub const CAN_DELETE: i32 = 1 << 4;

impl Catalog {
    /// What can be done to the rows of a table or view; `triggers`: INSTEAD OF triggers count. With columns (positions), to those.
    pub fn updatable_events(&self, table: &Table, triggers: bool, columns: Option<&[usize]>) -> i32 {
        let all = CAN_UPDATE | CAN_INSERT | CAN_DELETE;
        if !table.is_view() {
            return if table.is_materialized() { 0 } else { all };
        }
        let mut events = 0;
        if triggers {
            for trigger in table.triggers.iter().filter(|t| t.timing == TriggerTiming::InsteadOf) {
                events |= if trigger.update { CAN_UPDATE } else { 0 };
                events |= if trigger.insert { CAN_INSERT } else { 0 };
                events |= if trigger.delete { CAN_DELETE } else { 0 };
            }
        }
        let Some(simple) = table.simple_view.as_ref().filter(|_| events != all) else { return events };
        let place = |at: usize| simple.columns.get(at).copied().flatten();
        let mapped: Vec<usize> = match columns {
            Some(columns) => columns.iter().filter_map(|at| place(*at)).collect(),
            None => simple.columns.iter().flatten().copied().collect(),
        };
        let mut through = if mapped.is_empty() { CAN_DELETE } else { all };
        let below = self.table(simple.below).filter(|below| below.oid != table.oid);
        through &= match below {
            Some(below) if below.is_view() => self.updatable_events(&below, triggers, Some(&mapped)),
            Some(below) => self.updatable_events(&below, triggers, None),
            None => 0,
        };
        events | through
    }
}

impl Catalog {
    /// pg_column_is_updatable.
    pub fn is_updatable_column(&self, table: &Table, column: usize, triggers: bool) -> bool {
        let both = CAN_UPDATE | CAN_DELETE;
        self.updatable_events(table, triggers, Some(&[column])) & both == both
    }
}

impl Table {
    /// The query of a view or materialized view, with the names that its relations have now: those that `is_visible` says no to
    /// (by relation) with their schemas.
    pub fn query_text(&self, catalog: &Catalog, is_visible: impl Fn(Oid) -> bool) -> Option<String> {
        let text = self.view.as_deref()?;
        let mut written = String::with_capacity(text.len() + 16 * self.view_names.len());
        let mut done = 0;
        for name in &self.view_names {
            let Some(relation) = catalog.table(name.relation) else { continue };
            let end = name.at + name.length;
            written.push_str(&text[done..name.at]);
            written.push_str(&match is_visible(name.relation) {
                true => quote_identifier(&relation.name),
                false => qualified_name(catalog, relation.schema, &relation.name),
            });
            let last = crate::parse::parse_name(&text[name.at..end]).ok().and_then(|mut parts| parts.pop());
            if let Some(last) = last
                && !name.aliased
                && last != relation.name
            {
                written.push(' ');
                written.push_str(&quote_identifier(&last));
            }
            done = end;
        }
        written.push_str(&text[done..]);
        Some(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_the_lexer_ends_them() {
        let length = |text: &str| ViewName::new(text, 1, 1, false).length;
        assert_eq!(length("t where"), 1);
        assert_eq!(length("s.t, u"), 3);
        assert_eq!(length("\"a.\"\"b\" . t2 x"), 12);
        assert_eq!(length("größe;"), "größe".len());
    }
}
