//! What a log says, and how much of a statement has to be understood to play it: where its strings and comments are, which kind
//! of command it begins with, and what it would make.

/// One line of a log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// From 1.
    pub line: usize,
    pub text: String,
}

/// Lines are `statement; -- xN`, N times seen; comments and empty lines are headings.
pub fn read_log(log: &str) -> Vec<Logged> {
    let lines = log.lines().enumerate();
    lines
        .filter_map(|(number, line)| {
            let (text, times) = line.rsplit_once("; -- x")?;
            times.parse::<u64>().ok()?;
            Some(Logged { line: number + 1, text: text.to_owned() })
        })
        .collect()
}

/// The text with everything in quotes, dollar quotes and comments blanked, byte for byte, in upper case.
pub fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut bare = vec![b' '; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let skipped = match rest[0] {
            quote @ (b'\'' | b'"') => {
                let escapes = quote == b'\'' && at > 0 && matches!(bytes[at - 1], b'E' | b'e');
                quoted(rest, quote, escapes)
            }
            b'-' if rest.starts_with(b"--") => {
                rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
            }
            b'$' if at == 0 || !bytes[at - 1].is_ascii_alphanumeric() => dollar_quoted(rest),
            _ => 0,
        };
        if skipped == 0 {
            bare[at] = if rest[0].is_ascii() { rest[0].to_ascii_uppercase() } else { b'?' };
        }
        at += skipped.max(1);
    }
    String::from_utf8(bare).expect("ASCII")
}

fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' if escapes => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// 0: what is here is no dollar quote.
fn dollar_quoted(text: &[u8]) -> usize {
    let name = text[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if text.get(name + 1) != Some(&b'$') || text[1].is_ascii_digit() {
        return 0;
    }
    let tag = &text[..name + 2];
    let end = text[tag.len()..].windows(tag.len()).position(|window| window == tag);
    end.map_or(text.len(), |end| end + 2 * tag.len())
}

impl Logged {
    pub fn has_parameters(&self) -> bool {
        let bare = bare(&self.text);
        bare.as_bytes().windows(2).any(|pair| pair[0] == b'$' && pair[1].is_ascii_digit())
    }

    /// ORDER BY outside of every parenthesis.
    pub fn is_ordered(&self) -> bool {
        let bare = bare(&self.text);
        let mut depth = 0;
        bare.char_indices().any(|(at, c)| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0 && bare[at..].starts_with("ORDER BY")
        })
    }

    /// Defines or fills something, and takes nothing away: what a schema is made of.
    pub fn builds(&self) -> Option<Stage> {
        if self.has_parameters() {
            return None;
        }
        let bare = bare(&self.text);
        let mut stages = Vec::new();
        for command in bare.split(';') {
            let words: Vec<&str> = command.split_whitespace().take(8).collect();
            stages.push(match words.as_slice() {
                ["CREATE", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION" | "PUBLICATION" | "RULE", ..] => {
                    return None;
                }
                ["CREATE", ..] => Stage::Create,
                // Types are made in DO blocks, which have no IF NOT EXISTS for them.
                ["DO", ..] if self.text.contains("CREATE TYPE") => Stage::Create,
                ["ALTER", "TABLE", .., "ADD", _] | ["COMMENT", "ON", ..] => Stage::Alter,
                ["ALTER", "TABLE", rest @ ..] if rest.contains(&"ADD") || rest.contains(&"ATTACH") => {
                    Stage::Alter
                }
                ["INSERT", ..] => Stage::Insert,
                [] | ["SELECT" | "BEGIN" | "COMMIT" | "GRANT" | "ALTER", ..] | ["SET", "LOCAL", ..] => {
                    continue;
                }
                _ => return None,
            });
        }
        stages.into_iter().min()
    }

    /// DROP for what this CREATE would make.
    pub fn undo(&self) -> Option<String> {
        let bare = bare(&self.text);
        let mut at = 0;
        let mut word = || {
            at += bare[at..].len() - bare[at..].trim_start().len();
            let end = bare[at..].find([' ', '(', ';']).unwrap_or(bare.len() - at);
            let word = (at, &bare[at..at + end]);
            at += end;
            word
        };
        if word().1 != "CREATE" {
            return None;
        }
        let mut kind = word().1;
        while matches!(
            kind,
            "OR" | "REPLACE"
                | "TEMP"
                | "TEMPORARY"
                | "UNLOGGED"
                | "UNIQUE"
                | "GLOBAL"
                | "LOCAL"
                | "RECURSIVE"
        ) {
            kind = word().1;
        }
        let materialized = if kind == "MATERIALIZED" { "MATERIALIZED " } else { "" };
        if kind == "MATERIALIZED" {
            kind = word().1;
        }
        if !matches!(
            kind,
            "TABLE" | "VIEW" | "SEQUENCE" | "TYPE" | "DOMAIN" | "INDEX" | "SCHEMA" | "FUNCTION" | "EXTENSION"
        ) {
            return None;
        }
        let mut name = word();
        while matches!(name.1, "IF" | "NOT" | "EXISTS" | "CONCURRENTLY") {
            name = word();
        }
        // Quoted names are blank in `bare`.
        let name = self.text[name.0.min(self.text.len())..].trim_start();
        let mut in_quotes = false;
        let end = name.find(|c| {
            in_quotes ^= c == '"';
            !in_quotes && matches!(c, ' ' | '(' | ';')
        });
        let name = &name[..end.unwrap_or(name.len())];
        (!name.is_empty()).then(|| format!("DROP {materialized}{kind} IF EXISTS {name} CASCADE"))
    }

    /// What a command needs to have before it that is of a transaction.
    pub fn before(&self) -> Before {
        let bare = bare(&self.text);
        let words: Vec<&str> = bare
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        let last = self.text.trim_end_matches([';', ' ']).rsplit(' ').next().unwrap_or_default();
        match words.as_slice() {
            ["RELEASE", ..] | ["ROLLBACK", "TO", ..] => Before::Block(format!("SAVEPOINT {last}")),
            ["COMMIT" | "ROLLBACK", "PREPARED", ..] => Before::Prepared(last.to_owned()),
            ["FETCH" | "MOVE" | "CLOSE", ..] => {
                Before::Block(format!("DECLARE {last} SCROLL CURSOR WITH HOLD FOR SELECT 1 AS a"))
            }
            ["BEGIN" | "START", ..] => Before::Nothing,
            ["COMMIT" | "ROLLBACK" | "END" | "ABORT"] => Before::Block(String::new()),
            _ if words.iter().any(|word| matches!(*word, "COMMIT" | "ROLLBACK"))
                && !bare.contains("CREATE") =>
            {
                Before::Nothing
            }
            _ => Before::Block(String::new()),
        }
    }

    /// To be run as written: it would wait for nothing but the clock.
    pub fn without_sleep(&self) -> String {
        let Some(at) = self.text.find("pg_sleep(") else { return self.text.clone() };
        let start = at + "pg_sleep(".len();
        let seconds = self.text[start..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(0);
        if seconds == 0 {
            return self.text.clone();
        }
        format!("{}0{}", &self.text[..start], &self.text[start + seconds..])
    }

    /// Whether it asks the catalogs for an object by the OID that it had on the server that was logged.
    pub fn names_oid(&self) -> bool {
        self.text.to_ascii_lowercase().contains("pg_")
            && super::answer::with_oids_as("", &self.text) != self.text
    }
}

/// Order of building.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    Create,
    Alter,
    Insert,
}

pub enum Before {
    Nothing,
    /// BEGIN, and then this.
    Block(String),
    /// A prepared transaction of this name.
    Prepared(String),
}
