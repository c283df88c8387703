//! pg_trgm: how similar two texts are, by the sequences of three characters (trigrams) that they share.
//!
//! A text's words (letters and digits, in lower case) are padded with two blanks before and one after; their trigrams are the set
//! that `similarity` compares: shared / all. `word_similarity` looks for the stretch of the second text's trigrams, in their order, that is
//! most like the set of the first one's; `strict_word_similarity` for such a stretch of whole words. Both follow PostgreSQL's
//! iterate_word_similarity(), which moves both bounds once over the text, so results are equal even where that is not optimal.
//!
//! A trigram is three bytes: of characters beyond ASCII, three bytes of a checksum of all three characters.
//! Deviation: there are no operator classes, so `%` and LIKE read the whole table.

use crate::error::{Error, Result, SqlState};
use crate::functions::arguments::scalar;
use crate::functions::{EvalContext, Registry, text};
use crate::types::{ArrayValue, Datum, Type};
use std::sync::LazyLock;

const SIMILARITY: &str = "pg_trgm.similarity_threshold";
const WORD: &str = "pg_trgm.word_similarity_threshold";
const STRICT_WORD: &str = "pg_trgm.strict_word_similarity_threshold";

/// Compared as PostgreSQL compares them: by signed characters.
type Trigram = [i8; 3];

/// One of a text's trigrams, where they were.
#[derive(Clone, Copy)]
struct Placed {
    trigram: Trigram,
    begins_word: bool,
    ends_word: bool,
}

/// The checksum that PostgreSQL keeps for what is on disk already: CRC-32's reflected table, looked up the other way around.
fn legacy_crc32(bytes: &[u8]) -> u32 {
    static TABLE: LazyLock<[u32; 256]> = LazyLock::new(|| {
        std::array::from_fn(|byte| {
            (0..8).fold(byte as u32, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        })
    });
    let step = |crc: u32, byte: &u8| TABLE[(crc >> 24) as usize ^ usize::from(*byte)] ^ crc << 8;
    !bytes.iter().fold(!0, step)
}

fn trigram(characters: &[char]) -> Trigram {
    if characters.iter().all(char::is_ascii) {
        return [characters[0] as i8, characters[1] as i8, characters[2] as i8];
    }
    let text: String = characters.iter().collect();
    let [a, b, c, _] = legacy_crc32(text.as_bytes()).to_le_bytes();
    [a as i8, b as i8, c as i8]
}

/// All trigrams, in order.
fn placed(value: &str) -> Vec<Placed> {
    let lower = text::lower(value);
    let mut all = Vec::new();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let padded: Vec<char> = "  ".chars().chain(word.chars()).chain([' ']).collect();
        let last = padded.len() - 3;
        all.extend(padded.windows(3).enumerate().map(|(at, window)| Placed {
            trigram: trigram(window),
            begins_word: at == 0,
            ends_word: at == last,
        }));
    }
    all
}

/// The set of trigrams, sorted.
fn trigrams(value: &str) -> Vec<Trigram> {
    let mut all: Vec<Trigram> = placed(value).into_iter().map(|placed| placed.trigram).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn share(count: usize, a: usize, b: usize) -> f32 {
    count as f32 / (a + b - count) as f32
}

fn similarity(a: &str, b: &str) -> f32 {
    let (a, b) = (trigrams(a), trigrams(b));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let count = a.iter().filter(|trigram| b.binary_search(trigram).is_ok()).count();
    share(count, a.len(), b.len())
}

fn show(trigram: &Trigram) -> String {
    let bytes = trigram.map(|byte| byte as u8);
    match bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        true => bytes.iter().map(|byte| char::from(*byte)).collect(),
        false => format!("0x{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2]),
    }
}

/// How similar the words of `part` are to the most similar stretch of `whole`.
fn word_similarity(part: &str, whole: &str, strict: bool) -> f32 {
    let (wanted, places) = (trigrams(part), placed(whole));
    let mut distinct: Vec<Trigram> =
        wanted.iter().copied().chain(places.iter().map(|placed| placed.trigram)).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let number = |trigram: &Trigram| distinct.binary_search(trigram).expect("it is one of them");
    let numbers: Vec<usize> = places.iter().map(|placed| number(&placed.trigram)).collect();
    let found: Vec<bool> = distinct.iter().map(|trigram| wanted.binary_search(trigram).is_ok()).collect();
    // Where in the stretch each trigram was last.
    let mut last: Vec<Option<usize>> = vec![None; distinct.len()];
    let mut lower = strict.then_some(0);
    let (mut best, mut size, mut count) = (0f32, 0, 0);
    for (upper, &at) in numbers.iter().enumerate() {
        if lower.is_some() || found[at] {
            if last[at].is_none() {
                size += 1;
                count += usize::from(found[at]);
            }
            last[at] = Some(upper);
        }
        if !(if strict { places[upper].ends_word } else { found[at] }) {
            continue;
        }
        let mut start = lower.unwrap_or_else(|| {
            size = 1;
            upper
        });
        let before = start;
        let mut here = share(count, wanted.len(), size);
        // A later start may be better.
        let (mut less_count, mut less_size) = (count, size);
        for try_start in before..=upper {
            if !strict || places[try_start].begins_word {
                let tried = share(less_count, wanted.len(), less_size);
                if tried > here {
                    (here, size, start, count) = (tried, less_size, try_start, less_count);
                }
            }
            let gone = numbers[try_start];
            if last[gone] == Some(try_start) {
                less_size -= 1;
                less_count -= usize::from(found[gone]);
            }
        }
        best = best.max(here);
        for &gone in &numbers[before..start] {
            if last[gone].is_some_and(|place| place < start) {
                last[gone] = None;
            }
        }
        lower = Some(start);
    }
    best
}

fn threshold(name: &str, context: &EvalContext<'_>) -> f32 {
    context.services.setting(name).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

fn set_limit(limit: f32, context: &EvalContext<'_>) -> Result<f32> {
    if !(0.0..=1.0).contains(&limit) {
        let message = format!("{limit} is outside the valid range for parameter \"{SIMILARITY}\" (0 .. 1)");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    context.services.set_setting(SIMILARITY, Some(&limit.to_string()), false)?;
    Ok(threshold(SIMILARITY, context))
}

pub fn register(r: &mut Registry) {
    scalar!(r, "set_limit", |context; limit: f32| set_limit(limit, context));
    scalar!(r, "show_limit", |context;| threshold(SIMILARITY, context));
    scalar!(r, "show_trgm", |a: &str| {
        let elements: Vec<Datum> = trigrams(a).iter().map(|trigram| Datum::text(show(trigram))).collect();
        let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
        ArrayValue { element: Type::TEXT, dimensions, elements }
    });
    scalar!(r, "similarity", |a: &str, b: &str| similarity(a, b));
    scalar!(r, "similarity_dist", |a: &str, b: &str| 1.0 - similarity(a, b));
    scalar!(r, "similarity_op", |context; a: &str, b: &str| similarity(a, b) >= threshold(SIMILARITY, context));
    scalar!(r, "word_similarity", |a: &str, b: &str| word_similarity(a, b, false));
    scalar!(r, "word_similarity_dist_op", |a: &str, b: &str| 1.0 - word_similarity(a, b, false));
    scalar!(r, "word_similarity_dist_commutator_op", |a: &str, b: &str| 1.0 - word_similarity(b, a, false));
    scalar!(r, "word_similarity_op", |context; a: &str, b: &str| {
        word_similarity(a, b, false) >= threshold(WORD, context)
    });
    scalar!(r, "word_similarity_commutator_op", |context; a: &str, b: &str| {
        word_similarity(b, a, false) >= threshold(WORD, context)
    });
    scalar!(r, "strict_word_similarity", |a: &str, b: &str| word_similarity(a, b, true));
    scalar!(r, "strict_word_similarity_dist_op", |a: &str, b: &str| 1.0 - word_similarity(a, b, true));
    scalar!(r, "strict_word_similarity_dist_commutator_op", |a: &str, b: &str| 1.0
        - word_similarity(b, a, true));
    scalar!(r, "strict_word_similarity_op", |context; a: &str, b: &str| {
        word_similarity(a, b, true) >= threshold(STRICT_WORD, context)
    });
    scalar!(r, "strict_word_similarity_commutator_op", |context; a: &str, b: &str| {
        word_similarity(b, a, true) >= threshold(STRICT_WORD, context)
    });
}
