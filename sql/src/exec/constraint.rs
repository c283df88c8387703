//! Constraints that one row alone can't answer for: foreign keys, deferrable unique constraints and exclusion constraints. Here is when they
//! are checked; how is in `foreign_key.rs`, `unique.rs` and `exclusion.rs`.
//!
//! # When
//!
//! PostgreSQL queues an AFTER trigger for every row that concerns such a constraint and runs the queue at the end of the statement, or,
//! for a deferred constraint, when the transaction commits or SET CONSTRAINTS asks. So do we, with one short cut: whoever
//! changes a row of the *referencing* side (or adds a key to a deferrable unique index) looks at once whether all is well, and queues an
//! [`Event`] only if it is not. All being well can't end before the statement does: the referenced row is locked FOR KEY SHARE then, and
//! if it is this very transaction that takes the row away, the event of *that* change finds the referencing row. So a statement that
//! inserts a million rows remembers nothing, and one that violates a constraint only for a while (rows that reference each other, `SET id
//! = id + 1`) passes as it must. Deferred constraints are queued without that look: its lock would be taken too early.
//!
//! # Whose queue
//!
//! Events of a statement are in its [`RunState`]; they run in the order in which they came, and those that they cause (a cascade is
//! a change like any other) queue behind them. Deferred ones are the transaction's ([`Deferred`], which the session keeps): ROLLBACK TO takes
//! back what was queued since, and also that events were done with since.
//!
//! An event names rows by the key in their table's tree. What that key leads to when the event runs is what is checked: a row that was
//! deleted or changed meanwhile is judged as it is then.

use super::ExecContext;
use super::basic::check_budget;
use super::foreign_key::{self, Key};
use super::runtime::{RunState, Runtime};
use super::{exclusion, trigger, unique};
use crate::catalog::{Constraint, ConstraintKind, Table, Trigger};
use crate::error::Result;
use crate::plan::logical::ModifyKind;
use crate::table::partition::places;
use crate::types::{Datum, Oid};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Clone)]
pub enum Event {
    /// A row of a referencing table is new, or references another row than before.
    Referencing { table: Oid, constraint: Oid, key: Box<[u8]> },
    /// A referenced row is gone, or has another key. The values are those of `ForeignKey::referenced_columns`.
    Referenced { referencing: Oid, constraint: Oid, old: Key, new: Option<Key> },
    /// A row has a key that another may have too, or be in conflict with.
    Unique { table: Oid, constraint: Oid, key: Box<[u8]> },
    /// A constraint trigger is to fire.
    Trigger { table: Oid, trigger: Oid, event: trigger::Event, row: trigger::SharedRow },
}

impl Event {
    /// The table that has the constraint, and the constraint.
    fn constraint(&self) -> (Oid, Oid) {
        match self {
            Event::Referencing { table, constraint, .. } | Event::Unique { table, constraint, .. } => {
                (*table, *constraint)
            }
            Event::Referenced { referencing, constraint, .. } => (*referencing, *constraint),
            Event::Trigger { table, trigger, .. } => (*table, *trigger),
        }
    }

    fn run(&self, rt: &Runtime<'_>) -> Result<()> {
        rt.check_interrupt()?;
        let (table, constraint) = self.constraint();
        // Dropped by the same transaction: nothing to hold any more.
        let Some(table) = rt.context.catalog.table(table) else { return Ok(()) };
        if let Event::Trigger { trigger, event, row, .. } = self {
            rt.context.transaction.borrow_mut().next_command();
            return trigger::fire_deferred(&table, *trigger, *event, row, rt);
        }
        let Some(constraint) = table.constraint(constraint) else { return Ok(()) };
        // What was written so far is to be seen, and to be changed again.
        rt.context.transaction.borrow_mut().next_command();
        match self {
            Event::Referencing { key, .. } => foreign_key::check_row(&table, constraint, key, rt.context),
            Event::Referenced { old, new, .. } => {
                foreign_key::act(&table, constraint, old, new.as_deref(), rt)
            }
            Event::Unique { key, .. } => match constraint.kind {
                ConstraintKind::Exclusion(_) => exclusion::check_row(&table, constraint, key, rt.context),
                _ => unique::check_row(&table, constraint, key, rt.context),
            },
            Event::Trigger { .. } => Ok(()),
        }
    }
}

/// Queues an event where it belongs.
fn queue(constraint: &Constraint, can_wait: bool, event: Event, rt: &Runtime<'_>) {
    if can_wait && let Some(deferred) = deferred_queue(constraint, rt.context) {
        deferred.borrow_mut().events.push(event);
    } else {
        rt.state.events.borrow_mut().push_back(event);
    }
}

/// The transaction's queue, if it is there that the constraint's events go now.
fn deferred_queue<'a>(
    constraint: &Constraint,
    context: &'a ExecContext<'_>,
) -> Option<&'a RefCell<Deferred>> {
    if !constraint.deferrable {
        return None;
    }
    let deferred = context.eval.services.deferred()?;
    deferred.borrow().is_deferred(Timing::of(constraint)).then_some(deferred)
}

/// Puts a constraint trigger off, if it is to wait: whether it is.
pub fn defer_trigger(trigger: &Trigger, event: Event, rt: &Runtime<'_>) -> Result<bool> {
    let Some(deferred) = rt.context.eval.services.deferred() else { return Ok(false) };
    let mut deferred = deferred.borrow_mut();
    if !deferred.is_deferred(Timing::of_trigger(trigger)) {
        return Ok(false);
    }
    if let Event::Trigger { row: (old, new), .. } = &event {
        let rows = old.iter().chain(new);
        deferred.bytes += rows.map(|row| row.iter().map(Datum::bytes).sum::<usize>()).sum::<usize>();
        check_budget(deferred.bytes, rt, "rows for deferred triggers")?;
    }
    deferred.events.push(event);
    Ok(true)
}

/// When something that may be deferrable is checked, as it was defined.
#[derive(Clone, Copy)]
struct Timing {
    oid: Oid,
    deferrable: bool,
    initially_deferred: bool,
}

impl Timing {
    fn of(constraint: &Constraint) -> Timing {
        let Constraint { oid, deferrable, initially_deferred, .. } = *constraint;
        Timing { oid, deferrable, initially_deferred }
    }
    fn of_trigger(trigger: &Trigger) -> Timing {
        let Trigger { oid, deferrable, initially_deferred, .. } = *trigger;
        Timing { oid, deferrable, initially_deferred }
    }
    /// By the OID of a constraint, or of a constraint trigger.
    fn find(table: &Table, oid: Oid) -> Option<Timing> {
        let trigger = || table.triggers.iter().find(|trigger| trigger.oid == oid).map(Timing::of_trigger);
        table.constraint(oid).map(Timing::of).or_else(trigger)
    }
}

/// At the end of a statement: runs what it has queued, and what that queues.
pub fn finish(rt: &Runtime<'_>) -> Result<()> {
    loop {
        let Some(event) = rt.state.events.borrow_mut().pop_front() else { return Ok(()) };
        event.run(rt)?;
    }
}

/// Looks after one table's constraints while a statement changes its rows.
pub struct Watcher {
    table: Arc<Table>,
    referencing: Vec<foreign_key::Outgoing>,
    referenced: Vec<foreign_key::Incoming>,
    /// Positions in `Table::constraints` of deferrable unique constraints, and of exclusion constraints.
    unique: Vec<usize>,
}

impl Watcher {
    /// None: there is nothing to look after.
    pub fn new(
        table: &Arc<Table>,
        kind: ModifyKind,
        context: &ExecContext<'_>,
    ) -> Result<Option<Box<Watcher>>> {
        let catalog = context.catalog;
        // A replica takes foreign keys to be kept where the rows come from.
        let replica = trigger::is_replica(context);
        // A partition's rows are referenced through its ancestors as well.
        let ancestors = catalog.partition_ancestors(table);
        let above = ancestors.iter().flat_map(|ancestor| {
            catalog.references_to(ancestor.oid).iter().map(move |found| (Some(ancestor), *found))
        });
        let incoming = catalog.references_to(table.oid).iter().map(|found| (None, *found)).chain(above);
        let incoming: Vec<_> = incoming.filter(|_| !replica).collect();
        let concerns = |constraint: &Constraint| match constraint.kind {
            ConstraintKind::Check(_) => false,
            ConstraintKind::ForeignKey(_) => kind != ModifyKind::Delete && !replica,
            ConstraintKind::PrimaryKey(_) | ConstraintKind::Unique(_) => {
                constraint.deferrable && kind != ModifyKind::Delete
            }
            ConstraintKind::Exclusion(_) => kind != ModifyKind::Delete,
        };
        if incoming.is_empty() && !table.constraints.iter().any(concerns) {
            return Ok(None);
        }
        let mut watcher = Watcher {
            table: table.clone(),
            referencing: Vec::new(),
            referenced: Vec::new(),
            unique: Vec::new(),
        };
        for (position, constraint) in table.constraints.iter().enumerate().filter(|(_, c)| concerns(c)) {
            match constraint.foreign_key() {
                Some(key) => {
                    watcher.referencing.push(foreign_key::Outgoing::new(table, position, key, context)?);
                }
                None => watcher.unique.push(position),
            }
        }
        for (ancestor, (referencing, constraint)) in incoming {
            let Some(mut incoming) = foreign_key::Incoming::new(referencing, constraint, context) else {
                continue;
            };
            if let Some(ancestor) = ancestor {
                incoming.carry(&places(ancestor, table));
            }
            watcher.referenced.push(incoming);
        }
        Ok(Some(Box::new(watcher)))
    }

    /// A row is new at this key.
    pub fn inserted(&mut self, key: &[u8], row: &[Datum], rt: &Runtime<'_>) -> Result<()> {
        for outgoing in &mut self.referencing {
            let constraint = &self.table.constraints[outgoing.constraint];
            let is_fine =
                deferred_queue(constraint, rt.context).is_none() && outgoing.holds(row, rt.context)?;
            if !is_fine && outgoing.references(row) {
                let event =
                    Event::Referencing { table: self.table.oid, constraint: constraint.oid, key: key.into() };
                queue(constraint, true, event, rt);
            }
        }
        self.unique.iter().try_for_each(|&position| self.check_unique(position, key, row, rt))
    }

    fn check_unique(&self, position: usize, key: &[u8], row: &[Datum], rt: &Runtime<'_>) -> Result<()> {
        let constraint = &self.table.constraints[position];
        if let ConstraintKind::Exclusion(_) = constraint.kind {
            if !constraint.deferrable {
                return exclusion::check(&self.table, constraint, key, row, rt.context);
            }
            // A look that waits for nobody, even where the constraint is deferred: it takes no lock.
            if exclusion::holds(&self.table, constraint, key, row, rt.context)? {
                return Ok(());
            }
            let event = Event::Unique { table: self.table.oid, constraint: constraint.oid, key: key.into() };
            queue(constraint, true, event, rt);
            return Ok(());
        }
        let is_deferred = deferred_queue(constraint, rt.context).is_some();
        if !is_deferred && unique::holds(&self.table, constraint, key, row, rt.context)? {
            return Ok(());
        }
        let event = Event::Unique { table: self.table.oid, constraint: constraint.oid, key: key.into() };
        queue(constraint, true, event, rt);
        Ok(())
    }

    /// The row at `old_key` was changed, and is at `new_key` now.
    pub fn updated(
        &mut self,
        (old_key, old): (&[u8], &[Datum]),
        (new_key, new): (&[u8], &[Datum]),
        rt: &Runtime<'_>,
    ) -> Result<()> {
        let moved = old_key != new_key;
        for outgoing in &mut self.referencing {
            let constraint = &self.table.constraints[outgoing.constraint];
            let is_deferred = deferred_queue(constraint, rt.context).is_some();
            // An event for the row's old place would not find it.
            let concerned = outgoing.changes(old, new) || (moved && is_deferred);
            if !concerned {
                continue;
            }
            if (is_deferred || !outgoing.holds(new, rt.context)?) && outgoing.references(new) {
                let event = Event::Referencing {
                    table: self.table.oid,
                    constraint: constraint.oid,
                    key: new_key.into(),
                };
                queue(constraint, true, event, rt);
            }
        }
        for incoming in &self.referenced {
            if let Some((old, new)) = incoming.updated(old, new) {
                self.queue_referenced(incoming, old, Some(new), rt);
            }
        }
        for &position in &self.unique {
            let constraint = &self.table.constraints[position];
            let changes = match constraint.kind {
                ConstraintKind::Exclusion(_) => exclusion::changes,
                _ => unique::changes,
            };
            if moved || changes(&self.table, constraint, old, new, rt.context)? {
                self.check_unique(position, new_key, new, rt)?;
            }
        }
        Ok(())
    }

    /// A row goes to another partition: to those who reference the partitioned table, it is an update.
    pub fn moved(&self, old: &[Datum], new: &[Datum], rt: &Runtime<'_>) {
        for incoming in &self.referenced {
            if let Some((old, new)) = incoming.updated(old, new) {
                self.queue_referenced(incoming, old, Some(new), rt);
            }
        }
    }

    pub fn deleted(&mut self, old: &[Datum], rt: &Runtime<'_>) {
        for incoming in &self.referenced {
            if let Some(old) = incoming.deleted(old) {
                self.queue_referenced(incoming, old, None, rt);
            }
        }
    }

    fn queue_referenced(
        &self,
        incoming: &foreign_key::Incoming,
        old: Key,
        new: Option<Key>,
        rt: &Runtime<'_>,
    ) {
        let constraint = incoming.constraint();
        let can_wait = incoming.can_wait(new.is_some());
        let event =
            Event::Referenced { referencing: incoming.table.oid, constraint: constraint.oid, old, new };
        queue(constraint, can_wait, event, rt);
    }
}

/// What a transaction has put off, and its SET CONSTRAINTS.
#[derive(Default)]
pub struct Deferred {
    events: Vec<Event>,
    /// Of triggers' rows.
    bytes: usize,
    /// By position in `events`; may be shorter.
    done: Vec<bool>,
    /// Positions that were done, in that order: a savepoint remembers how many.
    done_log: Vec<usize>,
    modes: Modes,
}

#[derive(Clone, Default)]
struct Modes {
    all: Option<bool>,
    named: HashMap<Oid, bool>,
}

/// Where ROLLBACK TO returns to.
#[derive(Clone)]
pub struct DeferredMark {
    events: usize,
    done: usize,
    modes: Modes,
}

impl Deferred {
    fn is_deferred(&self, constraint: Timing) -> bool {
        let chosen = self.modes.named.get(&constraint.oid).copied().or(self.modes.all);
        constraint.deferrable && chosen.unwrap_or(constraint.initially_deferred)
    }
    pub fn has_events(&self) -> bool {
        self.done_log.len() < self.events.len()
    }
    /// Whether changes of this table wait to be checked.
    pub fn concerns(&self, table: Oid) -> bool {
        let waits = |at: usize| !self.done.get(at).copied().unwrap_or(false);
        self.events.iter().enumerate().any(|(at, event)| event.constraint().0 == table && waits(at))
    }
    pub fn mark(&self) -> DeferredMark {
        DeferredMark { events: self.events.len(), done: self.done_log.len(), modes: self.modes.clone() }
    }
    pub fn rollback_to(&mut self, mark: &DeferredMark) {
        for at in self.done_log.drain(mark.done.min(self.done_log.len())..) {
            self.done[at] = false;
        }
        self.events.truncate(mark.events);
        self.done.truncate(mark.events);
        self.modes = mark.modes.clone();
    }
    pub fn clear(&mut self) {
        if !self.events.is_empty() || self.modes.all.is_some() || !self.modes.named.is_empty() {
            *self = Deferred::default();
        }
    }
    /// SET CONSTRAINTS; `constraints` None: ALL.
    pub fn set(&mut self, constraints: Option<&[Oid]>, deferred: bool) {
        match constraints {
            None => self.modes = Modes { all: Some(deferred), named: HashMap::new() },
            Some(list) => self.modes.named.extend(list.iter().map(|&oid| (oid, deferred))),
        }
    }
}

/// Runs the events that wait, all of them at commit, else those whose constraint has become immediate.
pub fn run_deferred(deferred: &RefCell<Deferred>, at_commit: bool, context: &ExecContext<'_>) -> Result<()> {
    let state = RunState::default();
    let rt = Runtime { context, state: &state, plan: None };
    let mut at = 0;
    // Events may queue others, here too.
    loop {
        let event = {
            let mut deferred = deferred.borrow_mut();
            let Some(event) = deferred.events.get(at).cloned() else { return Ok(()) };
            let is_done = deferred.done.get(at).copied().unwrap_or(false);
            let waits = || {
                let (table, constraint) = event.constraint();
                let table = context.catalog.table(table);
                table
                    .as_ref()
                    .and_then(|table| Timing::find(table, constraint))
                    .is_some_and(|constraint| deferred.is_deferred(constraint))
            };
            let skip = is_done || (!at_commit && waits());
            at += 1;
            if skip {
                continue;
            }
            if deferred.done.len() < at {
                deferred.done.resize(at, false);
            }
            deferred.done[at - 1] = true;
            deferred.done_log.push(at - 1);
            event
        };
        event.run(&rt)?;
        finish(&rt)?;
        super::trigger::fire_after(&rt)?;
    }
}
