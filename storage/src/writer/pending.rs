//! What a transaction has done and not committed, told so that another process can do it again: two-phase commit keeps it across a
//! restart. Who keeps it, and where, is decided above (`serin-txn`, `prepared.rs`): to storage it is data like any other.

use super::{Change, Writer};
use crate::layer::LayerScan;
use crate::{CommandId, Direction, Intent, KeyRange, Result, Timestamp, Tree, TreeId, View};
use std::ops::Bound;
use std::sync::Arc;

/// One thing that the transaction did. Done again in the order in which they are told, they give the same write set.
pub enum Pending<'a> {
    CreateTree(TreeId),
    DropTree(TreeId),
    /// `None`: a tombstone.
    Version {
        tree: TreeId,
        key: &'a [u8],
        value: Option<&'a [u8]>,
        intent: Intent,
    },
}

type Visit<'v> = dyn FnMut(Pending<'_>) -> Result<()> + 'v;

impl Writer {
    /// Tells the write set: trees made, the final version of each key (of a key that is both in a layer and in memory, the older one
    /// first), trees dropped. However rows came into a tree of this transaction's own, they are told as rows.
    pub fn pending(&self, visit: &mut Visit<'_>) -> Result<()> {
        let mut created: Vec<&Arc<Tree>> = Vec::new();
        for (_, change) in &self.changes {
            if let Change::CreateTree(tree) = change {
                visit(Pending::CreateTree(tree.id()))?;
                created.push(tree);
            }
        }
        for tree in &created {
            self.rows_of_created(tree, visit)?;
        }
        let is_created = |tree: &Tree| created.iter().any(|created| created.id() == tree.id());
        for tree in self.trees.iter().filter(|tree| !is_created(tree)) {
            self.versions_in_layers(tree, visit)?;
        }
        for (place, change) in &self.changes {
            let Change::Version { tree, key, chain } = change else { continue };
            let tree = &self.trees[*tree as usize];
            if is_created(tree) {
                continue;
            }
            let (value, intent) = {
                let state = chain.lock();
                let top = state.versions.last().expect("an uncommitted version stays on its chain");
                if top.write_index != *place {
                    continue;
                }
                (top.value.clone(), top.intent)
            };
            let (tree, key) = (tree.id(), key.as_slice());
            visit(Pending::Version { tree, key, value: value.as_deref(), intent })?;
        }
        for (_, change) in &self.changes {
            if let Change::DropTree(tree) = change {
                visit(Pending::DropTree(*tree))?;
            }
        }
        Ok(())
    }

    fn rows_of_created(&self, tree: &Arc<Tree>, visit: &mut Visit<'_>) -> Result<()> {
        const BATCH: usize = 256;
        let snapshot = self.shared.snapshot();
        let own = Some((&*self.state, CommandId(u32::MAX)));
        let view = View { snapshot: &snapshot, horizon: Timestamp::MAX, own };
        let all = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
        let mut cursor = tree.cursor(all, Direction::Forward);
        let mut outcome = Ok(());
        let id = tree.id();
        let mut each = |key: &[u8], value: &crate::Value| {
            let value = Some(&**value);
            outcome = visit(Pending::Version { tree: id, key, value, intent: Intent::Replace });
            outcome.is_ok()
        };
        while cursor.next_batch(view, BATCH, &mut (), &mut each)? {}
        outcome
    }

    fn versions_in_layers(&self, tree: &Arc<Tree>, visit: &mut Visit<'_>) -> Result<()> {
        let mut layers = tree.layers_of(&self.state);
        if layers.is_empty() {
            return Ok(());
        }
        // Newest first: the first version met of a key is the one that counts.
        layers.reverse();
        let mut scan = LayerScan::new(Direction::Forward);
        scan.seek(&layers, Bound::Unbounded, Bound::Unbounded)?;
        while let Some(key) = scan.key().map(<[u8]>::to_vec) {
            let mut told = false;
            scan.take(&key, Bound::Unbounded, &mut |layer, entry| {
                if let (false, Some(version)) = (told, layer.newest(entry, None)?) {
                    told = true;
                    let (value, intent) = (version.value, version.intent);
                    visit(Pending::Version { tree: tree.id(), key: &key, value, intent })?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
