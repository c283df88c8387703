//! Cursors: DECLARE, FETCH, MOVE, CLOSE. A cursor is a named portal, so FETCH from SQL and Execute from the protocol share it.

use super::connection::Session;
use super::portal::{Portal, Run, Tag, counted, is_full};
use super::{Format, Output, Progress};
use crate::catalog::system::Cursor;
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, check_bytes};
use crate::parse::ast::{FetchDirection, Query, StatementKind};
use crate::types::{Datum, Type};
use serin_txn::WaitPolicy;
use std::sync::Arc;

/// Of a SCROLL cursor: the rows read so far and the position among them. Going back needs them, and an execution can't be reversed.
pub(super) struct Scroll {
    rows: Vec<Batch>,
    bytes: usize,
    /// Rows in `rows`.
    read: u64,
    /// 0: before the first row; n: on row n; `read` + 1 with `ended`: after the last.
    position: u64,
    ended: bool,
}

/// DECLARE.
pub(super) struct Declare<'a> {
    pub name: &'a str,
    pub query: &'a Query,
    pub binary: bool,
    pub scroll: bool,
    pub hold: bool,
}

impl Session {
    pub(super) fn declare(&mut self, declaration: Declare<'_>, portal: &Portal) -> Result<()> {
        let Declare { name, query, binary, scroll, hold } = declaration;
        if !hold {
            self.require_block("DECLARE CURSOR")?;
        }
        if self.portals.get(name).is_some() {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, message));
        }
        let statement = crate::parse::ast::Statement {
            kind: StatementKind::Query(Box::new(query.clone())),
            span: 0..0,
            parameters: 0,
        };
        let types = portal.parameter_types.iter().copied().map(Some).collect();
        let text = portal.prepared.text.clone();
        let prepared = super::statement::Prepared::new(text, Some(statement), types);
        let mut cursor = Portal::new(name, prepared, self.block.level());
        cursor.parameters = portal.parameters.clone();
        cursor.parameter_types = portal.parameter_types.clone();
        if binary {
            cursor.result_formats = vec![Format::Binary];
        }
        cursor.listed = Some(self.core.list_cursor(Cursor {
            name: name.to_string(),
            statement: portal.prepared.text.clone(),
            holdable: hold,
            binary,
            scrollable: scroll,
            created_at: super::engine::now(),
        }));
        let plan = self.ready_plan(&cursor.prepared)?;
        let reads_only = plan.read_only;
        self.run_plan(&mut cursor, plan, WaitPolicy::Block)?;
        // One that is held comes to keep its rows anyway.
        if scroll || hold {
            cursor.scroll = Some(Scroll { rows: Vec::new(), bytes: 0, read: 0, position: 0, ended: false });
        } else if reads_only {
            // Opens its scans, so that it reads the rows of now and not of the first FETCH.
            self.fill_pending(&mut cursor)?;
        }
        self.portals.put(Box::new(cursor));
        Ok(())
    }

    /// Reads what cursors WITH HOLD have yet to read: their transaction is about to commit.
    pub(super) fn fill_held_cursors(&mut self) -> Result<()> {
        for name in self.portals.to_hold() {
            let Some(mut cursor) = self.portals.take(&name) else { continue };
            self.read_to(&mut cursor, u64::MAX)?;
            cursor.run = Run::Done;
            cursor.level = 0;
            self.portals.put(cursor);
        }
        Ok(())
    }

    fn fill_pending(&mut self, cursor: &mut Portal) -> Result<()> {
        if cursor.pending.is_none() {
            cursor.pending = self.cursor_batch(cursor, 1)?;
        }
        Ok(())
    }

    /// The cursor's next rows, no more than are wanted now.
    fn cursor_batch(&self, cursor: &mut Portal, wanted: u64) -> Result<Option<(Batch, usize)>> {
        if let Some(pending) = cursor.pending.take() {
            return Ok(Some(pending));
        }
        let Run::Plan { execution, statement_time, .. } = &mut cursor.run else { return Ok(None) };
        let transaction = self.block.transaction.as_ref();
        let transaction = transaction.ok_or_else(|| Error::internal("a cursor outlived its transaction"))?;
        let mut context = self.context();
        context.statement_time = *statement_time;
        let catalog = self.core.catalog();
        let parameters: &[Datum] = &cursor.parameters;
        let context = ExecContext {
            transaction,
            eval: context.eval(),
            catalog: &catalog,
            parameters,
            work_mem_bytes: self.core.settings.borrow().typed().work_mem_bytes,
            core: Some(&self.core),
        };
        Ok(execution.next_rows(&context, super::portal::at_most(wanted))?.map(|batch| (batch, 0)))
    }

    pub(super) fn fetch(
        &mut self,
        cursor: &str,
        direction: FetchDirection,
        move_only: bool,
        portal: &mut Portal,
    ) -> Result<()> {
        let Some(target) = self.portals.get(cursor) else {
            return self.fetch_opened(cursor, direction, move_only, portal);
        };
        if matches!(target.run, Run::New) && target.prepared.planned().is_some() {
            // A portal that Bind made and no Execute has started.
            let mut target = self.portals.take(cursor).ok_or_else(|| no_cursor(cursor))?;
            let plan = self.ready_plan(&target.prepared)?;
            let started = self.run_plan(&mut target, plan, WaitPolicy::Block);
            self.portals.put(target);
            started?;
        }
        let Some(target) = self.portals.get(cursor) else { return Err(no_cursor(cursor)) };
        if !move_only {
            if target.listed.as_ref().is_some_and(|cursor| cursor.binary) {
                portal.result_formats = vec![Format::Binary];
            }
            let fields = target.result.fields.clone();
            portal.set_fields(fields.as_deref())?;
        }
        if target.scroll.is_some() {
            return self.fetch_scroll(cursor, direction, move_only, portal);
        }
        let remaining = match direction {
            FetchDirection::Forward(count) if count > 0 => Some(count),
            FetchDirection::Relative(count) if count > 0 => {
                // RELATIVE n: only the last of n rows is wanted.
                let skip = u64::try_from(count - 1).unwrap_or(0);
                self.skip(cursor, skip)?;
                Some(1)
            }
            FetchDirection::ForwardAll => None,
            FetchDirection::Absolute(count) if count > 0 => {
                let sent = target.sent;
                let wanted = u64::try_from(count).unwrap_or(0);
                if wanted <= sent {
                    return Err(forward_only());
                }
                self.skip(cursor, wanted - 1 - sent)?;
                Some(1)
            }
            FetchDirection::Backward(0) | FetchDirection::Forward(0) | FetchDirection::Relative(0) => {
                return Err(forward_only());
            }
            _ => return Err(forward_only()),
        };
        portal.run = Run::Fetch { cursor: cursor.to_string(), remaining, rows: 0, move_only };
        Ok(())
    }

    /// From a cursor that a function has opened.
    fn fetch_opened(
        &mut self,
        cursor: &str,
        direction: FetchDirection,
        move_only: bool,
        portal: &mut Portal,
    ) -> Result<()> {
        let mut cursors = self.core.cursors.borrow_mut();
        let shape = cursors.shape(cursor).ok_or_else(|| no_cursor(cursor))?;
        let rows = cursors.fetch(cursor, direction).ok_or_else(|| no_cursor(cursor))?;
        drop(cursors);
        let mut batches = Vec::new();
        for chunk in rows.chunks(BATCH_ROWS).filter(|_| !move_only) {
            let column = |(at, (_, data_type)): (usize, &(String, Type))| {
                Arc::new(Column::from_datums(data_type.repr(), chunk.iter().map(|row| &row[at])))
            };
            batches.push(Batch::new(shape.iter().enumerate().map(column).collect(), chunk.len()));
        }
        self.answer_fetch(batches, rows.len() as u64, move_only, portal)
    }

    /// The rows of FETCH that were looked up at once; or, of MOVE, how many there were.
    fn answer_fetch(
        &self,
        mut batches: Vec<Batch>,
        count: u64,
        move_only: bool,
        portal: &mut Portal,
    ) -> Result<()> {
        for batch in &mut batches {
            self.with_exec(|context| portal.result.name_objects(batch, context))?;
        }
        let command = if move_only { "MOVE" } else { "FETCH" };
        portal.run = Run::Rows { batches: batches.into(), tag: Tag::Owned(counted(command, count)) };
        Ok(())
    }

    fn skip(&mut self, cursor: &str, mut count: u64) -> Result<()> {
        let mut target = self.portals.take(cursor).ok_or_else(|| no_cursor(cursor))?;
        while count > 0 {
            let Some((batch, start)) = self.cursor_batch(&mut target, count)? else { break };
            let taken = count.min((batch.rows - start) as u64);
            count -= taken;
            target.sent += taken;
            if start + (taken as usize) < batch.rows {
                target.pending = Some((batch, start + taken as usize));
            }
        }
        self.portals.put(target);
        Ok(())
    }

    /// Forward from a plain cursor: rows pass through, none is kept.
    pub(super) fn advance_fetch(&mut self, portal: &mut Portal, out: &mut dyn Output) -> Result<Progress> {
        let Run::Fetch { cursor, mut remaining, mut rows, move_only } =
            std::mem::replace(&mut portal.run, Run::Done)
        else {
            return Err(Error::internal("not a FETCH"));
        };
        let render = self.core.render.borrow().clone();
        let mut target = self.portals.take(&cursor).ok_or_else(|| no_cursor(&cursor))?;
        let mut paused = false;
        while remaining != Some(0) && !paused {
            let Some((batch, start)) = self.cursor_batch(&mut target, remaining.unwrap_or(u64::MAX))? else {
                break;
            };
            let available = batch.rows - start;
            let count = remaining.map_or(available, |left| (left as usize).min(available));
            let rest = start + count < batch.rows;
            if !move_only {
                let mut slice = if start == 0 && !rest { batch.clone() } else { batch.slice(start, count) };
                self.with_exec(|context| portal.result.name_objects(&mut slice, context))?;
                portal.send(slice, 0, u64::MAX, &render, out)?;
            }
            if rest {
                target.pending = Some((batch, start + count));
            }
            target.sent += count as u64;
            rows += count as u64;
            remaining = remaining.map(|left| left - count as u64);
            paused = is_full(out);
        }
        self.portals.put(target);
        if paused && remaining != Some(0) {
            portal.run = Run::Fetch { cursor, remaining, rows, move_only };
            return Ok(Progress::Paused);
        }
        portal.announce(out);
        Ok(Progress::Complete(counted(if move_only { "MOVE" } else { "FETCH" }, rows)))
    }

    /// Any direction, from a SCROLL cursor.
    fn fetch_scroll(
        &mut self,
        cursor: &str,
        direction: FetchDirection,
        move_only: bool,
        portal: &mut Portal,
    ) -> Result<()> {
        let mut target = self.portals.take(cursor).ok_or_else(|| no_cursor(cursor))?;
        let result = self.scroll(&mut target, direction);
        self.portals.put(target);
        let rows = result?;
        let count: u64 = rows.iter().map(|batch| batch.rows as u64).sum();
        self.answer_fetch(if move_only { Vec::new() } else { rows }, count, move_only, portal)
    }

    fn scroll(&self, target: &mut Portal, direction: FetchDirection) -> Result<Vec<Batch>> {
        let position = target.scroll.as_ref().map_or(0, |scroll| scroll.position);
        let magnitude = |count: i64| count.unsigned_abs();
        match direction {
            FetchDirection::Forward(0) | FetchDirection::Backward(0) | FetchDirection::Relative(0) => {
                self.row_at(target, position)
            }
            FetchDirection::Forward(count) => self.forward(target, count),
            FetchDirection::ForwardAll => self.forward(target, u64::MAX),
            FetchDirection::Backward(count) => self.backward(target, count),
            FetchDirection::BackwardAll => self.backward(target, u64::MAX),
            FetchDirection::Relative(count) if count > 0 => {
                self.row_at(target, position.saturating_add(magnitude(count)))
            }
            FetchDirection::Relative(count) => self.row_at(target, position.saturating_sub(magnitude(count))),
            FetchDirection::Absolute(count) if count >= 0 => self.row_at(target, magnitude(count)),
            FetchDirection::Absolute(count) => {
                let rows = self.read_to(target, u64::MAX)?;
                self.row_at(target, (rows + 1).saturating_sub(magnitude(count)))
            }
        }
    }

    /// Reads until `wanted` rows are kept, or all; how many are.
    fn read_to(&self, target: &mut Portal, wanted: u64) -> Result<u64> {
        loop {
            let scroll = target.scroll.as_ref().ok_or_else(forward_only)?;
            if scroll.ended || scroll.read >= wanted {
                return Ok(scroll.read);
            }
            let next = self.cursor_batch(target, wanted - scroll.read)?;
            let scroll = target.scroll.as_mut().ok_or_else(forward_only)?;
            match next {
                Some((batch, start)) => {
                    let batch = if start == 0 { batch } else { batch.slice(start, batch.rows - start) };
                    scroll.read += batch.rows as u64;
                    scroll.bytes += batch.bytes();
                    scroll.rows.push(batch);
                    let work_mem_bytes = self.core.settings.borrow().typed().work_mem_bytes;
                    check_bytes(scroll.bytes, work_mem_bytes, "cursor's rows")?;
                }
                None => scroll.ended = true,
            }
        }
    }

    /// Moves to a row (from 1), which it answers; beyond either end there is none.
    fn row_at(&self, target: &mut Portal, position: u64) -> Result<Vec<Batch>> {
        let read = self.read_to(target, position)?;
        let scroll = target.scroll.as_mut().ok_or_else(forward_only)?;
        scroll.position = position.min(read + 1);
        if position == 0 || position > read {
            return Ok(Vec::new());
        }
        Ok(vec![scroll.row(position - 1)])
    }

    fn forward(&self, target: &mut Portal, count: u64) -> Result<Vec<Batch>> {
        let from = target.scroll.as_ref().map_or(0, |scroll| scroll.position);
        let read = self.read_to(target, from.saturating_add(count))?;
        let scroll = target.scroll.as_mut().ok_or_else(forward_only)?;
        let end = from.saturating_add(count).min(read);
        // Asked for more than there are: it ends up after the last row.
        scroll.position = if from.saturating_add(count) > read { read + 1 } else { end };
        Ok((from..end).map(|row| scroll.row(row)).collect())
    }

    fn backward(&self, target: &mut Portal, count: u64) -> Result<Vec<Batch>> {
        let scroll = target.scroll.as_mut().ok_or_else(forward_only)?;
        let before = scroll.position.saturating_sub(1);
        let start = before.saturating_sub(count);
        scroll.position = if count > before { 0 } else { start + 1 };
        Ok((start..before).rev().map(|row| scroll.row(row)).collect())
    }
}

impl Scroll {
    /// Row `index` from 0, as a batch of one.
    fn row(&self, mut index: u64) -> Batch {
        for batch in &self.rows {
            if index < batch.rows as u64 {
                return batch.slice(index as usize, 1);
            }
            index -= batch.rows as u64;
        }
        Batch::default()
    }
}

pub(super) fn no_cursor(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

fn forward_only() -> Error {
    let message = "cursor can only scan forward";
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("Declare it with SCROLL option to enable backward scan.")
}
