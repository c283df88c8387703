//! Parses SQL scripts statement by statement and tells how many went through: `parse_coverage FILE…`. Scripts may be
//! psql's (backslash commands and COPY data are passed over). What fails is printed with its error; `-v` prints all.
//!
//! `parse_coverage --time 'SELECT …'` measures one statement instead.

use std::time::Instant;

fn main() {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    if files.first().is_some_and(|first| first == "--time") {
        for sql in &files[1..] {
            time(sql);
        }
        return;
    }
    let quiet = files.first().is_some_and(|first| first == "-q");
    if quiet {
        files.remove(0);
    }
    let (mut parsed, mut unsupported, mut all) = (0, 0, 0);
    for file in &files {
        let Ok(bytes) = std::fs::read(file) else {
            eprintln!("{file}: can't be read");
            continue;
        };
        for statement in statements(&String::from_utf8_lossy(&bytes)) {
            all += 1;
            match serin_sql::parse::parse(&statement) {
                Ok(tree) => {
                    parsed += 1;
                    unsupported += usize::from(tree.iter().any(|statement| {
                        matches!(statement.kind, serin_sql::parse::ast::StatementKind::Unsupported(_))
                    }));
                }
                Err(error) if !quiet => {
                    println!("{file}\t{error}\t{}", statement.replace(['\n', '\t', '\r'], " "));
                }
                Err(_) => {}
            }
        }
    }
    println!(
        "{parsed} of {all} statements parsed ({:.2} %), {unsupported} of them as known but not supported",
        100.0 * parsed as f64 / all.max(1) as f64
    );
}

fn time(sql: &str) {
    const ROUNDS: u32 = 100_000;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(serin_sql::parse::parse(std::hint::black_box(sql)).is_ok());
    }
    println!("{:.2} µs  {sql}", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

/// Splits a script as psql does: at semicolons outside quotes, comments, parentheses and BEGIN ATOMIC … END.
fn statements(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut rest = script;
    let (mut parentheses, mut blocks) = (0i32, 0i32);
    while let Some(first) = rest.chars().next() {
        let end = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment_end(rest)
        } else if first == '\'' || first == '"' {
            let escapes = first == '\'' && current.ends_with(['E', 'e']);
            quote_end(rest, first, escapes)
        } else if let Some(end) = dollar_end(rest) {
            end
        } else if first.is_alphanumeric() || first == '_' {
            let end =
                rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
            match rest[..end].to_ascii_lowercase().as_str() {
                "atomic" => blocks += 1,
                "case" if blocks > 0 => blocks += 1,
                "end" if blocks > 0 => blocks -= 1,
                _ => {}
            }
            end
        } else {
            first.len_utf8()
        };
        match first {
            '\\' => {
                // \g and its like end the statement; others are only commands to psql.
                let line = rest.find('\n').unwrap_or(rest.len());
                if rest.starts_with("\\g") || rest.starts_with("\\;") || rest.starts_with("\\crosstab") {
                    push(&mut found, &mut current);
                }
                rest = &rest[line..];
                continue;
            }
            '(' => parentheses += 1,
            ')' => parentheses -= 1,
            ';' if parentheses <= 0 && blocks == 0 => {
                let copies_in = {
                    let lower = current.to_ascii_lowercase();
                    lower.trim_start().starts_with("copy") && lower.contains("from stdin")
                };
                push(&mut found, &mut current);
                parentheses = 0;
                rest = &rest[1..];
                if copies_in && let Some(data_end) = rest.find("\n\\.") {
                    rest = &rest[data_end + 3..];
                }
                continue;
            }
            _ => {}
        }
        current.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    push(&mut found, &mut current);
    found
}

fn push(found: &mut Vec<String>, current: &mut String) {
    let text = std::mem::take(current);
    let is_empty = serin_sql::parse::parse(&text).is_ok_and(|statements| statements.is_empty());
    // psql's own variables aren't SQL.
    if !is_empty && !text.contains(":'") && !text.contains(":\"") {
        found.push(text);
    }
}

fn comment_end(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn quote_end(text: &str, quote: char, escapes: bool) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if escapes && letter == '\\' {
            letters.next();
        } else if letter == quote {
            return at + 1;
        }
    }
    text.len()
}

fn dollar_end(text: &str) -> Option<usize> {
    let tag_end = text.strip_prefix('$')?.find('$')? + 2;
    let tag = &text[..tag_end];
    let is_tag = tag[1..tag_end - 1].chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        && !tag[1..].starts_with(|first: char| first.is_ascii_digit());
    is_tag.then(|| text[tag_end..].find(tag).map_or(text.len(), |body| tag_end + body + tag_end))
}
