//! Sequences: values that no rollback takes back.
//!
//! A sequence's value is not part of any user's transaction: `nextval` must neither wait for another session's commit nor give
//! the same value twice because a transaction rolled back. So values live in memory, and every [`AHEAD`] values the store gets a
//! record that says "everything up to here may have been given out", written by a writer of its own. After a crash the sequence goes on
//! behind that record: values are skipped, never repeated. (PostgreSQL's SEQ_LOG_VALS does the same.)
//!
//! Durability rides on the log's order: the record precedes the commit of any transaction that used the value, so once that one is
//! durable, so is the record. The writer goes to storage directly and not through a `Transaction`, because it belongs to none: in
//! serial mode the caller's transaction holds the token that a second one would wait for.
//!
//! What can be rolled back is *which* state a sequence has: its descriptor names it, and RESTART takes a fresh one.

use crate::catalog::Sequence;
use crate::error::{Error, Result, SqlState};
use crate::types::{Oid, Type};
use parking_lot::Mutex;
use serin_storage::{CommandId, Intent, Store, Timestamp, Tree, View};
use std::collections::HashMap;
use std::sync::Arc;

/// Values covered by one log record.
const AHEAD: i64 = 32;

/// The value last given out (or, until `is_called`, the next one to give).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub value: i64,
    pub is_called: bool,
}

#[derive(Clone, Copy)]
struct State {
    position: Position,
    /// How many values may still be given out under the last record.
    covered: i64,
}

pub(crate) struct SequenceStore {
    store: Arc<Store>,
    tree: Arc<Tree>,
    states: Mutex<HashMap<Oid, Arc<Mutex<State>>>>,
}

/// A value, and the commit of the record that covers it if this call wrote one.
pub(crate) type Drawn = (i64, Option<Timestamp>);

impl SequenceStore {
    pub fn new(store: Arc<Store>, tree: Arc<Tree>) -> SequenceStore {
        SequenceStore { store, tree, states: Mutex::default() }
    }

    fn state(&self, sequence: &Sequence) -> Result<Arc<Mutex<State>>> {
        if let Some(state) = self.states.lock().get(&sequence.state) {
            return Ok(state.clone());
        }
        let snapshot = self.store.snapshot();
        let view = View { snapshot: &snapshot, horizon: Timestamp::MAX, own: None };
        let stored = self.tree.get(view, &sequence.state.to_be_bytes(), &mut ())?;
        let position = match stored {
            Some(bytes) => decode(&bytes)?,
            None => Position { value: sequence.start, is_called: false },
        };
        let state = Arc::new(Mutex::new(State { position, covered: 0 }));
        Ok(self.states.lock().entry(sequence.state).or_insert(state).clone())
    }

    pub fn position(&self, sequence: &Sequence) -> Result<Position> {
        Ok(self.state(sequence)?.lock().position)
    }

    pub fn next(&self, sequence: &Sequence) -> Result<Drawn> {
        let state = self.state(sequence)?;
        // Held across the record's write: a value must not be given out by another session before it is covered.
        let mut state = state.lock();
        let value = advance(sequence, state.position)?;
        let wrapped = state.position.is_called && (value < state.position.value) != (sequence.increment < 0);
        let mut written = None;
        if state.covered == 0 || wrapped {
            let ahead = value.saturating_add(sequence.increment.saturating_mul(AHEAD));
            let ahead = ahead.clamp(sequence.min, sequence.max);
            written = self.write(sequence.state, Position { value: ahead, is_called: true })?;
            state.covered = AHEAD;
        }
        state.covered -= 1;
        state.position = Position { value, is_called: true };
        Ok((value, written))
    }

    pub fn set(&self, sequence: &Sequence, position: Position) -> Result<Option<Timestamp>> {
        if position.value < sequence.min || position.value > sequence.max {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {} is out of bounds for sequence \"{}\" ({}..{})",
                    position.value, sequence.name, sequence.min, sequence.max
                ),
            ));
        }
        let state = self.state(sequence)?;
        let mut state = state.lock();
        let written = self.write(sequence.state, position)?;
        *state = State { position, covered: 0 };
        Ok(written)
    }

    fn write(&self, state: Oid, position: Position) -> Result<Option<Timestamp>> {
        let mut writer = self.store.writer();
        let key = state.to_be_bytes();
        writer
            .install(&self.tree, &key, Some(&encode(position)), Intent::Replace, CommandId(0))?
            .map_err(|_| Error::internal("two writers of one sequence"))?;
        Ok(writer.commit()?)
    }
}

/// Little-endian value, then 1 if it has been given out.
fn encode(position: Position) -> [u8; 9] {
    let mut bytes = [0; 9];
    bytes[..8].copy_from_slice(&position.value.to_le_bytes());
    bytes[8] = position.is_called.into();
    bytes
}

fn decode(bytes: &[u8]) -> Result<Position> {
    let damaged = || Error::new(SqlState::DATA_CORRUPTED, "a sequence's value is damaged");
    let (value, is_called) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    match is_called {
        [is_called @ (0 | 1)] => {
            Ok(Position { value: i64::from_le_bytes(*value), is_called: *is_called == 1 })
        }
        _ => Err(damaged()),
    }
}

fn advance(sequence: &Sequence, position: Position) -> Result<i64> {
    if !position.is_called {
        return Ok(position.value);
    }
    let next = position.value.checked_add(sequence.increment);
    match next.filter(|next| (sequence.min..=sequence.max).contains(next)) {
        Some(next) => Ok(next),
        None if sequence.cycle && sequence.increment > 0 => Ok(sequence.min),
        None if sequence.cycle => Ok(sequence.max),
        None => {
            let (bound, limit) =
                if sequence.increment > 0 { ("maximum", sequence.max) } else { ("minimum", sequence.min) };
            let message =
                format!("nextval: reached {bound} value of sequence \"{}\" ({limit})", sequence.name);
            Err(Error::new(SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED, message))
        }
    }
}

/// The range of a sequence's integer type.
pub(crate) fn type_range(data_type: Type) -> Option<(i64, i64)> {
    match data_type {
        Type::INT2 => Some((i16::MIN.into(), i16::MAX.into())),
        Type::INT4 => Some((i32::MIN.into(), i32::MAX.into())),
        Type::INT8 => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(increment: i64, cycle: bool) -> Sequence {
        Sequence {
            oid: 1,
            database: 0,
            schema: 0,
            name: "s".into(),
            owner: 0,
            data_type: Type::INT8.0,
            start: 1,
            increment,
            min: 1,
            max: 3,
            cache: 1,
            cycle,
            owned_by: None,
            state: 1,
            comment: None,
            acl: None,
        }
    }

    #[test]
    fn advances_to_its_bounds_and_cycles() {
        let called = |value| Position { value, is_called: true };
        assert_eq!(advance(&sequence(1, false), Position { value: 1, is_called: false }).unwrap(), 1);
        assert_eq!(advance(&sequence(1, false), called(2)).unwrap(), 3);
        assert_eq!(advance(&sequence(1, false), called(3)).unwrap_err().state().as_str(), "2200H");
        assert_eq!(advance(&sequence(1, true), called(3)).unwrap(), 1);
        assert_eq!(advance(&sequence(-1, true), called(1)).unwrap(), 3);
        assert_eq!(advance(&sequence(i64::MAX, false), called(3)).unwrap_err().state().as_str(), "2200H");
    }

    #[test]
    fn a_position_survives_its_encoding() {
        for position in
            [Position { value: -7, is_called: true }, Position { value: i64::MAX, is_called: false }]
        {
            assert_eq!(decode(&encode(position)).unwrap(), position);
        }
        assert!(decode(b"short").is_err());
        assert!(decode(b"123456789").is_err());
    }
}
