//! Changes of a view's rows that its INSTEAD OF triggers carry out, and CHECK OPTION.
//!
//! The trigger gets the view's row as the query found it, and the row as the statement would have it; what it does with them is its own
//! affair. Nothing is locked or written here. A trigger that answers null has done nothing: the row is not counted, nor returned.
//!
//! PostgreSQL: `ExecIRInsertTriggers` and its kin, `ExecWithCheckOptions`.

use super::eval::{row_passes, row_value};
use super::merge::event_of;
use super::modify::new_row;
use super::runtime::Runtime;
use super::trigger::{After, Event, Triggers};
use crate::error::{Error, Result, SqlState};
use crate::plan::logical::{ModifyKind, ViewCheck};
use crate::plan::node;
use crate::types::Datum;
use std::sync::Arc;

pub struct Instead {
    modify: Arc<node::Modify>,
    event: Event,
    /// None: they are all disabled.
    triggers: Option<Triggers>,
    after: Option<After>,
}

impl Instead {
    pub fn new(modify: &Arc<node::Modify>, rt: &Runtime<'_>) -> Result<Instead> {
        let assigned = modify.assignments.iter().map(|(at, _)| *at).collect();
        let triggers = Triggers::of(&modify.table, assigned, rt)?;
        let event = event_of(modify.kind);
        if let Some(triggers) = &triggers {
            triggers.before_statement(event, rt)?;
        }
        let after = triggers.as_ref().map(|triggers| triggers.after(event));
        Ok(Instead { modify: modify.clone(), event, triggers, after })
    }

    /// The row as the triggers left it (DELETE: as it was); None: they have left it out.
    pub fn row(
        &mut self,
        columns: &[usize],
        input: &[Datum],
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let modify = self.modify.clone();
        let old: Option<Vec<Datum>> = match modify.kind {
            ModifyKind::Insert => None,
            _ => Some(columns.iter().map(|at| input[*at].clone()).collect()),
        };
        let new = match (modify.kind, &old) {
            (ModifyKind::Insert, _) => Some(new_row(&modify, input, rt)?),
            (ModifyKind::Update, Some(old)) => {
                let mut new = old.clone();
                for (at, expr) in &modify.assignments {
                    new[*at] = row_value(expr, input, rt)?;
                }
                Some(new)
            }
            _ => None,
        };
        let new = match &self.triggers {
            None => new,
            Some(triggers) => match triggers.instead_of_row(self.event, old.as_deref(), new, rt)? {
                None => return Ok(None),
                Some(new) => new,
            },
        };
        if let Some(new) = &new {
            let mut over = new.clone();
            over.push(Datum::Oid(modify.table.oid));
            if let Some(error) = failed_check(&modify.checks, &over, rt)? {
                return Err(crate::table::writer::with_row(&modify.table, error, new, None, rt.context));
            }
        }
        Ok(new.or(old))
    }

    pub fn returned(&self, mut row: Vec<Datum>, input: &[Datum], rt: &Runtime<'_>) -> Result<Vec<Datum>> {
        let Some(returning) = &self.modify.returning else { return Ok(Vec::new()) };
        row.push(Datum::Oid(self.modify.table.oid));
        row.extend_from_slice(input);
        returning.iter().map(|expr| row_value(expr, &row, rt)).collect()
    }

    pub fn end(&mut self, rt: &Runtime<'_>) {
        rt.state.after.borrow_mut().extend(self.after.take());
    }
}

/// 44000 if a new row (its columns and its table's OID) isn't one that a view shows. Unlike a CHECK constraint, null is not enough.
pub fn failed_check(checks: &[ViewCheck], row: &[Datum], rt: &Runtime<'_>) -> Result<Option<Error>> {
    for check in checks {
        if !row_passes(&check.conditions, row, rt)? {
            let message = format!("new row violates check option for view \"{}\"", check.view);
            return Ok(Some(Error::new(SqlState::WITH_CHECK_OPTION_VIOLATION, message)));
        }
    }
    Ok(None)
}
