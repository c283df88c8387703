//! Transition tables: `REFERENCING OLD TABLE AS o NEW TABLE AS n` of an AFTER trigger.
//!
//! While a statement changes rows, those that such a trigger is to see are kept ([`Captured`], one list for each table and event, in the
//! [`RunState`](super::runtime::RunState)). What is kept has the columns of the table that the statement names, whichever partition
//! or child a row is in; a row that moves to another partition counts as updated. At the statement's end the lists become tables
//! ([`Transitions`]) that the trigger function's statements find by name, after common table expressions and before relations; the
//! functions it calls don't see them.
//!
//! A reference is bound as a work table (the operator that reads a recursive query's last round): its rows are put there when the
//! plan starts, so that plans can be kept. They hold for one trigger ([`Transitions::trigger`]), since another's names mean other tables.
//!
//! PostgreSQL: `MakeTransitionCaptureState`, `SPI_register_trigger_data`.

use super::basic::{check_budget, datums_to_batch};
use super::runtime::Runtime;
use super::trigger::{Event, is_replica};
use crate::catalog::{Table, Trigger};
use crate::column::{BATCH_ROWS, Batch};
use crate::error::Result;
use crate::parse::routine_ast::TriggerTiming;
use crate::types::{Datum, Oid, Type};
use std::sync::Arc;

/// The rows that a statement has changed in one way.
pub struct Captured {
    table: Arc<Table>,
    event: Event,
    old: Vec<Vec<Datum>>,
    new: Vec<Vec<Datum>>,
    bytes: usize,
}

/// Keeps the rows that a changer reports.
#[derive(Clone, Copy)]
pub struct Capture {
    /// In `RunState::captured`.
    at: usize,
    old: bool,
    new: bool,
}

impl Capture {
    /// For the table that a statement names: None if no trigger wants its rows.
    pub fn of_named(table: &Arc<Table>, event: Event, rt: &Runtime<'_>) -> Option<Capture> {
        let replica = is_replica(rt.context);
        let wants = |trigger: &&Trigger| {
            trigger.fires(replica)
                && trigger.timing == TriggerTiming::After
                && event.of(trigger)
                && (trigger.old_table.is_some() || trigger.new_table.is_some())
        };
        let mut triggers = table.triggers.iter().filter(wants).peekable();
        triggers.peek()?;
        let mut captured = rt.state.captured.borrow_mut();
        if !captured.iter().any(|known| known.is(table.oid, event)) {
            captured.push(Captured {
                table: table.clone(),
                event,
                old: Vec::new(),
                new: Vec::new(),
                bytes: 0,
            });
        }
        drop(captured);
        Capture::of(table.oid, event, rt)
    }

    /// For a table that is changed through the one that a statement names.
    pub fn of(named: Oid, event: Event, rt: &Runtime<'_>) -> Option<Capture> {
        let captured = rt.state.captured.borrow();
        let at = captured.iter().position(|known| known.is(named, event))?;
        let replica = is_replica(rt.context);
        let triggers = captured[at].table.triggers.iter().filter(|trigger| trigger.fires(replica));
        let (mut old, mut new) = (false, false);
        for trigger in triggers.filter(|trigger| event.of(trigger)) {
            old |= trigger.old_table.is_some();
            new |= trigger.new_table.is_some();
        }
        Some(Capture { at, old, new })
    }

    /// A changed row, with the columns of the table that the statement names.
    pub fn row(self, old: Option<Vec<Datum>>, new: Option<Vec<Datum>>, rt: &Runtime<'_>) -> Result<()> {
        let mut captured = rt.state.captured.borrow_mut();
        let Some(captured) = captured.get_mut(self.at) else { return Ok(()) };
        let rows = [(old.filter(|_| self.old), true), (new.filter(|_| self.new), false)];
        for (row, is_old) in rows {
            let Some(row) = row else { continue };
            captured.bytes += row.iter().map(Datum::bytes).sum::<usize>();
            if is_old { captured.old.push(row) } else { captured.new.push(row) }
        }
        check_budget(captured.bytes, rt, "rows for transition tables")
    }
}

impl Captured {
    fn is(&self, table: Oid, event: Event) -> bool {
        self.table.oid == table && self.event == event
    }
}

/// The lists of a statement that has ended.
pub struct Ended(Vec<(Oid, Event, Rows, Rows)>);

type Rows = Arc<Vec<Batch>>;

impl Ended {
    pub fn of(captured: Vec<Captured>) -> Ended {
        Ended(
            captured
                .into_iter()
                .map(|list| {
                    let batches = |rows: &[Vec<Datum>]| Arc::new(batches(&list.table, rows));
                    (list.table.oid, list.event, batches(&list.old), batches(&list.new))
                })
                .collect(),
        )
    }

    /// The tables that a trigger's function sees; None: it has asked for none.
    pub fn tables_of(&self, trigger: &Trigger, table: &Arc<Table>, event: Event) -> Option<Arc<Transitions>> {
        let (.., old, new) = self.0.iter().find(|(of, on, ..)| *of == table.oid && *on == event)?;
        let named = |name: &Option<String>, rows: &Rows| Some((name.clone()?, rows.clone()));
        // An INSERT has no old rows, and yet the table that is named for them: it is empty.
        let tables: Vec<_> =
            named(&trigger.old_table, old).into_iter().chain(named(&trigger.new_table, new)).collect();
        (!tables.is_empty())
            .then(|| Arc::new(Transitions { trigger: trigger.oid, table: table.clone(), tables }))
    }
}

fn batches(table: &Table, rows: &[Vec<Datum>]) -> Vec<Batch> {
    let live: Vec<usize> = (0..table.columns.len()).filter(|at| !table.columns[*at].dropped).collect();
    let types: Vec<Type> = live.iter().map(|at| table.columns[*at].data_type()).collect();
    rows.chunks(BATCH_ROWS)
        .map(|rows| {
            let rows: Vec<Vec<Datum>> =
                rows.iter().map(|row| live.iter().map(|at| row[*at].clone()).collect()).collect();
            datums_to_batch(&rows, &types)
        })
        .collect()
}

/// What the names of transition tables mean to a trigger function that runs.
pub struct Transitions {
    pub trigger: Oid,
    pub table: Arc<Table>,
    tables: Vec<(String, Rows)>,
}

impl Transitions {
    pub fn rows(&self, name: &str) -> Option<Arc<Vec<Batch>>> {
        self.tables.iter().find(|(known, _)| known == name).map(|(_, rows)| rows.clone())
    }
}
