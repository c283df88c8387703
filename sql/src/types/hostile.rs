//! Every type's input against text made to hurt: deep, long, repetitive, random.
//!
//! What is wanted is a value or an error with an SQLSTATE, after work in proportion to the text, on a small stack. Cost is
//! not measured (that would test the machine): the texts are long enough that an input function that is quadratic or recursive would not
//! end within a generous limit, or would overflow the thread that it is given.
//!
//! `SERIN_FUZZ_SECONDS=600 cargo test -p serin-sql hostile` runs the random part for longer; `SERIN_FUZZ_SEED` repeats a run.

use super::{BUILTIN, RenderSettings, Type, format_datum, parse_datum, read_binary, write_binary_datum};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Below what a session's thread has.
const STACK_BYTES: usize = 4 << 20;
/// For one text: some thousand times what the slowest type needs in a debug build.
const LIMIT: Duration = Duration::from_secs(20);
const LENGTH: usize = 30_000;

const PIECES: &[&str] = &[
    "9",
    "0",
    ".",
    "{",
    "[",
    "(",
    ")",
    "}",
    "]",
    " ",
    "a",
    "-",
    "+",
    "1 ",
    "1-",
    "1:",
    "\"",
    "\\",
    "\\\\",
    "{\"a\":",
    "[1,",
    "$.a",
    "(1+",
    "$[0]",
    "$?(@.a==1)",
    "!",
    "1 day ",
    "abc ",
    "\"a\" ",
    ",",
    "P1Y",
    "- 1",
    ":",
    "f",
    "b",
    "1e",
    "1e9,",
    "{{",
    "{1,",
    "_",
    "[]",
    "(-",
    ".*",
    "exists(",
    "@",
    "1/",
    "::",
    "é",
    "'",
    "ago ",
    "T",
    "Z",
    "+1",
    "Jan ",
    "AD ",
    "1e131071,",
    "\\u0041",
    "[0:0]",
    "=",
    "[1:1]",
    "NULL,",
    "\\x",
    "\n",
    "/*",
    "**{1}",
    "$\"a\"",
    "{},",
    "{(,),",
    "(,",
    "[,),",
    "infinity",
    "EST",
    "1.1.1.1/",
    "08:",
    "t,",
    "!(",
    "exists(@",
    "-(",
    "1 mon",
    "&&",
    "||",
    "(1,2),",
    "((1,1),",
    "<(0,0),",
    "{1,-1,",
    "1e308,",
    "-inf,",
];
const FRAMES: &[(&str, &str)] = &[
    ("", ""),
    ("1", ""),
    ("{", "}"),
    ("[", "]"),
    ("\"", "\""),
    ("$", ""),
    ("0.", "e5"),
    ("P", ""),
    ("[0", "1]"),
    ("(", ")"),
    ("(", "(1,2))"),
];

/// Every type that text can be read as.
fn types() -> Vec<Type> {
    let scalars = BUILTIN.iter().map(|entry| entry.0).filter(|data_type| !data_type.is_pseudo());
    scalars.chain([Type(1009), Type(1007), Type(3807)]).collect()
}

/// Reads, and what could be read writes and reads again.
fn round_trip(text: &str, data_type: Type, render: &RenderSettings) {
    let Ok(value) = parse_datum(text, data_type, -1, render) else { return };
    let shown = format_datum(&value, data_type, render);
    let mut bytes = Vec::new();
    write_binary_datum(&mut bytes, &value, data_type);
    let again = parse_datum(&shown, data_type, -1, render);
    assert!(again.is_ok_and(|again| again == value), "{} {text:?} gives {shown:?}", data_type.name());
    assert!(read_binary(&bytes, data_type).is_ok(), "{} {text:?} in binary", data_type.name());
}

#[test]
fn long_and_deep_texts_cost_in_proportion() {
    let (progress, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let render = RenderSettings::default();
        for data_type in types() {
            for (piece, frame) in
                PIECES.iter().flat_map(|piece| FRAMES.iter().map(move |frame| (piece, frame)))
            {
                let _ = progress.send((data_type, piece, frame));
                let text = format!("{}{}{}", frame.0, piece.repeat(LENGTH / piece.len()), frame.1);
                let _ = parse_datum(&text, data_type, -1, &render);
            }
        }
    });
    let thread = thread.expect("a thread");
    let mut at = None;
    loop {
        match wait.recv_timeout(LIMIT) {
            Ok(next) => at = Some(next),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{at:?} does not end"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    assert!(thread.join().is_ok(), "{at:?} panicked");
}

/// Numbers of few characters and many digits: a canonical text that would be far larger than what it was made of.
#[test]
fn jsonb_of_numbers_with_large_exponents_is_bounded() {
    let text = format!("[{}1]", "1e131071,".repeat(20_000));
    let error = parse_datum(&text, Type::JSONB, -1, &RenderSettings::default()).unwrap_err();
    assert_eq!(error.state(), crate::error::SqlState::PROGRAM_LIMIT_EXCEEDED);
}

#[test]
fn random_texts_give_values_or_errors() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("SERIN_FUZZ_SECONDS");
    let seed = number("SERIN_FUZZ_SEED").unwrap_or(if seconds.is_some() { rand::random() } else { 1 });
    println!("SERIN_FUZZ_SEED={seed}");
    let mut source = StdRng::seed_from_u64(seed);
    let render = RenderSettings::default();
    let types = types();
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut rounds = 0;
    while end.map_or(rounds < 40_000, |end| Instant::now() < end) {
        rounds += 1;
        let data_type = types[source.random_range(0..types.len())];
        let count = source.random_range(0..8);
        let text: String = (0..count).map(|_| PIECES[source.random_range(0..PIECES.len())]).collect();
        round_trip(&text, data_type, &render);
        let bytes: Vec<u8> = (0..source.random_range(0..40))
            .map(|_| source.random::<u8>() >> source.random_range(0..8))
            .collect();
        let _ = read_binary(&bytes, data_type);
    }
}
