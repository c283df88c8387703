//! citext: text that is compared without regard to case. Values keep the case they were written in; what is compared, hashed and used as
//! a key of an index is [`folded`].

use crate::error::Result;
use crate::functions::arguments::scalar;
use crate::functions::{Registry, pattern, text};
use crate::types::{Datum, compare_as};
use std::borrow::Cow;

/// What equal values have in common: as lower() makes it.
pub fn folded(value: &str) -> Cow<'_, str> {
    match value.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        true => Cow::Owned(text::lower(value)),
        false => Cow::Borrowed(value),
    }
}

/// Flags of a regular expression that ignores case unless they say otherwise.
fn ignoring_case(flags: &str) -> String {
    match flags.contains('c') {
        true => flags.to_owned(),
        false => format!("{flags}i"),
    }
}

/// A regular expression that matches a string.
fn literally(value: &str) -> String {
    let mut pattern = String::with_capacity(value.len());
    for c in value.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn replace(value: &str, from: &str, to: &str) -> Result<String> {
    pattern::replace_with_flags(value, &literally(from), to, "gi")
}

fn split_part(value: &str, separator: &str, field: i32) -> Result<Option<Datum>> {
    let parts = pattern::split_to_array(value, &literally(separator), "i")?;
    let at = usize::try_from(field).ok().and_then(|field| field.checked_sub(1));
    Ok(at.and_then(|at| parts.elements.get(at).cloned()))
}

/// Arguments of a set-returning function of regular expressions with the flags of one that ignores case.
fn with_flags(arguments: &[Datum]) -> Vec<Datum> {
    let flags = match arguments.get(2) {
        Some(Datum::Text(flags)) => ignoring_case(flags),
        _ => "i".to_owned(),
    };
    arguments.iter().take(2).cloned().chain([Datum::text(flags)]).collect()
}

pub fn register(r: &mut Registry) {
    use crate::types::Type;
    use std::cmp::Ordering;
    fn order(a: &Datum, b: &Datum) -> Ordering {
        compare_as(a, b, Type::CITEXT)
    }
    scalar!(r, "citext_eq", |a: &Datum, b: &Datum| order(a, b).is_eq());
    scalar!(r, "citext_ne", |a: &Datum, b: &Datum| order(a, b).is_ne());
    for name in ["citext_lt", "citext_pattern_lt"] {
        scalar!(r, name, |a: &Datum, b: &Datum| order(a, b).is_lt());
    }
    for name in ["citext_le", "citext_pattern_le"] {
        scalar!(r, name, |a: &Datum, b: &Datum| order(a, b).is_le());
    }
    for name in ["citext_gt", "citext_pattern_gt"] {
        scalar!(r, name, |a: &Datum, b: &Datum| order(a, b).is_gt());
    }
    for name in ["citext_ge", "citext_pattern_ge"] {
        scalar!(r, name, |a: &Datum, b: &Datum| order(a, b).is_ge());
    }
    for name in ["citext_cmp", "citext_pattern_cmp"] {
        scalar!(r, name, |a: &Datum, b: &Datum| order(a, b) as i32);
    }
    scalar!(r, "citext_smaller", |a: &Datum, b: &Datum| if order(a, b).is_lt() {
        a.clone()
    } else {
        b.clone()
    });
    scalar!(r, "citext_larger", |a: &Datum, b: &Datum| if order(a, b).is_gt() {
        a.clone()
    } else {
        b.clone()
    });
    scalar!(r, "citext:regexp_match/2", |a: &str, p: &str| pattern::regexp_match(a, p, "i"));
    scalar!(r, "citext:regexp_match/3", |a: &str, p: &str, flags: &str| {
        pattern::regexp_match(a, p, &ignoring_case(flags))
    });
    for name in ["citext:regexp_matches/2", "citext:regexp_matches/3"] {
        r.set(name, |arguments, context| pattern::regexp_matches(&with_flags(arguments), context));
    }
    scalar!(r, "citext:regexp_replace/3", |a: &str, p: &str, to: &str| {
        pattern::replace_with_flags(a, p, to, "i")
    });
    scalar!(r, "citext:regexp_replace/4", |a: &str, p: &str, to: &str, flags: &str| {
        pattern::replace_with_flags(a, p, to, &ignoring_case(flags))
    });
    scalar!(r, "citext:regexp_split_to_array/2", |a: &str, p: &str| pattern::split_to_array(a, p, "i"));
    scalar!(r, "citext:regexp_split_to_array/3", |a: &str, p: &str, flags: &str| {
        pattern::split_to_array(a, p, &ignoring_case(flags))
    });
    for name in ["citext:regexp_split_to_table/2", "citext:regexp_split_to_table/3"] {
        r.set(name, |arguments, context| pattern::split_to_table(&with_flags(arguments), context));
    }
    scalar!(r, "citext:strpos/2", |a: &str, part: &str| text::position(&folded(a), &folded(part)));
    scalar!(r, "citext:replace/3", |a: &str, from: &str, to: &str| replace(a, from, to));
    scalar!(r, "citext:split_part/3", |a: &str, separator: &str, field: i32| split_part(a, separator, field));
    scalar!(r, "citext:translate/3", |a: &str, from: &str, to: &str| {
        text::translate(&text::translate(a, &text::lower(from), to), &text::upper(from), to)
    });
}
