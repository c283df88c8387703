//! The query of a view: its text as written, and which relations the names in it mean. The text alone would mean other relations
//! under another search path or after a rename; so what is bound, and what pg_get_viewdef shows, is written anew from both.

use super::system::deparse::qualified_name;
use super::{Catalog, Table};
use crate::parse::quote_identifier;
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

fn identifier_length(text: &str) -> usize {
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
