//! Range scans: the delta and the base of one tree, merged in key order, forwards or backwards.
//!
//! A cursor hands out entries in batches. Within a batch it walks two sorted sequences side by side, the delta's chains
//! and the base's cells, always taking the next key; where both have the key, the delta wins if any version is visible.
//! Between batches it holds neither latch nor epoch guard, only the last key (to find its place in the
//! delta again, which may have changed) and the base pages it stands on (which can't change). When the next batch
//! comes with a snapshot of another generation, it finds its place in that base by the last key, too.
//!
//! In the steady state a row costs no allocation: values of the base are ranges of a shared page.

use crate::base::BaseCursor;
use crate::delta::{DeltaScan, Found, Skipped};
use crate::{Direction, KeyRange, ReadObserver, Result, Tree, Value, View};
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

pub struct Cursor {
    tree: Arc<Tree>,
    range: KeyRange,
    direction: Direction,
    base: BaseCursor,
    /// The generation that `base` stands in.
    generation: Option<u64>,
    /// The last key handed out, once `started`.
    last: Vec<u8>,
    started: bool,
    exhausted: bool,
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Where the merge takes the next key from.
enum Next {
    Base,
    Delta { also_in_base: bool },
    End,
}

impl Cursor {
    pub(crate) fn new(tree: Arc<Tree>, range: KeyRange, direction: Direction) -> Cursor {
        Cursor {
            tree,
            range,
            direction,
            base: BaseCursor::new(direction),
            generation: None,
            last: Vec::new(),
            started: false,
            exhausted: false,
        }
    }

    /// Hands up to `max` visible entries to `visit`, in order; it returns false to stop early (that entry counts as
    /// read). Returns false once the range is exhausted. The view may differ between calls.
    pub fn next_batch(
        &mut self,
        view: View<'_>,
        max: usize,
        observer: &mut dyn ReadObserver,
        visit: &mut dyn FnMut(&[u8], &Value) -> bool,
    ) -> Result<bool> {
        if self.exhausted || max == 0 {
            return Ok(!self.exhausted);
        }
        let result = self.merge(view, max, observer, visit);
        if result.is_err() {
            // The base position may be anywhere: find it again by the last key.
            self.generation = None;
        }
        result
    }

    fn merge(
        &mut self,
        view: View<'_>,
        max: usize,
        observer: &mut dyn ReadObserver,
        visit: &mut dyn FnMut(&[u8], &Value) -> bool,
    ) -> Result<bool> {
        let Cursor { tree, range, direction, base, generation, last, started, exhausted } = self;
        let pager = &tree.shared.pager;
        let (range_start, end) = match direction {
            Direction::Forward => (as_slice(&range.start), as_slice(&range.end)),
            Direction::Backward => (as_slice(&range.end), as_slice(&range.start)),
        };
        let start = if *started { Bound::Excluded(last.as_slice()) } else { range_start };
        let current = &view.snapshot.generation;
        if *generation != Some(current.number) {
            base.seek(pager, &tree.root_in(current), start, end)?;
            *generation = Some(current.number);
        }
        let guard = crossbeam_epoch::pin();
        let mut delta = DeltaRange { scan: tree.delta.scan(&guard), direction: *direction, end };
        if !tree.delta.is_empty() {
            delta.seek(start);
        }
        let mut skipped = Skipped::new();
        let mut handed_out = 0;
        loop {
            let next = match (base.key(), delta.scan.key()) {
                (None, None) => Next::End,
                (Some(_), None) => Next::Base,
                (None, Some(_)) => Next::Delta { also_in_base: false },
                (Some(in_base), Some(in_delta)) => {
                    let order = in_base.cmp(in_delta);
                    match if *direction == Direction::Forward { order } else { order.reverse() } {
                        Ordering::Less => Next::Base,
                        Ordering::Equal => Next::Delta { also_in_base: true },
                        Ordering::Greater => Next::Delta { also_in_base: false },
                    }
                }
            };
            let found = match next {
                Next::End => {
                    *exhausted = true;
                    return Ok(false);
                }
                Next::Base => Found::Nothing,
                Next::Delta { .. } => {
                    let (Some(key), Some(chain)) = (delta.scan.key(), delta.scan.chain()) else {
                        unreachable!("the delta has the next key")
                    };
                    let (found, seen_at) = chain.read(&view, &mut skipped);
                    skipped.drain(..).for_each(|writer| observer.skipped(key, &writer));
                    if let Some(at) = seen_at {
                        observer.saw(key, at);
                    }
                    found
                }
            };
            let in_base = matches!(next, Next::Base | Next::Delta { also_in_base: true });
            let go_on = match found {
                Found::Tombstone => true,
                Found::Nothing if !in_base => true,
                Found::Nothing => {
                    let Some((key, value)) = base.entry(pager)? else {
                        unreachable!("the base has the next key")
                    };
                    handed_out += 1;
                    let go_on = visit(key, value) && handed_out < max;
                    if !go_on {
                        key.clone_into(last);
                    }
                    go_on
                }
                Found::Value(bytes) => {
                    let Some(key) = delta.scan.key() else { unreachable!("the delta has the next key") };
                    handed_out += 1;
                    let go_on = visit(key, &Value::from_bytes(bytes)) && handed_out < max;
                    if !go_on {
                        key.clone_into(last);
                    }
                    go_on
                }
            };
            if !go_on {
                // Before anything that may fail: the entry was handed out.
                *started = true;
            }
            if in_base {
                base.advance(pager, end)?;
            }
            if !go_on {
                return Ok(true);
            }
            if matches!(next, Next::Delta { .. }) {
                delta.advance();
            }
        }
    }
}

/// The delta's chains within the range.
struct DeltaRange<'g, 'e> {
    scan: DeltaScan<'g>,
    direction: Direction,
    end: Bound<&'e [u8]>,
}

impl DeltaRange<'_, '_> {
    fn seek(&mut self, start: Bound<&[u8]>) {
        match self.direction {
            Direction::Forward => self.scan.seek_forward(start),
            Direction::Backward => self.scan.seek_backward(start),
        }
        self.stop_at_end();
    }

    fn advance(&mut self) {
        match self.direction {
            Direction::Forward => self.scan.next(),
            Direction::Backward => self.scan.previous(),
        }
        self.stop_at_end();
    }

    fn stop_at_end(&mut self) {
        let Some(key) = self.scan.key() else { return };
        let within = match (self.direction, self.end) {
            (_, Bound::Unbounded) => true,
            (Direction::Forward, Bound::Included(end)) => key <= end,
            (Direction::Forward, Bound::Excluded(end)) => key < end,
            (Direction::Backward, Bound::Included(end)) => key >= end,
            (Direction::Backward, Bound::Excluded(end)) => key > end,
        };
        if !within {
            self.scan.clear();
        }
    }
}
