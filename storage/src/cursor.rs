//! Range scans: the delta and the base of one tree, merged in key order, forwards or backwards.
//!
//! A cursor hands out entries in batches. Within a batch it walks two sorted sequences side by side, the delta's chains
//! and the base's cells, always taking the next key; where both have the key, the delta wins if any version is visible.
//! Between batches it holds neither latch nor epoch guard, only the last key (to find its place in the
//! delta again, which may have changed) and the base pages it stands on (which can't change). When the next batch
//! comes with a snapshot of another generation, it finds its place in that base by the last key, too.
//!
//! Where a transaction too large for memory left layers (`layer.rs`), they take part in the merge as the base does.
//!
//! In the steady state a row costs no allocation: values of the base are ranges of a shared page.

use crate::base::BaseCursor;
use crate::delta::{DeltaScan, Found, Skipped};
use crate::layer::{Best, LayerScan};
use crate::{Direction, KeyRange, ReadObserver, Result, Tree, Value, View, WriterStatus};
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

pub struct Cursor {
    tree: Arc<Tree>,
    range: KeyRange,
    direction: Direction,
    base: BaseCursor,
    layers: LayerScan,
    /// Where `base` and `layers` stand: the generation, and the list of layers.
    generation: Option<(u64, u64)>,
    /// The last key handed out, once `started`.
    last: Vec<u8>,
    started: bool,
    exhausted: bool,
}

pub(crate) fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Where the merge takes the next key from.
enum Next {
    Base,
    Delta {
        also_in_base: bool,
    },
    /// The layers have it, whoever else does.
    Layers {
        in_base: bool,
        in_delta: bool,
    },
    End,
}

impl Cursor {
    pub(crate) fn new(tree: Arc<Tree>, range: KeyRange, direction: Direction) -> Cursor {
        Cursor {
            tree,
            range,
            direction,
            base: BaseCursor::new(direction),
            layers: LayerScan::new(direction),
            generation: None,
            last: Vec::new(),
            started: false,
            exhausted: false,
        }
    }

    /// Begins anew with another range of the same tree, which is cheaper than another cursor where the ranges are near each other.
    pub fn restart(&mut self, range: KeyRange) {
        self.range = range;
        // `base` remembers the way by itself.
        self.generation = None;
        (self.started, self.exhausted) = (false, false);
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
        self.merge(view, max, observer, visit).map_err(|error| {
            // The base position may be anywhere: find it again by the last key.
            self.generation = None;
            error.in_tree(self.tree.id())
        })
    }

    fn merge(
        &mut self,
        view: View<'_>,
        max: usize,
        observer: &mut dyn ReadObserver,
        visit: &mut dyn FnMut(&[u8], &Value) -> bool,
    ) -> Result<bool> {
        view.snapshot.check_tracking()?;
        let Cursor { tree, range, direction, base, layers, generation, last, started, exhausted } = self;
        let pager = &tree.shared.pager;
        let (range_start, end) = match direction {
            Direction::Forward => (as_slice(&range.start), as_slice(&range.end)),
            Direction::Backward => (as_slice(&range.end), as_slice(&range.start)),
        };
        let from = last.clone();
        let start = if *started { Bound::Excluded(from.as_slice()) } else { range_start };
        // The latest state is that of the current generation: what it contains may have left the delta.
        let latest = (view.horizon > view.snapshot.timestamp()).then(|| tree.shared.snapshot());
        let current = &latest.as_ref().unwrap_or(view.snapshot).generation;
        let folded = current.fold_ts;
        let epoch = tree.layer_epoch();
        if *generation != Some((current.number, epoch)) {
            base.seek_near(pager, current.number, &tree.root_in(current), start, end)?;
            let listed = tree.layers();
            layers.seek(listed.as_deref().unwrap_or_default(), start, end)?;
            *generation = Some((current.number, epoch));
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
            let next = if layers.is_empty() { next } else { with_layers(next, base, &delta, layers) };
            // A copy, for it outlives the positions; only where layers are.
            let mut layer_key = Vec::new();
            let found = match next {
                Next::End => {
                    *exhausted = true;
                    if tree.layer_epoch() != epoch {
                        report_new_layers(tree, layers, &view, (start, end), observer)?;
                    }
                    return Ok(false);
                }
                Next::Base => Found::Nothing,
                Next::Layers { in_delta, .. } => {
                    layers.key().unwrap_or_default().clone_into(&mut layer_key);
                    let (found, seen_at) = match delta.scan.chain() {
                        Some(chain) if in_delta => chain.read(&view, folded, &mut skipped),
                        _ => (Found::Nothing, None),
                    };
                    let mut best = Best::of_chain(found, seen_at);
                    layers.take(&layer_key, end, &mut |layer, entry| {
                        best.consider(layer, entry, &view, folded, &mut skipped)
                    })?;
                    skipped.drain(..).for_each(|writer| observer.skipped(&layer_key, &writer));
                    if let Some(at) = best.seen_at {
                        observer.saw(&layer_key, at);
                    }
                    best.found
                }
                Next::Delta { .. } => {
                    let (Some(key), Some(chain)) = (delta.scan.key(), delta.scan.chain()) else {
                        unreachable!("the delta has the next key")
                    };
                    let (found, seen_at) = chain.read(&view, folded, &mut skipped);
                    skipped.drain(..).for_each(|writer| observer.skipped(key, &writer));
                    if let Some(at) = seen_at {
                        observer.saw(key, at);
                    }
                    found
                }
            };
            let in_base = matches!(
                next,
                Next::Base | Next::Delta { also_in_base: true } | Next::Layers { in_base: true, .. }
            );
            let in_delta = matches!(next, Next::Delta { .. } | Next::Layers { in_delta: true, .. });
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
                    let key = match next {
                        Next::Layers { .. } => &layer_key[..],
                        _ => delta.scan.key().expect("the delta has the next key"),
                    };
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
                if tree.layer_epoch() != epoch {
                    report_new_layers(tree, layers, &view, (start, end), observer)?;
                }
                return Ok(true);
            }
            if in_delta {
                delta.advance();
            }
        }
    }
}

/// The choice between base and delta, with the layers as a third.
fn with_layers(next: Next, base: &BaseCursor, delta: &DeltaRange<'_, '_>, layers: &LayerScan) -> Next {
    let Some(key) = layers.key() else { return next };
    let other = match next {
        Next::Base => base.key(),
        Next::Delta { .. } => delta.scan.key(),
        Next::End | Next::Layers { .. } => None,
    };
    let order = other.map_or(Ordering::Greater, |other| other.cmp(key));
    let forward = delta.direction == Direction::Forward || other.is_none();
    match if forward { order } else { order.reverse() } {
        Ordering::Less => next,
        Ordering::Greater => Next::Layers { in_base: false, in_delta: false },
        Ordering::Equal => match next {
            Next::Delta { also_in_base } => Next::Layers { in_base: also_in_base, in_delta: true },
            _ => Next::Layers { in_base: true, in_delta: false },
        },
    }
}

/// A writer moved versions from the delta into a layer while the batch was read: those that it passed over in neither
/// place are reported now. One key for each writer tells that there is a conflict, and with whom.
fn report_new_layers(
    tree: &Tree,
    seen: &LayerScan,
    view: &View<'_>,
    (start, end): (Bound<&[u8]>, Bound<&[u8]>),
    observer: &mut dyn ReadObserver,
) -> Result<()> {
    for layer in tree.layers().iter().flat_map(|layers| layers.iter()) {
        let own = view.own.is_some_and(|(own, _)| std::ptr::eq(own, &*layer.writer));
        let visible = match layer.writer.status() {
            WriterStatus::Aborted => true,
            WriterStatus::Committed(at) => at <= view.horizon,
            WriterStatus::InProgress => own,
        };
        if visible {
            continue;
        }
        let mut scan = LayerScan::new(seen.direction());
        scan.seek(std::slice::from_ref(layer), start, end)?;
        if let Some(key) = scan.key() {
            observer.skipped(key, &layer.writer);
        }
    }
    Ok(())
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
