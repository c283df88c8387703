//! unaccent: letters without their accents, by PostgreSQL's rules (`facts/unaccent.rules`, its file of that name).
//!
//! A rule is a string of characters and what replaces it (nothing, if the line has one field). At each place of a text the longest rule
//! that fits applies; characters without one stay. Deviation: unaccent() of a regdictionary, and the dictionary itself, are not there.

use crate::functions::Registry;
use crate::functions::arguments::scalar;
use hashbrown::HashMap;
use std::sync::LazyLock;

struct Rules {
    by_source: HashMap<&'static str, &'static str>,
    /// Of the longest source, in characters.
    longest: usize,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let lines = include_str!("facts/unaccent.rules").lines();
    let rules = lines.filter_map(|line| {
        let mut fields = line.split_whitespace();
        let source = fields.next()?;
        Some((source, fields.next().unwrap_or("")))
    });
    // Of two rules for one string PostgreSQL takes the first.
    let mut by_source = HashMap::new();
    for (source, target) in rules {
        by_source.entry(source).or_insert(target);
    }
    let longest = by_source.keys().map(|source| source.chars().count()).max().unwrap_or(1);
    Rules { by_source, longest }
});

fn unaccent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).take(RULES.longest);
        let mut found = (first.len_utf8(), None);
        for end in ends {
            if let Some(target) = RULES.by_source.get(&rest[..end]) {
                found = (end, Some(*target));
            }
        }
        match found {
            (_, Some(target)) => out.push_str(target),
            (_, None) => out.push(first),
        }
        rest = &rest[found.0..];
    }
    out
}

pub fn register(r: &mut Registry) {
    scalar!(r, "unaccent_dict", |text: &str| unaccent(text));
}

#[cfg(test)]
mod tests {
    use super::unaccent;

    #[test]
    fn accents_go_and_the_rest_stays() {
        for (text, plain) in
            [("Hôtel", "Hotel"), ("Ærøskøbing ½ ß", "AEroskobing 1/2 ss"), ("日本 x", "日本 x"), ("", "")]
        {
            assert_eq!(unaccent(text), plain);
        }
    }
}
