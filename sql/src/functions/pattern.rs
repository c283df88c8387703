//! LIKE, ILIKE, SIMILAR TO and the regular expressions.
//!
//! LIKE is matched directly on bytes. Regular expressions go to the `regex` crate after a rewriting of PostgreSQL's
//! notation (`\m`, `\y`, literal braces, …): it has no backtracking, so no pattern can run away; compiled patterns
//! are cached per thread, their size is bounded. What it can't do is refused with an error: back references and
//! lookaround. One difference stays: where alternatives overlap (`a|ab`), POSIX takes the longest, `regex` the first;
//! it shows only in what is extracted, never in whether there is a match.

use super::arguments::scalar;
use super::{EvalContext, Registry, SetIterator};
use crate::error::{Error, Result, SqlState};
use crate::types::{ArrayValue, Datum, Type};
use regex::{Regex, RegexBuilder};
use std::cell::RefCell;
use std::rc::Rc;

/// Bytes that a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 4 << 20;
const CACHED_PATTERNS: usize = 32;

fn char_len(lead: u8) -> usize {
    match lead {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// Matches a whole string against a LIKE pattern. Backtracks to the last `%` only, which is enough: an earlier one could
/// not match more. An escape at the pattern's end is an error where the match gets as far.
fn like(text: &[u8], pattern: &[u8]) -> Result<bool> {
    let (mut t, mut p) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                resume = Some((t, p));
                continue;
            }
            None => t == text.len(),
            Some(b'_') if t < text.len() => {
                t += char_len(text[t]).min(text.len() - t);
                p += 1;
                continue;
            }
            Some(b'\\') if pattern.get(p + 1).is_some_and(|c| text.get(t) == Some(c)) => {
                (t, p) = (t + 1, p + 2);
                continue;
            }
            Some(b'\\') if p + 1 == pattern.len() && t < text.len() => {
                let message = "LIKE pattern must not end with escape character";
                return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, message));
            }
            Some(b'\\' | b'_') => false,
            Some(c) if text.get(t) == Some(c) => {
                (t, p) = (t + 1, p + 1);
                continue;
            }
            Some(_) => false,
        };
        if matched {
            return Ok(true);
        }
        match resume {
            Some((from, after)) if from < text.len() => {
                (t, p) = (from + char_len(text[from]).min(text.len() - from), after);
                resume = Some((t, after));
            }
            _ => return Ok(false),
        }
    }
}

fn ilike(text: &str, pattern: &str) -> Result<bool> {
    like(super::text::lower(text).as_bytes(), super::text::lower(pattern).as_bytes())
}

/// like_escape(): a pattern with another escape character, rewritten to use the backslash.
fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut characters = escape.chars();
    let escape = match (characters.next(), characters.next()) {
        (None, _) => return Ok(pattern.replace('\\', "\\\\")),
        (Some('\\'), None) => return Ok(pattern.to_string()),
        (Some(escape), None) => escape,
        _ => {
            return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .hint("Escape string must be empty or one character."));
        }
    };
    let mut out = String::new();
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            c if c == escape && !escaped => {
                out.push('\\');
                escaped = true;
                continue;
            }
            '\\' if !escaped => out.push_str("\\\\"),
            c => out.push(c),
        }
        escaped = false;
    }
    Ok(out)
}

/// SIMILAR TO's pattern as a regular expression (similar_escape_internal).
fn similar_to_regex(pattern: &str, escape: Option<&str>) -> Result<String> {
    let escape = match escape {
        None => Some('\\'),
        Some(text) if text.chars().count() <= 1 => text.chars().next(),
        Some(_) => {
            return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .hint("Escape string must be empty or one character."));
        }
    };
    let mut out = "^(?:".to_string();
    let mut characters = pattern.chars();
    let mut in_class = false;
    while let Some(c) = characters.next() {
        if Some(c) == escape {
            if let Some(next) = characters.next() {
                out.push('\\');
                out.push(next);
            }
            continue;
        }
        match c {
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            '\\' => out.push_str("\\\\"),
            c if in_class => out.push(c),
            '[' => {
                in_class = true;
                out.push(c);
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
struct Flags {
    ignore_case: bool,
    global: bool,
    /// `.` and bracket expressions don't match newlines.
    dot_stops: bool,
    /// `^` and `$` match at lines.
    lines: bool,
    expanded: bool,
    literal: bool,
}

fn flags(text: &str) -> Result<Flags> {
    let mut flags = Flags::default();
    for c in text.chars() {
        match c {
            'g' => flags.global = true,
            'i' => flags.ignore_case = true,
            'c' => flags.ignore_case = false,
            'm' | 'n' => (flags.dot_stops, flags.lines) = (true, true),
            's' => (flags.dot_stops, flags.lines) = (false, false),
            'p' => (flags.dot_stops, flags.lines) = (true, false),
            'w' => (flags.dot_stops, flags.lines) = (false, true),
            'x' => flags.expanded = true,
            't' => flags.expanded = false,
            'q' => flags.literal = true,
            'b' | 'e' => {}
            _ => {
                let message = format!("invalid regular expression option: \"{c}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        }
    }
    Ok(flags)
}

fn no_global(flags: Flags, function: &str) -> Result<Flags> {
    match flags.global {
        true => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("{function} does not support the \"global\" option"),
        )),
        false => Ok(flags),
    }
}

fn invalid_regex(what: &str) -> Error {
    Error::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {what}"))
}

/// PostgreSQL's advanced regular expressions in the notation of `regex`.
fn rewrite(pattern: &str) -> Result<String> {
    let mut pattern = pattern;
    if let Some(rest) = pattern.strip_prefix("***:") {
        pattern = rest;
    } else if let Some(literal) = pattern.strip_prefix("***=") {
        return Ok(regex::escape(literal));
    }
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                let Some(next) = characters.next() else {
                    return Err(invalid_regex("invalid escape \\ sequence"));
                };
                match next {
                    'y' => out.push_str("\\b"),
                    'Y' => out.push_str("\\B"),
                    'm' => out.push_str("\\b{start}"),
                    'M' => out.push_str("\\b{end}"),
                    'Z' => out.push_str("\\z"),
                    'e' => out.push_str("\\x1b"),
                    'B' => out.push_str("\\\\"),
                    '1'..='9' => return Err(Error::unsupported("a back reference in a regular expression")),
                    'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'A' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'u'
                    | 'U' | 'x' => {
                        out.push('\\');
                        out.push(next);
                    }
                    '0' => out.push_str("\\x00"),
                    next if next.is_ascii_alphanumeric() => {
                        return Err(invalid_regex("invalid escape \\ sequence"));
                    }
                    next => out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4]))),
                }
            }
            '[' => rewrite_class(&mut characters, &mut out)?,
            '(' if characters.peek() == Some(&'?') => {
                let ahead: String = characters.clone().skip(1).take(2).collect();
                if ahead.starts_with(['=', '!']) || ahead.starts_with("<=") || ahead.starts_with("<!") {
                    return Err(Error::unsupported("lookaround in a regular expression"));
                }
                out.push('(');
            }
            // A brace that does not begin a bound is an ordinary character.
            '{' if !characters.peek().is_some_and(char::is_ascii_digit) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// A bracket expression: `[` within it is plain but for `[:class:]`; `\` escapes; `&&`, `--` and `~~` mean nothing.
fn rewrite_class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<()> {
    // [[:<:]] and [[:>:]] are word boundaries.
    let ahead: String = characters.clone().take(6).collect();
    for (notation, boundary) in [("[:<:]]", "\\b{start}"), ("[:>:]]", "\\b{end}")] {
        if ahead == notation {
            characters.nth(5);
            out.push_str(boundary);
            return Ok(());
        }
    }
    out.push('[');
    if characters.peek() == Some(&'^') {
        characters.next();
        out.push('^');
    }
    let mut first = true;
    loop {
        let Some(c) = characters.next() else { return Err(invalid_regex("brackets [] not balanced")) };
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(());
            }
            '[' if characters.peek() == Some(&':') => {
                out.push('[');
                while let Some(c) = characters.next() {
                    out.push(c);
                    if c == ':' && characters.peek() == Some(&']') && !out.ends_with("[:") {
                        break;
                    }
                }
                out.extend(characters.next());
            }
            '[' if matches!(characters.peek(), Some('.' | '=')) => {
                return Err(Error::unsupported("a collating element in a regular expression"));
            }
            '\\' => match characters.next() {
                Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 'r' | 't' | 'f' | 'v' | 'a')) => {
                    out.push('\\');
                    out.push(c);
                }
                Some(c) => out.push_str(&escape_in_class(c)),
                None => return Err(invalid_regex("invalid escape \\ sequence")),
            },
            // The range sign stays what it is.
            '-' => out.push('-'),
            c => out.push_str(&escape_in_class(c)),
        }
        first = false;
    }
}

fn escape_in_class(c: char) -> String {
    match c {
        '[' | ']' | '\\' | '^' | '&' | '~' | '-' => format!("\\{c}"),
        c => c.to_string(),
    }
}

/// A regular expression with the options of regexp_match.
pub fn compile_regex(pattern: &str, options: &str) -> Result<Rc<Regex>> {
    compile(pattern, flags(options)?)
}

fn compile(pattern: &str, flags: Flags) -> Result<Rc<Regex>> {
    type Cached = (String, Flags, Rc<Regex>);
    thread_local! {
        /// Most recently used first.
        static CACHE: RefCell<Vec<Cached>> = const { RefCell::new(Vec::new()) };
    }
    CACHE.with_borrow_mut(|cache| {
        if let Some(found) = cache.iter().position(|entry| entry.1 == flags && entry.0 == pattern) {
            cache[..=found].rotate_right(1);
            return Ok(cache[0].2.clone());
        }
        let rewritten = if flags.literal { regex::escape(pattern) } else { rewrite(pattern)? };
        let regex = RegexBuilder::new(&rewritten)
            .case_insensitive(flags.ignore_case)
            .dot_matches_new_line(!flags.dot_stops)
            .multi_line(flags.lines)
            .ignore_whitespace(flags.expanded)
            .size_limit(COMPILED_BYTES_MAX)
            .nest_limit(200)
            .build()
            .map_err(|error| regex_error(&error))?;
        let regex = Rc::new(regex);
        cache.insert(0, (pattern.to_string(), flags, regex.clone()));
        cache.truncate(CACHED_PATTERNS);
        Ok(regex)
    })
}

/// The library's complaint in the words of PostgreSQL's regex engine, where they are known.
fn regex_error(error: &regex::Error) -> Error {
    if let regex::Error::CompiledTooBig(_) = error {
        return invalid_regex("regular expression is too complex");
    }
    let text = error.to_string();
    let known = [
        ("unclosed group", "parentheses () not balanced"),
        ("unopened group", "parentheses () not balanced"),
        ("unclosed character class", "brackets [] not balanced"),
        ("repetition operator missing", "quantifier operand invalid"),
        ("repetition quantifier", "invalid repetition count(s)"),
        ("unclosed counted repetition", "braces {} not balanced"),
        ("invalid character class range", "invalid character range"),
        ("invalid POSIX", "invalid character class"),
    ];
    let words = known.iter().find(|(theirs, _)| text.contains(theirs)).map(|(_, ours)| *ours);
    invalid_regex(
        words.unwrap_or_else(|| text.lines().last().unwrap_or("syntax error").trim_start_matches("error: ")),
    )
}

fn matches(text: &str, pattern: &str, ignore_case: bool) -> Result<bool> {
    Ok(compile(pattern, Flags { ignore_case, ..Flags::default() })?.is_match(text))
}

/// The byte at which character `start` (from 1) begins.
fn start_byte(text: &str, start: i32) -> Result<usize> {
    if start < 1 {
        let message = format!("invalid value for parameter \"start\": {start}");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(text.char_indices().nth(start as usize - 1).map_or(text.len(), |(byte, _)| byte))
}

/// What substring(text from pattern) gives: the first group if there is one, else all that matched.
fn regex_substring(text: &str, pattern: &str) -> Result<Option<String>> {
    let regex = compile(pattern, Flags::default())?;
    let Some(found) = regex.captures(text) else { return Ok(None) };
    let group = if regex.captures_len() > 1 { found.get(1) } else { found.get(0) };
    Ok(group.map(|group| group.as_str().to_string()))
}

/// Appends the replacement: `\1`…`\9` are groups, `\&` the whole match, `\\` a backslash.
fn expand(replacement: &str, found: &regex::Captures<'_>, out: &mut String) {
    let mut characters = replacement.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let group = |index: usize| found.get(index).map_or("", |group| group.as_str());
        match characters.next() {
            Some(digit @ '1'..='9') => out.push_str(group(digit as usize - '0' as usize)),
            Some('&') => out.push_str(group(0)),
            Some('\\') => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
}

/// Replaces match `nth` (0: all) from byte `start` on.
fn replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    start: usize,
    nth: usize,
    flags: Flags,
) -> Result<String> {
    let regex = compile(pattern, flags)?;
    let mut out = text[..start].to_string();
    let mut last = start;
    for (index, found) in captures_from(&regex, text, start).enumerate() {
        if nth > 0 && index + 1 < nth {
            continue;
        }
        let whole = found.get(0).expect("group 0 is the match");
        out.push_str(&text[last..whole.start()]);
        expand(replacement, &found, &mut out);
        last = whole.end();
        if nth > 0 {
            break;
        }
    }
    out.push_str(&text[last..]);
    Ok(out)
}

/// Successive matches from a byte on; what is before it is context for `^` and `\b` only.
fn captures_from<'a>(
    regex: &'a Regex,
    text: &'a str,
    start: usize,
) -> impl Iterator<Item = regex::Captures<'a>> {
    let mut at = Some(start);
    std::iter::from_fn(move || {
        let from = at?;
        if from > text.len() {
            return None;
        }
        let found = regex.captures_at(text, from)?;
        let whole = found.get(0)?;
        at = Some(match whole.is_empty() {
            // An empty match: go on after the next character.
            true => text[whole.end()..].chars().next().map_or(text.len() + 1, |c| whole.end() + c.len_utf8()),
            false => whole.end(),
        });
        Some(found)
    })
}

fn groups(regex: &Regex, found: &regex::Captures<'_>) -> ArrayValue {
    let range = if regex.captures_len() > 1 { 1..regex.captures_len() } else { 0..1 };
    let elements: Vec<Datum> = range
        .map(|index| found.get(index).map_or(Datum::Null, |group| Datum::text(group.as_str())))
        .collect();
    ArrayValue { element: Type::TEXT, dimensions: vec![(elements.len() as i32, 1)], elements }
}

pub fn regexp_match(text: &str, pattern: &str, options: &str) -> Result<Option<ArrayValue>> {
    let regex = compile(pattern, no_global(flags(options)?, "regexp_match()")?)?;
    Ok(regex.captures(text).map(|found| groups(&regex, &found)))
}

fn text_arguments(arguments: &[Datum]) -> Result<(&str, &str, &str)> {
    let get = |index: usize| arguments.get(index).map_or(Some(""), Datum::as_str);
    match (get(0), get(1), get(2)) {
        (Some(text), Some(pattern), Some(options)) => Ok((text, pattern, options)),
        _ => Err(Error::internal("a regular expression function takes text")),
    }
}

pub fn regexp_matches(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let (text, pattern, options) = text_arguments(arguments)?;
    let flags = flags(options)?;
    let regex = compile(pattern, flags)?;
    let limit = if flags.global { usize::MAX } else { 1 };
    let rows = captures_from(&regex, text, 0).take(limit).map(|found| Datum::array(groups(&regex, &found)));
    Ok(super::series::from_list(rows.collect()))
}

/// The pieces between matches. An empty match at the start, at the end or right after a match splits nothing.
fn split(text: &str, pattern: &str, options: &str, function: &str) -> Result<Vec<Datum>> {
    let regex = compile(pattern, no_global(flags(options)?, function)?)?;
    let mut pieces = Vec::new();
    let mut last = 0;
    for found in captures_from(&regex, text, 0) {
        let whole = found.get(0).expect("group 0 is the match");
        if whole.is_empty() && (whole.start() == 0 || whole.start() == text.len() || whole.start() == last) {
            continue;
        }
        pieces.push(Datum::text(&text[last..whole.start()]));
        last = whole.end();
    }
    pieces.push(Datum::text(&text[last..]));
    Ok(pieces)
}

pub fn split_to_table(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let (text, pattern, options) = text_arguments(arguments)?;
    split(text, pattern, options, "regexp_split_to_table()").map(super::series::from_list)
}

pub fn split_to_array(text: &str, pattern: &str, options: &str) -> Result<ArrayValue> {
    let elements = split(text, pattern, options, "regexp_split_to_array()")?;
    Ok(ArrayValue { element: Type::TEXT, dimensions: vec![(elements.len() as i32, 1)], elements })
}

fn count(text: &str, pattern: &str, start: i32, options: &str) -> Result<i32> {
    let regex = compile(pattern, no_global(flags(options)?, "regexp_count()")?)?;
    Ok(captures_from(&regex, text, start_byte(text, start)?).count() as i32)
}

fn positive(value: i32, name: &str, least: i32) -> Result<usize> {
    usize::try_from(value).ok().filter(|_| value >= least).ok_or_else(|| {
        let message = format!("invalid value for parameter \"{name}\": {value}");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

/// text, pattern, start, n, options, group: the rest at their defaults if absent.
fn regexp_substr(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let (text, pattern, _) = text_arguments(&arguments[..2.min(arguments.len())])?;
    let integer =
        |index: usize, default: i32| arguments.get(index).and_then(Datum::as_i32).unwrap_or(default);
    let options = arguments.get(4).and_then(Datum::as_str).unwrap_or("");
    let regex = compile(pattern, no_global(flags(options)?, "regexp_substr()")?)?;
    let (start, nth) = (start_byte(text, integer(2, 1))?, positive(integer(3, 1), "n", 1)?);
    let group = positive(integer(5, 0), "subexpr", 0)?;
    let found = captures_from(&regex, text, start).nth(nth - 1);
    Ok(found.and_then(|found| found.get(group).map(|group| Datum::text(group.as_str()))).unwrap_or_default())
}

/// text, pattern, start, n, end option, options, group.
fn regexp_instr(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let (text, pattern, _) = text_arguments(&arguments[..2.min(arguments.len())])?;
    let integer =
        |index: usize, default: i32| arguments.get(index).and_then(Datum::as_i32).unwrap_or(default);
    let options = arguments.get(5).and_then(Datum::as_str).unwrap_or("");
    let regex = compile(pattern, no_global(flags(options)?, "regexp_instr()")?)?;
    let (start, nth) = (start_byte(text, integer(2, 1))?, positive(integer(3, 1), "n", 1)?);
    let end = integer(4, 0);
    if !(0..=1).contains(&end) {
        return positive(-1, "endoption", 0).map(|_| Datum::Null).map_err(|_| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"endoption\": {end}"),
            )
        });
    }
    let group = positive(integer(6, 0), "subexpr", 0)?;
    let found = captures_from(&regex, text, start).nth(nth - 1);
    let place = found
        .and_then(|found| found.get(group).map(|group| if end == 1 { group.end() } else { group.start() }));
    Ok(Datum::Int4(place.map_or(0, |byte| text[..byte].chars().count() as i32 + 1)))
}

/// regexp_replace(text, pattern, replacement, flags): a digit there is the common mistake of passing start.
pub fn replace_with_flags(text: &str, pattern: &str, replacement: &str, options: &str) -> Result<String> {
    if options.starts_with(|c: char| c.is_ascii_digit()) {
        let first: String = options.chars().take(1).collect();
        let message = format!("invalid regular expression option: \"{first}\"");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).hint(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.",
        ));
    }
    let flags = flags(options)?;
    replace(text, pattern, replacement, 0, usize::from(!flags.global), flags)
}

pub fn register(r: &mut Registry) {
    scalar!(r, "textlike", |a: &str, p: &str| like(a.as_bytes(), p.as_bytes()));
    scalar!(r, "textnlike", |a: &str, p: &str| like(a.as_bytes(), p.as_bytes()).map(|found| !found));
    scalar!(r, "namelike", |a: &str, p: &str| like(a.as_bytes(), p.as_bytes()));
    scalar!(r, "namenlike", |a: &str, p: &str| like(a.as_bytes(), p.as_bytes()).map(|found| !found));
    scalar!(r, "bytealike", |a: &[u8], p: &[u8]| like(a, p));
    scalar!(r, "byteanlike", |a: &[u8], p: &[u8]| like(a, p).map(|found| !found));
    for name in ["texticlike", "nameiclike"] {
        scalar!(r, name, |a: &str, p: &str| ilike(a, p));
    }
    for name in ["texticnlike", "nameicnlike"] {
        scalar!(r, name, |a: &str, p: &str| ilike(a, p).map(|found| !found));
    }
    scalar!(r, "like_escape", |p: &str, escape: &str| like_escape(p, escape));
    scalar!(r, "similar_to_escape_1", |p: &str| similar_to_regex(p, None));
    scalar!(r, "similar_to_escape_2", |p: &str, escape: &str| similar_to_regex(p, Some(escape)));
    scalar!(r, "similar_escape", |p: Option<&str>, escape: Option<&str>| p
        .map(|p| similar_to_regex(p, escape))
        .transpose());
    for name in ["textregexeq", "nameregexeq"] {
        scalar!(r, name, |a: &str, p: &str| matches(a, p, false));
    }
    for name in ["textregexne", "nameregexne"] {
        scalar!(r, name, |a: &str, p: &str| matches(a, p, false).map(|found| !found));
    }
    for name in ["texticregexeq", "nameicregexeq"] {
        scalar!(r, name, |a: &str, p: &str| matches(a, p, true));
    }
    for name in ["texticregexne", "nameicregexne"] {
        scalar!(r, name, |a: &str, p: &str| matches(a, p, true).map(|found| !found));
    }
    scalar!(r, "textregexsubstr", |a: &str, p: &str| regex_substring(a, p));
    scalar!(r, "textregexreplace_noopt", |a: &str, p: &str, to: &str| replace(
        a,
        p,
        to,
        0,
        1,
        Flags::default()
    ));
    scalar!(r, "textregexreplace", |a: &str, p: &str, to: &str, options: &str| replace_with_flags(
        a, p, to, options
    ));
    scalar!(r, "textregexreplace_extended_no_n", |a: &str, p: &str, to: &str, start: i32| {
        replace(a, p, to, start_byte(a, start)?, 1, Flags::default())
    });
    scalar!(r, "textregexreplace_extended_no_flags", |a: &str, p: &str, to: &str, start: i32, n: i32| {
        replace(a, p, to, start_byte(a, start)?, positive(n, "n", 0)?, Flags::default())
    });
    scalar!(r, "textregexreplace_extended", |a: &str,
                                             p: &str,
                                             to: &str,
                                             start: i32,
                                             n: i32,
                                             options: &str| {
        replace(a, p, to, start_byte(a, start)?, positive(n, "n", 0)?, flags(options)?)
    });
    scalar!(r, "regexp_match_no_flags", |a: &str, p: &str| regexp_match(a, p, ""));
    scalar!(r, "regexp_match", |a: &str, p: &str, options: &str| regexp_match(a, p, options));
    r.set("regexp_matches_no_flags", regexp_matches);
    r.set("regexp_matches", regexp_matches);
    r.set("regexp_split_to_table_no_flags", split_to_table);
    r.set("regexp_split_to_table", split_to_table);
    scalar!(r, "regexp_split_to_array_no_flags", |a: &str, p: &str| split_to_array(a, p, ""));
    scalar!(r, "regexp_split_to_array", |a: &str, p: &str, options: &str| split_to_array(a, p, options));
    scalar!(r, "regexp_like_no_flags", |a: &str, p: &str| matches(a, p, false));
    scalar!(r, "regexp_like", |a: &str, p: &str, options: &str| {
        compile(p, no_global(flags(options)?, "regexp_like()")?).map(|regex| regex.is_match(a))
    });
    scalar!(r, "regexp_count_no_start", |a: &str, p: &str| count(a, p, 1, ""));
    scalar!(r, "regexp_count_no_flags", |a: &str, p: &str, start: i32| count(a, p, start, ""));
    scalar!(r, "regexp_count", |a: &str, p: &str, start: i32, options: &str| count(a, p, start, options));
    for name in [
        "regexp_substr",
        "regexp_substr_no_start",
        "regexp_substr_no_n",
        "regexp_substr_no_flags",
        "regexp_substr_no_subexpr",
    ] {
        r.scalar(name, regexp_substr);
    }
    for name in [
        "regexp_instr",
        "regexp_instr_no_start",
        "regexp_instr_no_n",
        "regexp_instr_no_endoption",
        "regexp_instr_no_flags",
        "regexp_instr_no_subexpr",
    ] {
        r.scalar(name, regexp_instr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_matches_as_postgresql_does() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "_b_", true),
            ("abc", "", false),
            ("", "%", true),
            ("", "_", false),
            ("déjà", "d_j_", true),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("aXbXc", "%X%X%", true),
            ("aaab", "%ab", true),
            ("mississippi", "%iss%ippi", true),
            ("abc", "%d%", false),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(like(text.as_bytes(), pattern.as_bytes()).unwrap(), expected, "{text} LIKE {pattern}");
        }
        assert!(like(b"ab", b"a\\").is_err() && !like(b"ab", b"x\\").unwrap());
        assert_eq!(like_escape("a!%b\\", "!").unwrap(), "a\\%b\\\\");
    }

    #[test]
    fn regular_expressions_are_rewritten() {
        assert!(matches("foo bar", "\\mbar\\M", false).unwrap());
        assert!(matches("a{b", "a{b", false).unwrap());
        assert!(matches("x]y", "[]x]y", false).unwrap());
        assert!(matches("a&&b", "^[a-b&&]+$", false).unwrap());
        assert!(matches("one\ntwo", "one.two", false).unwrap());
        assert!(!matches("one\ntwo", "^two", false).unwrap());
        assert!(matches("ABC", "abc", true).unwrap());
        assert_eq!(
            matches("a", "(a", false).unwrap_err().message(),
            "invalid regular expression: parentheses () not balanced"
        );
        assert!(matches("aa", "(a)\\1", false).is_err() && matches("a", "a(?=b)", false).is_err());
        assert_eq!(replace("foobarbaz", "b(..)", "X\\1Y", 0, 0, Flags::default()).unwrap(), "fooXarYXazY");
        let similar = similar_to_regex("%(b|d)%", None).unwrap();
        assert!(matches("abc", &similar, false).unwrap());
        // A pattern that would explode a backtracking engine.
        assert!(!matches(&"a".repeat(5000), "^(a+)+$b", false).unwrap());
        assert!(matches("a", "((a{1,1000}){1,1000}){1,1000}", false).is_err());
    }
}
