//! Layers: what a transaction wrote that was too much for memory.
//!
//! # The problem
//! Versions live in the delta until a fold takes them, and a fold takes only what is committed. A transaction that changes
//! twenty million rows would need gigabytes of delta, and as much again for the list of what it did.
//!
//! # The idea
//! When a writer's own changes pass a mark, it sorts them, packs them into pages as a bulk load does (`bulk.rs`) and
//! puts that small B+tree, a *layer*, between the delta and the base. Then its versions leave the delta.
//!
//! ```text
//!   delta    chains in memory                    k₃: [v @31]        k₇: [in progress, T9]
//!   layers   one writer each, on disk, sorted    T9: k₁ k₂ k₄ k₅ …   T9: k₂ k₆ …   T7 @40: k₃ …
//!   base     of the snapshot's generation        k₁ k₂ k₃ k₄ …
//! ```
//!
//! A layer points at its writer's state word like any version does, so one atomic store commits or voids all of it. The commit
//! record names the layers' roots and extents only; the pages are synced before it is written. Until a fold has merged a layer
//! its pages are *loading* (`alloc.rs`): free in every persisted free list. So a crash before the commit record leaves
//! nothing to undo, and after it replay finds the record and puts the layers back. Rollback gives the pages back.
//!
//! # Rules
//! 1. *Publish, then remove.* A layer enters the tree's list, and the list's epoch moves on, before its versions leave their
//!    chains. So a reader looks at the chain first, then at the layers; and a writer that is about to cover a chain
//!    looks at the layers, locks the chain, and starts again if the epoch moved: an uncommitted version can't slip
//!    through between the two.
//! 2. The newest version of a key is the one with the highest commit timestamp; of one writer's, the chain's before the
//!    layers', and a later layer's before an earlier one's.
//! 3. Who reads the base of a generation passes over layers committed up to its `fold_ts`: that base has them, or
//!    something newer. They stay listed for as long as versions in the delta would stay (`delta.rs`, rule 4).
//! 4. Each version keeps the command that wrote it (a statement does not see itself) and its place in the write set.
//!    A rollback to a savepoint drops layers written since, and notes the places as *discarded* in one that reaches
//!    across the savepoint.
//! 5. Of one level, [`FAN_IN`] layers of a writer are merged into one of the next level, so that a key is looked for in a
//!    number of layers that grows with the logarithm of the transaction's size.
//! 6. Pages are given back when the last share of the layer is dropped: a cursor may still be reading them.
//!
//! An entry's value is the key's versions, newest first:
//! (place varint, command varint, flags: 1 tombstone, 2 replaces, value length varint, value)*

use crate::base::{self, BaseCursor};
use crate::bulk::{BulkLoad, BulkLoader};
use crate::delta::{Found, Skipped, Version, push_skipped};
use crate::key_filter::KeyFilter;
use crate::store::Shared;
use crate::tree::{Value, View};
use crate::wal::{put_varint, take_varint};
use crate::{CommandId, Direction, Intent, Result, Timestamp, Tree, WriterState, WriterStatus};
use parking_lot::RwLock;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

/// Rule 5.
pub(crate) const FAN_IN: usize = 8;

const TOMBSTONE: u8 = 1;
const REPLACES: u8 = 2;

/// Places in a write set: from, up to but without.
pub(crate) type Places = (u32, u32);

pub(crate) struct Layer {
    shared: Arc<Shared>,
    pub writer: Arc<WriterState>,
    pub load: BulkLoad,
    pub places: Places,
    pub level: u8,
    /// Rule 4.
    discarded: RwLock<Vec<Places>>,
    /// How many there are.
    keys: usize,
    filter: Option<KeyFilter>,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// One version in a layer.
pub(crate) struct LayerVersion<'a> {
    pub place: u32,
    pub command: CommandId,
    pub intent: Intent,
    /// None: a tombstone.
    pub value: Option<&'a [u8]>,
}

fn take_version<'a>(bytes: &mut &'a [u8]) -> Option<LayerVersion<'a>> {
    let place = u32::try_from(take_varint(bytes)?).ok()?;
    let command = CommandId(u32::try_from(take_varint(bytes)?).ok()?);
    let (flags, rest) = bytes.split_first()?;
    *bytes = rest;
    let (value, rest) = {
        let length = usize::try_from(take_varint(bytes)?).ok()?;
        bytes.split_at_checked(length)?
    };
    *bytes = rest;
    let intent = if flags & REPLACES != 0 { Intent::Replace } else { Intent::Modify };
    Some(LayerVersion { place, command, intent, value: (flags & TOMBSTONE == 0).then_some(value) })
}

pub(crate) fn put_version(out: &mut Vec<u8>, version: &LayerVersion<'_>) {
    put_varint(out, u64::from(version.place));
    put_varint(out, u64::from(version.command.0));
    let tombstone = if version.value.is_none() { TOMBSTONE } else { 0 };
    out.push(tombstone | if version.intent == Intent::Replace { REPLACES } else { 0 });
    let value = version.value.unwrap_or_default();
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

pub(crate) fn encode_version(out: &mut Vec<u8>, version: &Version) {
    let value = version.value.as_deref();
    let Version { command, intent, write_index: place, .. } = *version;
    put_version(out, &LayerVersion { place, command, intent, value });
}

/// Gathers one tree's entries, in key order.
pub(crate) struct LayerBuilder {
    loader: BulkLoader,
    keys: usize,
    filter: Option<KeyFilter>,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl LayerBuilder {
    /// `keys`: how many there will be at most, if that is known.
    pub fn new(tree: &Arc<Tree>, keys: Option<usize>) -> LayerBuilder {
        let loader = BulkLoader::for_layer(tree.clone());
        let filter = keys.and_then(|keys| tree.shared.key_filter(keys));
        LayerBuilder { loader, keys: 0, filter, first: Vec::new(), last: Vec::new() }
    }

    pub fn append(&mut self, key: &[u8], versions: &[u8]) -> Result<()> {
        if self.loader.is_empty() {
            key.clone_into(&mut self.first);
        }
        key.clone_into(&mut self.last);
        self.keys += 1;
        self.filter.iter_mut().for_each(|filter| filter.insert(key));
        self.loader.append_unchecked(key, versions)
    }

    /// `None` if there is nothing in it. Not synced: the commit does that.
    pub fn finish(
        mut self,
        shared: &Arc<Shared>,
        writer: &Arc<WriterState>,
        places: Places,
        level: u8,
    ) -> Result<Option<Arc<Layer>>> {
        let Some(load) = self.loader.finish_pages()? else { return Ok(None) };
        let discarded = RwLock::new(Vec::new());
        let (shared, writer) = (shared.clone(), writer.clone());
        let LayerBuilder { keys, filter, first, last, .. } = self;
        Ok(Some(Arc::new(Layer {
            shared,
            writer,
            load,
            places,
            level,
            discarded,
            keys,
            filter,
            first,
            last,
        })))
    }
}

impl Layer {
    /// One that recovery found in the log.
    pub fn recovered(
        shared: &Arc<Shared>,
        writer: &Arc<WriterState>,
        load: BulkLoad,
        discarded: Vec<Places>,
    ) -> Layer {
        Layer {
            shared: shared.clone(),
            writer: writer.clone(),
            load,
            places: (0, 0),
            level: 0,
            discarded: RwLock::new(discarded),
            keys: 0,
            filter: None,
            first: Vec::new(),
            last: vec![0xff; Tree::KEY_BYTES_MAX + 1],
        }
    }

    pub fn discard(&self, places: Places) {
        self.discarded.write().push(places);
    }

    pub fn discarded(&self) -> Vec<Places> {
        self.discarded.read().clone()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        if *key < *self.first || *key > *self.last {
            return Ok(None);
        }
        if self.filter.as_ref().is_some_and(|filter| !filter.may_have(key)) {
            return Ok(None);
        }
        base::get(&self.shared.pager, &self.load.root, key)
    }

    /// The newest version in an entry that is not discarded and, with a limit, written by an earlier command.
    pub fn newest<'v>(&self, entry: &'v [u8], before: Option<CommandId>) -> Result<Option<LayerVersion<'v>>> {
        let mut newest = None;
        self.visit(entry, |version| {
            let is_it = before.is_none_or(|command| version.command < command);
            if is_it {
                newest = Some(version);
            }
            !is_it
        })?;
        Ok(newest)
    }

    /// An entry's versions that are not discarded, newest first, until `visit` answers false.
    fn visit<'v>(&self, entry: &'v [u8], mut visit: impl FnMut(LayerVersion<'v>) -> bool) -> Result<()> {
        let discarded = self.discarded.read();
        let mut rest = entry;
        while !rest.is_empty() {
            let Some(version) = take_version(&mut rest) else {
                let detail = "an entry of a layer is malformed".to_owned();
                return Err(self.shared.pager.corrupt(self.load.root.page, detail));
            };
            let is_discarded = discarded.iter().any(|(from, to)| (*from..*to).contains(&version.place));
            if !is_discarded && !visit(version) {
                break;
            }
        }
        Ok(())
    }

    /// The commands that wrote uncommitted versions of `key`.
    pub fn commands_in_progress(&self, key: &[u8], met: &mut impl FnMut(CommandId)) -> Result<()> {
        if self.writer.status() != WriterStatus::InProgress {
            return Ok(());
        }
        let Some(entry) = self.get(key)? else { return Ok(()) };
        self.visit(&entry, |version| {
            met(version.command);
            true
        })
    }

    /// An uncommitted version of `key` by this layer's writer.
    pub fn in_progress(&self, key: &[u8]) -> Result<Option<(Intent, CommandId, bool)>> {
        if self.writer.status() != WriterStatus::InProgress {
            return Ok(None);
        }
        let Some(entry) = self.get(key)? else { return Ok(None) };
        let newest = self.newest(&entry, None)?;
        Ok(newest.map(|version| (version.intent, version.command, version.value.is_some())))
    }

    /// Whether the key is in here, if committed after `base`: when, and whether it exists.
    pub fn committed(&self, base: Timestamp, key: &[u8]) -> Result<Option<(Timestamp, bool)>> {
        let WriterStatus::Committed(at) = self.writer.status() else { return Ok(None) };
        if at <= base {
            return Ok(None);
        }
        let Some(entry) = self.get(key)? else { return Ok(None) };
        Ok(self.newest(&entry, None)?.map(|version| (at, version.value.is_some())))
    }
}

impl Drop for Layer {
    /// Rule 6.
    fn drop(&mut self) {
        let load = BulkLoad { root: self.load.root, extents: std::mem::take(&mut self.load.extents) };
        self.shared.abandon_bulk_load(load);
    }
}

/// What a read found so far, and how new it is (rule 2).
pub(crate) struct Best {
    pub found: Found,
    pub seen_at: Option<Timestamp>,
    rank: u64,
}

impl Best {
    /// Begins with what the chain had.
    pub fn of_chain(found: Found, seen_at: Option<Timestamp>) -> Best {
        let rank = match (&found, seen_at) {
            (Found::Nothing, _) => 0,
            (_, Some(at)) => at.0 * 2 + 1,
            // The reader's own.
            (_, None) => u64::MAX,
        };
        Best { found, seen_at, rank }
    }

    /// Takes a layer's entry into account. Layers come in the order of their list.
    pub fn consider(
        &mut self,
        layer: &Layer,
        entry: &[u8],
        view: &View<'_>,
        base: Timestamp,
        skipped: &mut Skipped,
    ) -> Result<()> {
        let (rank, seen_at, before) = match layer.writer.status() {
            WriterStatus::Aborted => return Ok(()),
            WriterStatus::Committed(at) if at <= base => return Ok(()),
            WriterStatus::Committed(at) if at <= view.horizon => (at.0 * 2, Some(at), None),
            WriterStatus::InProgress
                if let Some((own, command)) = view.own
                    && std::ptr::eq(own, &*layer.writer) =>
            {
                (u64::MAX - 1, None, Some(command))
            }
            _ => {
                if layer.newest(entry, None)?.is_some() {
                    push_skipped(skipped, &layer.writer);
                }
                return Ok(());
            }
        };
        if rank < self.rank {
            return Ok(());
        }
        if let Some(version) = layer.newest(entry, before)? {
            let found = version.value.map_or(Found::Tombstone, |value| Found::Value(Arc::from(value)));
            *self = Best { found, seen_at, rank };
        }
        Ok(())
    }
}

/// A point read of all layers, on top of what the chain had.
pub(crate) fn read_layers(
    layers: &[Arc<Layer>],
    key: &[u8],
    view: &View<'_>,
    base: Timestamp,
    skipped: &mut Skipped,
    best: &mut Best,
) -> Result<()> {
    for layer in layers {
        let in_base = matches!(layer.writer.status(), WriterStatus::Committed(at) if at <= base);
        if !in_base && let Some(entry) = layer.get(key)? {
            best.consider(layer, &entry, view, base, skipped)?;
        }
    }
    Ok(())
}

/// Told of a layer's entry for a key.
type Each<'a> = dyn FnMut(&Arc<Layer>, &[u8]) -> Result<()> + 'a;

/// Walks the layers of a tree side by side.
pub(crate) struct LayerScan {
    direction: Direction,
    /// Those that have a key left, in the order of their list.
    cursors: Vec<(Arc<Layer>, BaseCursor)>,
    /// The cursors by their keys, that of the next one first; of those at one key in the order of the list. (Layers of rows that were
    /// inserted in key order follow each other: one comparison a key then.)
    order: Vec<usize>,
}

impl LayerScan {
    pub fn new(direction: Direction) -> LayerScan {
        LayerScan { direction, cursors: Vec::new(), order: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn direction(&self) -> Direction {
        self.direction
    }

    pub fn seek(&mut self, layers: &[Arc<Layer>], start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<()> {
        self.cursors.clear();
        self.order.clear();
        for layer in layers {
            let mut cursor = BaseCursor::new(self.direction);
            cursor.seek(&layer.shared.pager, &layer.load.root, start, end)?;
            if cursor.key().is_some() {
                self.cursors.push((layer.clone(), cursor));
                self.order.push(self.order.len());
            }
        }
        let LayerScan { direction, cursors, order } = self;
        order.sort_by(|a, b| compare(*direction, cursors, *a, *b));
        Ok(())
    }

    /// The next key in the direction of the scan.
    pub fn key(&self) -> Option<&[u8]> {
        self.order.first().and_then(|at| self.cursors[*at].1.key())
    }

    /// Takes what the layers have at `key`, their next key, into account, and moves on.
    pub fn take(&mut self, key: &[u8], end: Bound<&[u8]>, each: &mut Each<'_>) -> Result<()> {
        let LayerScan { direction, cursors, order } = self;
        let mut moved = 0;
        for at in order.iter() {
            let (layer, cursor) = &mut cursors[*at];
            if cursor.key() != Some(key) {
                break;
            }
            let pager = &layer.shared.pager;
            if let Some((_, entry)) = cursor.entry(pager)? {
                each(layer, entry)?;
            }
            cursor.advance(pager, end)?;
            moved += 1;
        }
        // Each on to where its new key belongs, those in front last.
        for mut place in (0..moved).rev() {
            if cursors[order[place]].1.key().is_none() {
                order.remove(place);
                continue;
            }
            while place + 1 < order.len()
                && compare(*direction, cursors, order[place], order[place + 1]).is_gt()
            {
                order.swap(place, place + 1);
                place += 1;
            }
        }
        Ok(())
    }
}

/// Cursors by their keys, in the direction of the scan, then by their places in the list.
fn compare(direction: Direction, cursors: &[(Arc<Layer>, BaseCursor)], a: usize, b: usize) -> Ordering {
    let by_key = cursors[a].1.key().cmp(&cursors[b].1.key());
    let by_key = if direction == Direction::Forward { by_key } else { by_key.reverse() };
    by_key.then(a.cmp(&b))
}

/// Rule 5: the layers, oldest first, as one; discarded versions are left out. `None` if nothing is left.
pub(crate) fn merge_layers(tree: &Arc<Tree>, layers: &[Arc<Layer>]) -> Result<Option<Arc<Layer>>> {
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else { return Ok(None) };
    let mut scan = LayerScan::new(Direction::Forward);
    // Newest first, as versions are in an entry.
    let newest_first: Vec<Arc<Layer>> = layers.iter().rev().cloned().collect();
    scan.seek(&newest_first, Bound::Unbounded, Bound::Unbounded)?;
    let keys = layers.iter().map(|layer| layer.keys).sum();
    let mut builder = LayerBuilder::new(tree, Some(keys));
    let mut entry = Vec::new();
    while let Some(key) = scan.key().map(<[u8]>::to_vec) {
        entry.clear();
        scan.take(&key, Bound::Unbounded, &mut |layer, mut versions| {
            let discarded = layer.discarded.read();
            while let Some(version) = take_version(&mut versions) {
                if !discarded.iter().any(|(from, to)| (*from..*to).contains(&version.place)) {
                    put_version(&mut entry, &version);
                }
            }
            Ok(())
        })?;
        if !entry.is_empty() {
            builder.append(&key, &entry)?;
        }
    }
    let places = (first.places.0, last.places.1);
    builder.finish(&first.shared, &first.writer, places, last.level + 1)
}
