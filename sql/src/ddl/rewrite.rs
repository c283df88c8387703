//! Building trees from a table's rows: new indexes, a new clustering key, changed rows. The relation lock keeps writers out, so
//! the rows are those of the latest committed state (and our own); memory stays within maintenance_work_mem.
//!
//! A clustering key's order is found out by trying: rows are loaded directly as long as their keys ascend, which they do when the
//! table was filled in that order. At the first key that does not, the load starts over through a sort.

use super::Ddl;
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::exec::{ExecContext, exclusion};
use crate::table::loader::{self, Filled, IndexLoad, TreeFiller};
use crate::table::sorter::Sorter;
use crate::table::{Shape, row};
use crate::types::Datum;
use serin_storage::Tree;
use std::sync::Arc;

/// Changes a row to its new form.
pub(super) type Transform<'t> = &'t mut dyn FnMut(&mut Vec<Datum>, &ExecContext<'_>) -> Result<()>;

impl Ddl<'_> {
    /// Fills the secondary index at `position`, whose tree is fresh.
    pub(super) fn build_index(&self, table: &Table, position: usize) -> Result<()> {
        self.transaction.borrow_mut().next_command();
        self.with_exec(|context| {
            let shape = Shape::of_draft(table, context)?;
            let mut load = IndexLoad::new(position, self.sort_bytes(), context);
            let wanted = shape.indexes[position].columns();
            let mut row = vec![Datum::Null; table.columns.len()];
            let mut add = |key: &[u8], value: &[u8]| {
                shape.decode_columns(value, &wanted, &mut row)?;
                load.add(&shape, &row, key, context)
            };
            match shape.indexes[position].is_of_columns() {
                true => loader::scan_in_place(&shape.tree, context, add)?,
                false => loader::scan_all(&shape.tree, context, |key, value| add(key, value))?,
            }
            load.finish(table, &shape, context, |key| find_row(&shape, key, context))
        })?;
        self.validate_exclusion(table, position)
    }

    /// 23P01 if rows are in conflict by the EXCLUDE constraint that the index serves, if it does.
    fn validate_exclusion(&self, table: &Table, position: usize) -> Result<()> {
        if table.indexes[position].exclusion.is_empty() {
            return Ok(());
        }
        self.transaction.borrow_mut().next_command();
        self.with_exec(|context| exclusion::validate(table, position, context))
    }

    /// Copies all rows of `old` into fresh trees for `new`, which it gets here; drops the old trees. `transform` None: rows stay
    /// as they are, only their place changes.
    pub(super) fn rewrite(
        &self,
        old: &Table,
        new: &mut Table,
        mut transform: Option<Transform<'_>>,
    ) -> Result<()> {
        self.transaction.borrow_mut().next_command();
        self.fresh_trees(new)?;
        self.drop_trees(old)?;
        // Directly first; again through a sort if the keys do not ascend.
        if self.copy_rows(old, new, &mut transform, false)? {
            return self.validate_exclusions(new);
        }
        let abandoned: Vec<_> = std::iter::once(new.tree)
            .chain(new.indexes.iter().filter(|index| !index.clustered).map(|index| index.tree))
            .collect();
        self.fresh_trees(new)?;
        for tree in abandoned {
            self.drop_tree(tree)?;
        }
        self.copy_rows(old, new, &mut transform, true)?;
        self.validate_exclusions(new)
    }

    /// Rows that have changed may be in conflict as they were not before.
    fn validate_exclusions(&self, table: &Table) -> Result<()> {
        (0..table.indexes.len()).try_for_each(|position| self.validate_exclusion(table, position))
    }

    pub(super) fn fresh_trees(&self, table: &mut Table) -> Result<()> {
        table.tree = self.create_tree()?.id();
        for position in 0..table.indexes.len() {
            table.indexes[position].tree = match table.indexes[position].clustered {
                true => table.tree,
                false => self.create_tree()?.id(),
            };
        }
        Ok(())
    }

    /// False: the keys do not ascend, and nothing that was loaded is of use.
    fn copy_rows(
        &self,
        old: &Table,
        new: &Table,
        transform: &mut Option<Transform<'_>>,
        sort: bool,
    ) -> Result<bool> {
        self.with_exec(|context| {
            let from = Shape::of_draft(old, context)?;
            let to = Shape::of_draft(new, context)?;
            let secondary = to.indexes.iter().filter(|index| !index.clustered).count();
            let budget = self.sort_bytes() / (secondary + usize::from(sort)).max(1);
            let mut indexes = IndexLoad::for_table(&to, budget * secondary.max(1), context);
            let mut target = Target::new(&to.tree, sort, budget, context)?;
            let mut buffers = (Vec::new(), Vec::new());
            let mut ascends = true;
            let needs_row = transform.is_some() || !to.key.is_empty() || secondary > 0;
            let keeps_row_ids = from.key.is_empty() && to.key.is_empty();
            let mut next_row_id = 1u64;
            loader::scan_all(&from.tree, context, |key, value| {
                if !ascends {
                    return Ok(());
                }
                let (new_key, new_row) = &mut buffers;
                new_key.clear();
                let mut decoded = Vec::new();
                if needs_row {
                    decoded = from.decode_row(value)?;
                }
                let bytes: &[u8] = match transform {
                    Some(transform) => {
                        transform(&mut decoded, context)?;
                        new_row.clear();
                        row::encode(&decoded, &to.types, new_row);
                        new_row
                    }
                    None => value,
                };
                if keeps_row_ids {
                    new_key.extend_from_slice(key);
                } else if to.key.is_empty() {
                    new_key.extend_from_slice(&next_row_id.to_be_bytes());
                    next_row_id += 1;
                } else {
                    to.encode_key(&decoded, new_key);
                }
                match target.add(new_key, bytes)? {
                    Filled::Appended => {}
                    Filled::OutOfOrder => {
                        ascends = false;
                        return Ok(());
                    }
                    Filled::Duplicate => {
                        let index = to.clustered.ok_or_else(|| Error::internal("a row id came twice"))?;
                        return Err(loader::not_unique(new, index, Some(&decoded), context));
                    }
                }
                indexes.iter_mut().try_for_each(|index| index.add(&to, &decoded, new_key, context))
            })?;
            if !ascends {
                return Ok(false);
            }
            target.finish(&to, new, context)?;
            context.transaction.borrow_mut().next_command();
            for index in indexes {
                index.finish(new, &to, context, |key| find_row(&to, key, context))?;
            }
            Ok(true)
        })
    }
}

fn find_row(shape: &Shape, key: &[u8], context: &ExecContext<'_>) -> Option<Vec<Datum>> {
    let value = context.transaction.borrow_mut().catalog_get(&shape.tree, key).ok()??;
    shape.decode_row(&value).ok()
}

/// The table's own tree on its way.
enum Target {
    Direct(TreeFiller),
    Sorted(Arc<Tree>, Sorter),
}

impl Target {
    fn new(tree: &Arc<Tree>, sort: bool, budget: usize, context: &ExecContext<'_>) -> Result<Target> {
        if sort {
            let dir = context.catalog.runtime().temporary_dir();
            return Ok(Target::Sorted(tree.clone(), Sorter::new(budget, dir)));
        }
        let filler = TreeFiller::new(tree, context)?;
        Ok(Target::Direct(filler.ok_or_else(|| Error::internal("a new tree is not fresh"))?))
    }
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<Filled> {
        match self {
            Target::Direct(filler) => filler.append(key, value),
            Target::Sorted(_, sorter) => sorter.push(key, value).map(|()| Filled::Appended),
        }
    }
    fn finish(self, shape: &Shape, table: &Table, context: &ExecContext<'_>) -> Result<()> {
        match self {
            Target::Direct(filler) => filler.finish(context).map(drop),
            Target::Sorted(tree, sorter) => {
                let duplicate = |_: &[u8], value: &[u8]| match shape.clustered {
                    Some(index) => {
                        let row = shape.decode_row(value).ok();
                        loader::not_unique(table, index, row.as_deref(), context)
                    }
                    None => Error::internal("a row id came twice"),
                };
                loader::fill_sorted(&tree, sorter.finish()?, context, duplicate).map(drop)
            }
        }
    }
}
