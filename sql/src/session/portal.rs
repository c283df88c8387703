//! Portals: statements being run.

use super::shape::Instance;
use super::statement::Prepared;
use super::{Field, Format, OUTPUT_BYTES_MAX, Output};
use crate::catalog::system::Cursor;
use crate::column::{Batch, Column};
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution};
use crate::functions::format_in_context;
use crate::plan::{Plan, PlanKind};
use crate::types::{Datum, RenderSettings, Repr, Type};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub(super) struct Portal {
    pub name: String,
    pub prepared: Arc<Prepared>,
    /// Set: `prepared` is the shape of this text.
    pub instance: Option<Instance>,
    pub parameters: Vec<Datum>,
    pub parameter_types: Vec<Type>,
    /// As the client gave them: none (all text), one for all, or one a column.
    pub result_formats: Vec<Format>,
    pub result: ResultShape,
    pub run: Run,
    /// Of the simple protocol: announces its columns itself.
    pub simple: bool,
    /// Its statement has begun, whatever `run` says: it may have to begin anew after waiting for the serial token.
    pub has_begun: bool,
    /// Nothing else can come in its implicit transaction: commit before the answer.
    pub last: bool,
    /// Rows handed out.
    pub sent: u64,
    /// Of these, rows that earlier Executes handed out: the tag counts only those of the last.
    pub sent_before: u64,
    /// A batch of which only the first rows were wanted so far.
    pub pending: Option<(Batch, usize)>,
    /// Savepoints around it when it was made.
    pub level: usize,
    /// What pg_cursors shows of it; the unnamed portal is not there.
    pub listed: Option<Arc<Cursor>>,
    /// WITH HOLD, and the transaction that made it committed: all its rows are in `scroll`.
    pub is_held: bool,
    /// SCROLL: rows handed out are kept for going back.
    pub scroll: Option<super::cursor::Scroll>,
}

/// The result's columns, once they are known.
#[derive(Default)]
pub(super) struct ResultShape {
    pub fields: Option<Arc<[Field]>>,
    /// One a column.
    pub formats: Vec<Format>,
    announced: bool,
}

impl ResultShape {
    pub fn name_objects(&self, batch: &mut Batch, context: &ExecContext<'_>) -> Result<()> {
        let Some(fields) = &self.fields else { return Ok(()) };
        let as_text = |at: usize| self.formats.get(at).is_none_or(|format| *format == Format::Text);
        let types = fields.iter().enumerate().filter(|(at, _)| as_text(*at));
        name_objects(batch, types.map(|(at, field)| (at, field.data_type)), context)
    }
}

/// A regclass and its kin are shown by name, which the catalog knows and the encoders of columns do not: they become texts here.
pub(super) fn name_objects(
    batch: &mut Batch,
    types: impl Iterator<Item = (usize, Type)>,
    context: &ExecContext<'_>,
) -> Result<()> {
    for (at, data_type) in types {
        let named = matches!(
            data_type,
            Type::REGCLASS | Type::REGNAMESPACE | Type::REGROLE | Type::REGPROC | Type::REGPROCEDURE
        );
        if !named {
            continue;
        }
        let mut texts = Vec::with_capacity(batch.rows);
        for row in 0..batch.rows {
            let value = batch.columns[at].get(row);
            texts.push(match value.is_null() {
                true => Datum::Null,
                false => Datum::text(format_in_context(&value, data_type, &context.eval)?),
            });
        }
        batch.columns[at] = Arc::new(Column::from_datums(Repr::Text, &texts));
    }
    Ok(())
}

#[expect(clippy::large_enum_variant, reason = "one for each portal, mostly the large one")]
pub(super) enum Run {
    New,
    Plan {
        execution: Execution,
        plan: Arc<Plan>,
        statement_time: i64,
    },
    /// Rows that a utility statement made, with its tag.
    Rows {
        batches: VecDeque<Batch>,
        tag: Tag,
    },
    Fetch {
        cursor: String,
        remaining: Option<u64>,
        rows: u64,
        move_only: bool,
    },
    CopyIn(Box<super::copy::CopyIn>),
    CopyOut(Box<super::copy::CopyOut>),
    Done,
}

/// A command tag.
#[derive(Clone, Debug)]
pub(super) enum Tag {
    Fixed(&'static str),
    Owned(String),
}

impl Tag {
    pub fn text(self) -> String {
        match self {
            Tag::Fixed(tag) => tag.to_string(),
            Tag::Owned(tag) => tag,
        }
    }
}

/// `SELECT 5`, without the formatting machinery: it is made for every statement.
pub(super) fn counted(command: &str, rows: u64) -> String {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = rows;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut tag = String::with_capacity(command.len() + 1 + digits.len() - at);
    tag.push_str(command);
    tag.push(' ');
    tag.extend(digits[at..].iter().map(|&digit| char::from(digit)));
    tag
}

impl Portal {
    pub fn new(name: &str, prepared: Arc<Prepared>, level: usize) -> Portal {
        Portal {
            name: name.to_string(),
            prepared,
            instance: None,
            parameters: Vec::new(),
            parameter_types: Vec::new(),
            result_formats: Vec::new(),
            result: ResultShape::default(),
            run: Run::New,
            simple: false,
            has_begun: false,
            last: false,
            sent: 0,
            sent_before: 0,
            pending: None,
            level,
            listed: None,
            is_held: false,
            scroll: None,
        }
    }

    /// The statement as the client wrote it.
    pub fn text(&self) -> &Arc<str> {
        self.instance.as_ref().map_or(&self.prepared.text, |instance| &instance.text)
    }

    /// Whether it is the only statement of its message, as far as is known.
    pub fn is_alone(&self) -> bool {
        !self.simple || self.last
    }
    pub fn is_holdable(&self) -> bool {
        self.listed.as_ref().is_some_and(|cursor| cursor.holdable)
    }

    /// Fixes the result's columns and their formats.
    pub fn set_fields(&mut self, fields: Option<&[Field]>) -> Result<()> {
        let Some(fields) = fields else {
            self.result.fields = None;
            return Ok(());
        };
        self.result.formats.clear();
        match self.result_formats[..] {
            [] => self.result.formats.resize(fields.len(), Format::Text),
            [format] => self.result.formats.resize(fields.len(), format),
            ref formats if formats.len() == fields.len() => self.result.formats.extend_from_slice(formats),
            ref formats => {
                let message = format!(
                    "bind message has {} result formats but query has {} columns",
                    formats.len(),
                    fields.len()
                );
                return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
            }
        }
        if self.result.fields.as_deref().is_none_or(|known| !std::ptr::eq(known, fields)) {
            self.result.fields = Some(fields.into());
        }
        Ok(())
    }

    pub fn announce(&mut self, out: &mut dyn Output) {
        if self.simple
            && !self.result.announced
            && let Some(fields) = &self.result.fields
        {
            out.row_description(fields);
        }
        self.result.announced = true;
    }

    /// Back to its beginning, to be run again. Only while nothing was sent.
    pub fn restart(&mut self) {
        self.run = Run::New;
        self.has_begun = false;
        self.pending = None;
    }

    /// Sends (part of) a batch; keeps what exceeds `wanted`. The number of rows sent.
    pub fn send(
        &mut self,
        batch: Batch,
        start: usize,
        wanted: u64,
        render: &RenderSettings,
        out: &mut dyn Output,
    ) -> Result<u64> {
        self.announce(out);
        let available = batch.rows - start;
        let count = usize::try_from(wanted).unwrap_or(usize::MAX).min(available);
        let fields = self.result.fields.as_deref().unwrap_or(&[]);
        if start == 0 && count == available {
            out.rows(&batch, fields, &self.result.formats, render)?;
        } else {
            out.rows(&batch.slice(start, count), fields, &self.result.formats, render)?;
            if count < available {
                self.pending = Some((batch, start + count));
            }
        }
        self.sent += count as u64;
        Ok(count as u64)
    }

    /// The next batch of a planned statement, or what is left of the last.
    /// No more rows are computed than are wanted now: functions with effects (`nextval`) run for what is fetched.
    pub fn next_batch(&mut self, context: &ExecContext<'_>, wanted: u64) -> Result<Option<(Batch, usize)>> {
        if let Some(pending) = self.pending.take() {
            return Ok(Some(pending));
        }
        match &mut self.run {
            Run::Plan { execution, .. } => match execution.next_rows(context, at_most(wanted))? {
                Some(mut batch) => {
                    self.result.name_objects(&mut batch, context)?;
                    Ok(Some((batch, 0)))
                }
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    pub fn plan_tag(&self) -> String {
        let Run::Plan { execution, plan, .. } = &self.run else {
            return counted("SELECT", self.sent - self.sent_before);
        };
        match plan.kind {
            PlanKind::Select => counted("SELECT", self.sent - self.sent_before),
            PlanKind::Insert => counted("INSERT 0", execution.rows_affected()),
            PlanKind::Update => counted("UPDATE", execution.rows_affected()),
            PlanKind::Delete => counted("DELETE", execution.rows_affected()),
            PlanKind::Merge => counted("MERGE", execution.rows_affected()),
        }
    }
}

/// As a number of rows of one batch.
pub(super) fn at_most(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX).min(crate::column::BATCH_ROWS)
}

pub(super) fn is_full(out: &dyn Output) -> bool {
    out.buffered_bytes() > OUTPUT_BYTES_MAX
}

/// A session's portals. The unnamed one has a place of its own: it is all that most clients use.
#[derive(Default)]
pub(super) struct Portals {
    unnamed: Option<Box<Portal>>,
    named: HashMap<String, Box<Portal>>,
}

impl Portals {
    pub fn get(&self, name: &str) -> Option<&Portal> {
        if name.is_empty() { self.unnamed.as_deref() } else { self.named.get(name).map(|portal| &**portal) }
    }
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Portal> {
        if name.is_empty() {
            self.unnamed.as_deref_mut()
        } else {
            self.named.get_mut(name).map(|portal| &mut **portal)
        }
    }
    pub fn take(&mut self, name: &str) -> Option<Box<Portal>> {
        if name.is_empty() { self.unnamed.take() } else { self.named.remove(name) }
    }
    pub fn put(&mut self, portal: Box<Portal>) {
        if portal.name.is_empty() {
            self.unnamed = Some(portal);
        } else {
            self.named.insert(portal.name.clone(), portal);
        }
    }
    pub fn close_all(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }
    /// No portal outlives its transaction, but cursors WITH HOLD that it commits.
    pub fn end_transaction(&mut self, committed: bool) {
        self.unnamed = None;
        self.named.retain(|_, portal| {
            portal.is_held |= committed && portal.is_holdable();
            portal.is_held
        });
    }
    /// Names of the cursors that are to outlive their transaction.
    pub fn to_hold(&self) -> Vec<String> {
        let new = |portal: &&Portal| portal.is_holdable() && !portal.is_held;
        self.named.values().map(|portal| &**portal).filter(new).map(|portal| portal.name.clone()).collect()
    }
    /// ROLLBACK TO the savepoint at this position: what was made after it goes.
    pub fn drop_above(&mut self, level: usize) {
        self.named.retain(|_, portal| portal.level <= level);
        if self.unnamed.as_ref().is_some_and(|portal| portal.level > level) {
            self.unnamed = None;
        }
    }
    /// RELEASE: portals now belong to the enclosing level.
    pub fn release_above(&mut self, level: usize) {
        for portal in self.named.values_mut().chain(&mut self.unnamed) {
            portal.level = portal.level.min(level);
        }
    }
}
