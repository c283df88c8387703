//! INSERT, UPDATE, DELETE with ON CONFLICT and RETURNING.
//!
//! A statement does not see its own writes (command ids), so changing rows while scanning them is safe. A row that the statement
//! itself has changed already is passed over; one that a function or a trigger of the statement has changed is an error, or the
//! statement would undo that change. In READ COMMITTED a row that somebody changed meanwhile is judged again by
//! its latest version: the WHERE clause with that version's values in place of those read (EvalPlanQual); if it still holds, the
//! change starts from that version.
//!
//! ON CONFLICT DO UPDATE: insert; on a conflict lock the row in the way, and update it as it is then. If it vanished before the lock
//! was granted, insert again.

use super::PLAIN_ORDER;
use super::basic::check_budget;
use super::constraint::{self, Watcher};
use super::eval::{row_passes, row_value};
use super::instead::Instead;
use super::merge::{Merger, event_of};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::Collected;
use super::targets::Targets;
use super::transition::Capture;
use super::trigger::{After, Event, Triggers, changed_by_own_operation};
use crate::catalog::Table;
use crate::column::{BATCH_ROWS, Batch};
use crate::error::{Error, Result, SqlState};
use crate::plan::logical::ModifyKind;
use crate::plan::node;
use crate::table::key::encode;
use crate::table::partition::{Places, carried};
use crate::table::runs::RunLoader;
use crate::table::{Arbiter, InsertOutcome, Shape, TableWriter};
use crate::types::{Datum, Oid, Type};
use serin_storage::Value;
use serin_txn::{Isolation, RowLock, RowLockMode, WaitPolicy};
use std::sync::Arc;

/// What a statement needs for each row.
pub struct Changer {
    pub modify: Arc<node::Modify>,
    pub shape: Arc<Shape>,
    writer: TableWriter,
    arbiter: Arbiter,
    pub lock_mode: RowLockMode,
    conflict_lock_mode: RowLockMode,
    /// Of constraints that reach beyond the row.
    watcher: Option<Box<Watcher>>,
    triggers: Option<Triggers>,
    /// For AFTER triggers: the statement's event, and ON CONFLICT's updates.
    after: Option<After>,
    after_conflict: Option<After>,
    /// For transition tables: of the statement's event, and of ON CONFLICT's updates.
    captures: (Option<Capture>, Option<Capture>),
    /// The table that the statement names.
    named: Oid,
    /// Where the table has the columns of the one that the statement names.
    places: Places,
    /// Of a partition that is changed through its root: a row that is to be elsewhere is put in `moved`, for the caller to relocate.
    pub moves: bool,
    pub moved: Option<Moved>,
    /// For MERGE.
    pub merges: bool,
}

/// A row on its way to another partition.
pub struct Moved {
    key: Box<[u8]>,
    pub old: Vec<Datum>,
    pub new: Vec<Datum>,
}

impl Changer {
    pub fn new(modify: &Arc<node::Modify>, rt: &Runtime<'_>) -> Result<Changer> {
        Changer::make(modify, None, None, rt)
    }

    /// For a table that is changed through another one (`targets.rs`), which alone fires statement triggers.
    pub fn of_child(
        modify: &Arc<node::Modify>,
        places: Places,
        named: Oid,
        rt: &Runtime<'_>,
    ) -> Result<Changer> {
        Changer::make(modify, places, Some(named), rt)
    }

    fn make(
        modify: &Arc<node::Modify>,
        places: Places,
        named: Option<Oid>,
        rt: &Runtime<'_>,
    ) -> Result<Changer> {
        let mut writer = TableWriter::new(&modify.table, rt.context)?;
        let uses = rt.plan.iter().flat_map(|plan| &plan.permissions.relations);
        let of_target = uses.filter(|used| used.relation == modify.table.oid);
        writer.set_written(of_target.flat_map(|used| used.inserted.union(&used.updated)).copied().collect());
        let shape = Shape::of(&modify.table, rt.context)?;
        let arbiter = match &modify.on_conflict {
            None => Arbiter::None,
            Some(node::OnConflict { arbiters: None, .. }) => Arbiter::Any,
            Some(node::OnConflict { arbiters: Some(indexes), .. }) => Arbiter::Indexes(indexes.clone()),
        };
        let strength = |assignments: &[(usize, crate::expr::Expr)]| {
            let columns: Vec<usize> = assignments.iter().map(|(at, _)| *at).collect();
            match writer.changes_key(&columns) {
                true => RowLockMode::Update,
                false => RowLockMode::NoKeyUpdate,
            }
        };
        let lock_mode = match modify.kind {
            ModifyKind::Update => strength(&modify.assignments),
            _ => RowLockMode::Update,
        };
        let conflict_lock_mode = match modify.on_conflict.as_ref().and_then(|clause| clause.update.as_ref()) {
            Some(update) => strength(&update.assignments),
            None => RowLockMode::NoKeyUpdate,
        };
        let effect = match &modify.on_conflict {
            Some(node::OnConflict { update: Some(_), .. }) => ModifyKind::Update,
            _ => modify.kind,
        };
        let watcher = Watcher::new(&modify.table, effect, rt.context)?;
        let conflict = modify.on_conflict.as_ref().and_then(|clause| clause.update.as_ref());
        let assigned = match conflict {
            Some(update) => &update.assignments,
            None => &modify.assignments,
        };
        let triggers = match modify.table.triggers.is_empty() {
            true => None,
            false => {
                let assigned = assigned.iter().map(|(at, _)| *at).collect();
                Triggers::of(&modify.table, assigned, rt)?
                    .and_then(|triggers| triggers.for_rows_only(named.is_some()))
            }
        };
        let event = event_of(modify.kind);
        let after = triggers.as_ref().map(|triggers| triggers.after(event));
        let capture = |event| match named {
            Some(named) => Capture::of(named, event, rt),
            None => Capture::of_named(&modify.table, event, rt),
        };
        let captures = (capture(event), conflict.and_then(|_| capture(Event::Update)));
        let after_conflict =
            triggers.as_ref().filter(|_| conflict.is_some()).map(|triggers| triggers.after(Event::Update));
        Ok(Changer {
            modify: modify.clone(),
            shape,
            writer,
            arbiter,
            lock_mode,
            conflict_lock_mode,
            watcher,
            triggers,
            captures,
            named: named.unwrap_or(modify.table.oid),
            after,
            after_conflict,
            places,
            moves: false,
            moved: None,
            merges: false,
        })
    }

    /// BEFORE … STATEMENT triggers.
    pub fn begin(&self, rt: &Runtime<'_>) -> Result<()> {
        let Some(triggers) = &self.triggers else { return Ok(()) };
        triggers.before_statement(event_of(self.modify.kind), rt)?;
        match self.after_conflict {
            Some(_) => triggers.before_statement(Event::Update, rt),
            None => Ok(()),
        }
    }

    /// What AFTER triggers are to do waits for the statement's end.
    pub fn end(&mut self, rt: &Runtime<'_>) {
        // PostgreSQL fires ON CONFLICT's UPDATE triggers first.
        rt.state.after.borrow_mut().extend(self.after_conflict.take().into_iter().chain(self.after.take()));
    }

    /// BEFORE … ROW triggers of an UPDATE or DELETE whose row is locked: the row to write, None to leave it out. What a trigger, or
    /// before it a function in the new row's expressions, did to the row itself is an error.
    fn before_change(
        &self,
        event: Event,
        key: &[u8],
        old: &[Datum],
        new: Option<Vec<Datum>>,
        rt: &Runtime<'_>,
    ) -> Result<Option<Option<Vec<Datum>>>> {
        let result = match &self.triggers {
            Some(triggers) if triggers.has_before_row(event) => {
                triggers.before_row(event, Some(old), new, rt)?
            }
            _ => Some(new),
        };
        let mut transaction = rt.context.transaction.borrow_mut();
        if result.is_some() && transaction.has_run_nested() {
            // The row is locked already; this only asks whether it is still what it was.
            let locked =
                transaction.lock_row(&self.shape.tree, key, RowLockMode::KeyShare, WaitPolicy::Block)?;
            if let RowLock::SelfModified { by_this_command } = locked {
                self.check_self_modified(by_this_command)?;
            }
        }
        Ok(result)
    }

    /// For a row that is not as the statement has seen it, by what the statement itself has done.
    pub fn check_self_modified(&self, by_this_command: bool) -> Result<()> {
        match (by_this_command, self.merges, self.modify.kind) {
            (true, ..) => Ok(()),
            (false, true, _) => Err(changed_by_own_operation("updated or deleted")),
            (false, false, ModifyKind::Delete) => Err(changed_by_own_operation("deleted")),
            (false, false, _) => Err(changed_by_own_operation("updated")),
        }
    }

    /// Before rows to change are read: under two-phase locking the read locks them for the change at once.
    pub fn announce(&self, rt: &Runtime<'_>) {
        let mode = match self.modify.kind {
            ModifyKind::Insert if !self.updates_on_conflict() => return,
            ModifyKind::Insert => self.conflict_lock_mode,
            ModifyKind::Update | ModifyKind::Delete | ModifyKind::Merge => self.lock_mode,
        };
        rt.context.transaction.borrow_mut().intend_to_lock(&self.shape.tree, mode);
    }

    fn updates_on_conflict(&self) -> bool {
        self.modify.on_conflict.as_ref().is_some_and(|clause| clause.update.is_some())
    }

    /// Locks a row that was read as `old` and changes it. Answers the row for RETURNING: as it is now, or was, for DELETE.
    fn change(
        &mut self,
        key: &[u8],
        old: &[u8],
        input: &mut [Datum],
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let mode = match self.keeps_key(old, input, rt)? {
            true => RowLockMode::NoKeyUpdate,
            false => self.lock_mode,
        };
        let lock = |mode| {
            let mut transaction = rt.context.transaction.borrow_mut();
            let locked = transaction.lock_row(&self.shape.tree, key, mode, WaitPolicy::Block);
            let moved = &rt.context.catalog.runtime().moved;
            locked.map_err(|error| moved.explain(error, &transaction, &self.shape.tree, key))
        };
        let mut locked = lock(mode)?;
        if mode != self.lock_mode && matches!(locked, RowLock::Changed(_)) {
            // Judged by a version that is not the one to be changed.
            locked = match lock(self.lock_mode)? {
                // The snapshot has moved on to the version found first.
                RowLock::Unchanged => locked,
                again => again,
            };
        }
        match locked {
            RowLock::Unchanged => {
                let old = self.shape.decode_row(old)?;
                self.apply(key, old, input, rt)
            }
            RowLock::Changed(Some(value)) => self.change_latest(key, &value, input, rt),
            RowLock::Skipped => Ok(None),
            RowLock::SelfModified { by_this_command } => {
                self.check_self_modified(by_this_command)?;
                Ok(None)
            }
            RowLock::Changed(None) => match self.gone(key, rt)? {
                Some((key, value)) => self.change_latest(&key, &value, input, rt),
                None => Ok(None),
            },
        }
    }

    /// A row that was to be changed has been deleted, or moved: answers it as it is where it is now, locked.
    pub fn gone(&self, key: &[u8], rt: &Runtime<'_>) -> Result<Option<(Vec<u8>, Value)>> {
        let moved = &rt.context.catalog.runtime().moved;
        if self.modify.table.is_partition() {
            moved.check(&rt.context.transaction.borrow(), &self.shape.tree, key)?;
        }
        let mut transaction = rt.context.transaction.borrow_mut();
        Ok(moved.follow(&mut transaction, &self.shape.tree, key, self.lock_mode, WaitPolicy::Block)?)
    }

    /// Deletes a row that goes to another partition; false if a trigger keeps it.
    pub fn delete_moved(&mut self, moved: &Moved, rt: &Runtime<'_>) -> Result<bool> {
        if self.before_change(Event::Delete, &moved.key, &moved.old, None, rt)?.is_none() {
            return Ok(false);
        }
        rt.context.catalog.runtime().moved.to_partition(self.shape.tree.id(), &moved.key);
        self.writer.delete(&moved.key, &moved.old, rt.context)?;
        if let Some(watcher) = &mut self.watcher {
            watcher.moved(&moved.old, &moved.new, rt);
        }
        if let Some(after) = &mut self.after {
            after.row(Some(&moved.old), None, rt)?;
        }
        Ok(true)
    }

    /// Whether an update that assigns key columns leaves them as they are (`SET id = id`): then those who reference the row need not wait.
    fn keeps_key(&self, old: &[u8], input: &[Datum], rt: &Runtime<'_>) -> Result<bool> {
        if self.modify.kind != ModifyKind::Update || self.lock_mode != RowLockMode::Update {
            return Ok(false);
        }
        for (at, expr) in &self.modify.assignments {
            if !self.writer.changes_key(&[*at]) {
                continue;
            }
            if expr.is_volatile() || expr.has_subquery() {
                return Ok(false);
            }
            let stored = self.shape.layout.decode(old, *at)?;
            let before = stored.unwrap_or_else(|| self.shape.missing[*at].clone());
            let after = row_value(expr, input, rt)?;
            let image = |value: &Datum| {
                let mut bytes = Vec::new();
                encode(value, self.shape.types[*at], PLAIN_ORDER, &mut bytes);
                bytes
            };
            if image(&before) != image(&after) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The row was locked and turned out to have a newer version than the one that was read.
    pub fn change_latest(
        &mut self,
        key: &[u8],
        latest: &[u8],
        input: &mut [Datum],
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let latest = self.shape.decode_row(latest)?;
        for (at, column) in &self.modify.columns {
            input[*at] = latest[*column].clone();
        }
        match row_passes(&self.modify.recheck, input, rt)? {
            true => self.apply(key, latest, input, rt),
            false => Ok(None),
        }
    }

    /// Changes a locked row; None if a trigger left it out.
    pub fn apply(
        &mut self,
        key: &[u8],
        old: Vec<Datum>,
        input: &[Datum],
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        if self.modify.kind == ModifyKind::Delete {
            if self.before_change(Event::Delete, key, &old, None, rt)?.is_none() {
                return Ok(None);
            }
            self.writer.delete(key, &old, rt.context)?;
            if let Some(watcher) = &mut self.watcher {
                watcher.deleted(&old, rt);
            }
            if let Some(after) = &mut self.after {
                after.row(Some(&old), None, rt)?;
            }
            self.capture(self.captures.0, Some(&old), None, rt)?;
            return Ok(Some(old));
        }
        let mut new = old.clone();
        for (at, expr) in &self.modify.assignments {
            new[*at] = row_value(expr, input, rt)?;
        }
        let Some(Some(mut new)) = self.before_change(Event::Update, key, &old, Some(new), rt)? else {
            return Ok(None);
        };
        self.writer.fill_generated(&mut new, rt.context)?;
        if self.moves && !self.writer.fits(&new, rt.context)? {
            self.moved = Some(Moved { key: key.into(), old, new });
            return Ok(None);
        }
        self.writer.check(&new, rt.context)?;
        self.writer.update(key, &old, &new, rt.context)?;
        self.watch_update(key, &old, &new, rt)?;
        if let Some(after) = &mut self.after {
            after.row(Some(&old), Some(&new), rt)?;
        }
        self.capture(self.captures.0, Some(&old), Some(&new), rt)?;
        self.check_views(&new, rt)?;
        Ok(Some(new))
    }

    /// Keeps a changed row for transition tables.
    fn capture(
        &self,
        capture: Option<Capture>,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
        rt: &Runtime<'_>,
    ) -> Result<()> {
        let Some(capture) = capture else { return Ok(()) };
        let named = |row: &[Datum]| match &self.places {
            None => row.to_vec(),
            places => carried(row, places),
        };
        capture.row(old.map(named), new.map(named), rt)
    }

    /// The same of an inserted row, which may be one that an UPDATE has moved here.
    fn capture_inserted(&self, row: &[Datum], rt: &Runtime<'_>) -> Result<()> {
        let Some(old) = rt.state.moving.take() else {
            return self.capture(self.captures.0, None, Some(row), rt);
        };
        let Some(capture) = Capture::of(self.named, Event::Update, rt) else { return Ok(()) };
        let new = match &self.places {
            None => row.to_vec(),
            places => carried(row, places),
        };
        capture.row(Some(old), Some(new), rt)
    }

    /// CHECK OPTION of the views through which a row was written.
    fn check_views(&self, row: &[Datum], rt: &Runtime<'_>) -> Result<()> {
        if self.modify.checks.is_empty() {
            return Ok(());
        }
        let mut over = match &self.places {
            None => row.to_vec(),
            places => carried(row, places),
        };
        over.push(Datum::Oid(self.modify.table.oid));
        match super::instead::failed_check(&self.modify.checks, &over, rt)? {
            Some(error) => Err(self.writer.with_row(error, row, rt.context)),
            None => Ok(()),
        }
    }

    fn watch_update(&mut self, key: &[u8], old: &[Datum], new: &[Datum], rt: &Runtime<'_>) -> Result<()> {
        let Some(watcher) = &mut self.watcher else { return Ok(()) };
        let mut new_key = Vec::new();
        match self.shape.key.is_empty() {
            true => new_key.extend_from_slice(key),
            false => self.shape.encode_key(new, &mut new_key),
        }
        watcher.updated((key, old), (&new_key, new), rt)
    }

    /// Whether nothing has to be known of a row when the next one is inserted.
    fn takes_bulk(&self) -> bool {
        self.modify.kind == ModifyKind::Insert
            && self.modify.on_conflict.is_none()
            && self.modify.returning.is_none()
            && self.watcher.is_none()
            && self.triggers.is_none()
            && self.captures.0.is_none()
            && self.modify.checks.is_empty()
    }

    fn checked_row(&self, input: &[Datum], rt: &Runtime<'_>) -> Result<Vec<Datum>> {
        let mut row = new_row(&self.modify, input, rt)?;
        self.writer.fill_generated(&mut row, rt.context)?;
        self.writer.check(&row, rt.context)?;
        Ok(row)
    }

    /// Inserts one row; None if ON CONFLICT left things as they are.
    pub fn insert(&mut self, input: &[Datum], rt: &Runtime<'_>) -> Result<Option<Vec<Datum>>> {
        let row = new_row(&self.modify, input, rt)?;
        self.insert_row(row, rt)
    }

    pub fn insert_row(&mut self, mut row: Vec<Datum>, rt: &Runtime<'_>) -> Result<Option<Vec<Datum>>> {
        let modify = self.modify.clone();
        if let Some(triggers) = &self.triggers
            && triggers.has_before_row(Event::Insert)
        {
            match triggers.before_row(Event::Insert, None, Some(row), rt)? {
                Some(Some(returned)) => row = returned,
                _ => return Ok(None),
            }
            if let Some(trigger) = triggers.inherited_before_row(Event::Insert)
                && !self.writer.fits(&row, rt.context)?
            {
                return Err(moved_by_trigger(&modify.table, trigger, rt));
            }
        }
        self.writer.fill_generated(&mut row, rt.context)?;
        self.writer.check(&row, rt.context)?;
        loop {
            rt.check_interrupt()?;
            let (key, visible) = match self.writer.insert(&row, &self.arbiter, rt.context)? {
                InsertOutcome::Inserted(key) => {
                    if let Some(after) = &mut self.after {
                        after.row(None, Some(&row), rt)?;
                    }
                    if let Some(watcher) = &mut self.watcher {
                        watcher.inserted(&key, &row, rt)?;
                    }
                    self.capture_inserted(&row, rt)?;
                    self.check_views(&row, rt)?;
                    return Ok(Some(row));
                }
                InsertOutcome::Conflict { key, visible, .. } => (key, visible),
            };
            // Under a fixed snapshot, a row that it does not show can't be passed over or changed, unless this very statement
            // has made it.
            if !visible && rt.context.transaction.borrow().isolation() != Isolation::ReadCommitted {
                let found = rt.context.transaction.borrow_mut().lock_row(
                    &self.shape.tree,
                    &key,
                    RowLockMode::KeyShare,
                    WaitPolicy::Block,
                )?;
                if !matches!(found, RowLock::SelfModified { .. } | RowLock::Unchanged) {
                    return Err(Error::new(
                        SqlState::SERIALIZATION_FAILURE,
                        "could not serialize access due to concurrent update",
                    ));
                }
            }
            let Some(update) = modify.on_conflict.as_ref().and_then(|clause| clause.update.as_ref()) else {
                return Ok(None);
            };
            let existing = {
                let mut transaction = rt.context.transaction.borrow_mut();
                match transaction.lock_row(
                    &self.shape.tree,
                    &key,
                    self.conflict_lock_mode,
                    WaitPolicy::Block,
                )? {
                    RowLock::SelfModified { .. } | RowLock::Skipped => return Err(twice()),
                    RowLock::Changed(latest) => latest,
                    RowLock::Unchanged => transaction.get(&self.shape.tree, &key)?,
                }
            };
            let Some(existing) = existing else { continue };
            let existing = self.shape.decode_row(&existing)?;
            let both: Vec<Datum> = match &self.places {
                None => existing.iter().chain(&row).cloned().collect(),
                places => [carried(&existing, places), carried(&row, places)].concat(),
            };
            if !row_passes(&update.filter, &both, rt)? {
                return Ok(None);
            }
            let mut new = existing.clone();
            for (at, expr) in &update.assignments {
                new[*at] = row_value(expr, &both, rt)?;
            }
            let Some(Some(mut new)) = self.before_change(Event::Update, &key, &existing, Some(new), rt)?
            else {
                return Ok(None);
            };
            self.writer.fill_generated(&mut new, rt.context)?;
            if modify.table.is_partition() && !self.writer.fits(&new, rt.context)? {
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "invalid ON UPDATE specification")
                    .detail(
                        "The result tuple would appear in a different partition than the original tuple.",
                    ));
            }
            self.writer.check(&new, rt.context)?;
            self.writer.update(&key, &existing, &new, rt.context)?;
            self.watch_update(&key, &existing, &new, rt)?;
            if let Some(after) = &mut self.after_conflict {
                after.row(Some(&existing), Some(&new), rt)?;
            }
            self.capture(self.captures.1, Some(&existing), Some(&new), rt)?;
            self.check_views(&new, rt)?;
            return Ok(Some(new));
        }
    }

    /// RETURNING's values for an affected row.
    pub fn returned(&self, row: Vec<Datum>, input: &[Datum], rt: &Runtime<'_>) -> Result<Vec<Datum>> {
        let Some(returning) = &self.modify.returning else { return Ok(Vec::new()) };
        let mut over = match &self.places {
            None => row,
            places => carried(&row, places),
        };
        over.push(Datum::Oid(self.modify.table.oid));
        over.extend_from_slice(input);
        returning.iter().map(|expr| row_value(expr, &over, rt)).collect()
    }
}

/// An INSERT of so many rows goes to disk in bulk. Fewer are not worth a sync of the data file.
const BULK_ROWS_MIN: usize = 4 * BATCH_ROWS;
/// What sorting may take at least.
const BULK_SORT_BYTES_MIN: usize = 16 << 20;

/// The row that an INSERT makes of an input row.
pub fn new_row(modify: &node::Modify, input: &[Datum], rt: &Runtime<'_>) -> Result<Vec<Datum>> {
    let mut row = vec![Datum::Null; modify.table.columns.len()];
    for (at, expr) in &modify.assignments {
        row[*at] = row_value(expr, input, rt)?;
    }
    Ok(row)
}

fn moved_by_trigger(table: &Table, trigger: &str, rt: &Runtime<'_>) -> Error {
    let schema = rt.context.catalog.schema(table.schema).map_or("", |schema| &schema.name);
    let message = "moving row to another partition during a BEFORE FOR EACH ROW trigger is not supported";
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(format!(
        "Before executing trigger \"{trigger}\", the row was to be in partition \"{schema}.{}\".",
        table.name
    ))
}

fn twice() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}

/// As [`Changer::announce`], for a table and its children.
pub fn announce_all(modify: &Arc<node::Modify>, rt: &Runtime<'_>) -> Result<()> {
    if modify.kind == ModifyKind::Insert && modify.on_conflict.is_none() {
        return Ok(());
    }
    for table in rt.context.catalog.descendants(&modify.table).iter().chain([&modify.table]) {
        let shape = Shape::of(table, rt.context)?;
        rt.context.transaction.borrow_mut().intend_to_lock(&shape.tree, RowLockMode::Update);
    }
    Ok(())
}

pub struct Modify {
    input: Executor,
    modify: Arc<node::Modify>,
    types: Vec<Type>,
    /// The statement's own rows are counted, those of a WITH query are not.
    counts: bool,
    /// RETURNING's rows: everything is done before the first is handed out.
    returned: Option<Batch>,
    at: usize,
    done: bool,
}

impl Modify {
    pub fn new(input: Executor, modify: Arc<node::Modify>, types: Vec<Type>, counts: bool) -> Modify {
        Modify { input, modify, types, counts, returned: None, at: 0, done: false }
    }

    fn run(&mut self, rt: &Runtime<'_>) -> Result<Batch> {
        let modify = self.modify.clone();
        if let Some(merge) = &modify.merge {
            return self.merge(merge, rt);
        }
        if let Some(columns) = &modify.instead {
            return self.run_instead(columns, rt);
        }
        if modify.targets_others {
            return self.run_on_others(rt);
        }
        let mut changer = Changer::new(&self.modify, rt)?;
        changer.begin(rt)?;
        changer.announce(rt);
        let mut out = Collected::new(&self.types);
        let mut affected = 0;
        let in_bulk = changer.takes_bulk()
            && self.counts
            && rt.plan.is_none_or(|plan| plan.ctes.is_empty() && !plan.row_by_row);
        if in_bulk {
            affected = self.insert_in_bulk(&mut changer, rt)?;
        }
        // Triggers see what the statement has done so far, so that its rows come one by one.
        let ahead = if changer.triggers.is_some() { 1 } else { BATCH_ROWS };
        while !in_bulk && let Some(batch) = self.input.next(rt, ahead)? {
            rt.check_interrupt()?;
            let mut returned = Vec::new();
            for at in 0..batch.rows {
                if at % 256 == 255 {
                    rt.check_interrupt()?;
                }
                let mut input = batch.row(at);
                let row = match self.modify.kind {
                    ModifyKind::Insert => changer.insert(&input, rt)?,
                    ModifyKind::Update | ModifyKind::Delete | ModifyKind::Merge => {
                        let (Datum::Bytea(key), Datum::Bytea(old)) =
                            (input[self.modify.key].clone(), input[self.modify.row].clone())
                        else {
                            return Err(Error::internal("a row to change without its key"));
                        };
                        changer.change(&key, &old, &mut input, rt)?
                    }
                };
                if let Some(row) = row {
                    affected += 1;
                    if self.modify.returning.is_some() {
                        returned.push(changer.returned(row, &input, rt)?);
                    }
                }
            }
            if !returned.is_empty() {
                out.append(&super::basic::datums_to_batch(&returned, &self.types));
                check_budget(out.bytes(), rt, "RETURNING rows")?;
            }
        }
        changer.end(rt);
        self.finish(affected, rt)?;
        Ok(out.finish())
    }

    /// Inserts all rows, if they are many.
    fn insert_in_bulk(&mut self, changer: &mut Changer, rt: &Runtime<'_>) -> Result<u64> {
        let mut held: Vec<Batch> = Vec::new();
        let mut held_rows = 0;
        while held_rows < BULK_ROWS_MIN
            && let Some(batch) = self.input.next(rt, BATCH_ROWS)?
        {
            held_rows += batch.rows;
            held.push(batch);
        }
        let budget = rt.context.work_mem_bytes.max(BULK_SORT_BYTES_MIN);
        let mut loader = match held_rows >= BULK_ROWS_MIN {
            true => RunLoader::new(&self.modify.table, budget, rt.context)?,
            false => None,
        };
        let mut affected = 0;
        let mut held = held.into_iter();
        loop {
            let next = match held.next() {
                None => self.input.next(rt, BATCH_ROWS)?,
                batch => batch,
            };
            let Some(batch) = next else { break };
            rt.check_interrupt()?;
            for at in 0..batch.rows {
                let input = batch.row(at);
                match &mut loader {
                    Some(loader) => loader.append(&changer.checked_row(&input, rt)?, 0, rt.context)?,
                    None => changer.insert(&input, rt).map(drop)?,
                }
            }
            affected += batch.rows as u64;
        }
        loader.map_or(Ok(()), |loader| loader.finish(rt.context))?;
        Ok(affected)
    }

    /// The same where the rows are in children or partitions, or go there.
    fn run_on_others(&mut self, rt: &Runtime<'_>) -> Result<Batch> {
        let modify = self.modify.clone();
        let mut named = Changer::new(&modify, rt)?;
        named.begin(rt)?;
        let mut targets = Targets::new(&modify.table);
        announce_all(&modify, rt)?;
        let mut out = Collected::new(&self.types);
        let mut affected = 0;
        let ahead = if named.triggers.is_some() { 1 } else { BATCH_ROWS };
        while let Some(batch) = self.input.next(rt, ahead)? {
            let mut returned = Vec::new();
            for at in 0..batch.rows {
                if at % 256 == 0 {
                    rt.check_interrupt()?;
                }
                let mut input = batch.row(at);
                let values = match modify.kind {
                    ModifyKind::Insert => {
                        let row = new_row(&modify, &input, rt)?;
                        targets.insert(&modify, row, &input, rt)?
                    }
                    _ => {
                        let (Datum::Bytea(key), Datum::Bytea(old), Some(Datum::Oid(table))) = (
                            input[modify.key].clone(),
                            input[modify.row].clone(),
                            modify.table_oid.map(|at| input[at].clone()),
                        ) else {
                            return Err(Error::internal("a row to change without its key"));
                        };
                        let changer = targets.changer(&modify, table, rt)?;
                        let changed = changer.change(&key, &old, &mut input, rt)?;
                        match (changed, changer.moved.take()) {
                            (_, Some(moved)) => targets.relocate(&modify, table, moved, &input, rt)?,
                            (Some(row), None) => Some(changer.returned(row, &input, rt)?),
                            (None, None) => None,
                        }
                    }
                };
                if let Some(values) = values {
                    affected += 1;
                    if modify.returning.is_some() {
                        returned.push(values);
                    }
                }
            }
            if !returned.is_empty() {
                out.append(&super::basic::datums_to_batch(&returned, &self.types));
                check_budget(out.bytes(), rt, "RETURNING rows")?;
            }
        }
        targets.end(rt);
        named.end(rt);
        self.finish(affected, rt)?;
        Ok(out.finish())
    }

    /// The same where a view's triggers do it.
    fn run_instead(&mut self, columns: &[usize], rt: &Runtime<'_>) -> Result<Batch> {
        let mut instead = Instead::new(&self.modify, rt)?;
        let mut out = Collected::new(&self.types);
        let mut affected = 0;
        while let Some(batch) = self.input.next(rt, 1)? {
            rt.check_interrupt()?;
            for at in 0..batch.rows {
                let input = batch.row(at);
                let Some(row) = instead.row(columns, &input, rt)? else { continue };
                affected += 1;
                if self.modify.returning.is_some() {
                    let returned = [instead.returned(row, &input, rt)?];
                    out.append(&super::basic::datums_to_batch(&returned, &self.types));
                    check_budget(out.bytes(), rt, "RETURNING rows")?;
                }
            }
        }
        instead.end(rt);
        self.finish(affected, rt)?;
        Ok(out.finish())
    }

    fn merge(&mut self, merge: &node::Merge, rt: &Runtime<'_>) -> Result<Batch> {
        let mut merger = Merger::new(&self.modify, merge, rt)?;
        merger.begin(rt)?;
        let mut affected = 0;
        while let Some(batch) = self.input.next(rt, BATCH_ROWS)? {
            for at in 0..batch.rows {
                if at % 256 == 0 {
                    rt.check_interrupt()?;
                }
                affected += u64::from(merger.row(merge, &mut batch.row(at), rt)?);
            }
        }
        merger.end(rt);
        self.finish(affected, rt)?;
        Ok(Collected::new(&self.types).finish())
    }

    fn finish(&self, affected: u64, rt: &Runtime<'_>) -> Result<()> {
        // RETURNING's rows are for a statement that succeeds. (Beside other writers, its end is theirs too: `Execution::next_rows`.)
        if self.counts && rt.plan.is_none_or(|plan| plan.ctes.is_empty()) {
            constraint::finish(rt)?;
        }
        if self.counts {
            rt.state.rows_affected.set(rt.state.rows_affected.get() + affected);
        }
        Ok(())
    }
}

impl Execute for Modify {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if !self.done {
            self.done = true;
            self.returned = Some(self.run(rt)?);
        }
        let Some(returned) = &self.returned else { return Ok(None) };
        if self.at >= returned.rows {
            return Ok(None);
        }
        let end = returned.rows.min(self.at + max.clamp(1, BATCH_ROWS));
        let batch = returned.slice(self.at, end - self.at);
        self.at = end;
        Ok(Some(batch))
    }
    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        // Writes happen once; a reader that starts over reads the same rows.
        self.at = 0;
        Ok(())
    }
}
