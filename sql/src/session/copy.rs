//! COPY: between a client's (or a superuser's file's) lines and a table or query.
//!
//! COPY FROM streams: a piece of input is split into records, each record becomes a row, each row is written at once. The
//! rows at the start are held back until it is known whether they are many: many rows for a table that this transaction created or
//! truncated go through a bulk load (`table/loader.rs`).

use super::block::State;
use super::connection::Session;
use super::portal::{Portal, Run, counted, is_full};
use super::statement::Prepared;
use super::{Output, Progress};
use crate::catalog::{Privileges, Table, acl};
use crate::copy::{CopyFormat, CopyOptions, CopyReader, CopyWriter, Row};
use crate::encoding::Encoding;
use crate::error::{Error, Result, SqlState};
use crate::exec::constraint::{self, Watcher};
use crate::exec::eval::eval_row;
use crate::exec::foreign_key::{self, Effect};
use crate::exec::runtime::{RunState, Runtime};
use crate::exec::targets::Inserter;
use crate::exec::{ExecContext, Execution};
use crate::expr::Expr;
use crate::functions::parse_in_context;
use crate::parse::ast::{self, CopySource, CopyTarget};
use crate::plan::logical::ModifyKind;
use crate::plan::permissions::{RelationUse, check_relation};
use crate::plan::{Plan, PlanContext};
use crate::table::loader::TableLoader;
use crate::table::runs::RunLoader;
use crate::table::{Arbiter, InsertOutcome, TableWriter};
use crate::types::{Datum, Oid, Type, apply_modifier, read_binary};
use serin_txn::{RelationLockMode, WaitPolicy};
use std::io::{Read, Write};
use std::sync::Arc;

/// Rows held back before it is decided how to write them.
const HELD_ROWS: usize = 1000;
/// Rows between two looks at the interrupt flag.
const INTERRUPT_ROWS: u64 = 1024;
const FILE_CHUNK: usize = 64 * 1024;

pub(super) struct CopyIn {
    reader: CopyReader,
    loading: Loading,
    encoding: Encoding,
    /// The beginning of a character that the last chunk did not end.
    partial: Vec<u8>,
}

/// What becomes of the rows read.
struct Loading {
    binary: bool,
    /// Where each field goes: position in `Table::columns`.
    columns: Vec<usize>,
    row: RowMaker,
    sink: Sink,
    /// The row being made; kept for its allocation.
    values: Vec<Datum>,
    count: u64,
}

/// Makes rows of a table from some of its columns.
struct RowMaker {
    table: Arc<Table>,
    defaults: Vec<(usize, Missing)>,
    filter: Option<Expr>,
}

/// What a column that the input does not have is filled with.
enum Missing {
    Expr(Expr),
    Sequence(Oid, Type),
}

/// Writes rows, in bulk where that is possible and worth it.
struct Sink {
    table: Arc<Table>,
    writer: TableWriter,
    /// With the lines that they came in.
    held: Vec<(Vec<Datum>, u64)>,
    decided: bool,
    loader: Option<TableLoader>,
    runs: Option<RunLoader>,
    sort_bytes: usize,
    /// Of constraints that reach beyond the row, and what they have put off to the end.
    watcher: Option<Box<Watcher>>,
    /// Set: the rows go to partitions, or past triggers.
    inserter: Option<Box<Inserter>>,
    state: RunState,
}

impl Sink {
    fn write(&mut self, row: &[Datum], line: u64, context: &ExecContext<'_>) -> Result<()> {
        if self.decided || self.inserter.is_some() {
            return self.write_now(row, line, context);
        }
        self.held.push((row.to_vec(), line));
        if self.held.len() < HELD_ROWS {
            return Ok(());
        }
        if self.watcher.is_none() {
            self.loader = TableLoader::new(&self.table, self.sort_bytes, context)?;
            if self.loader.is_none() {
                self.runs = RunLoader::new(&self.table, self.sort_bytes, context)?;
            }
        }
        self.release(context)
    }
    fn release(&mut self, context: &ExecContext<'_>) -> Result<()> {
        self.decided = true;
        for (row, line) in std::mem::take(&mut self.held) {
            self.write_now(&row, line, context)?;
        }
        Ok(())
    }
    fn write_now(&mut self, row: &[Datum], line: u64, context: &ExecContext<'_>) -> Result<()> {
        if let Some(inserter) = &mut self.inserter {
            let rt = Runtime { context, state: &self.state, plan: None };
            return inserter.insert(row.to_vec(), &rt).map(drop);
        }
        if let Some(runs) = &mut self.runs {
            return runs.append(row, line, context);
        }
        match &mut self.loader {
            Some(loader) => loader.append(row, context),
            None => {
                let outcome = self.writer.insert(row, &Arbiter::None, context)?;
                if let (Some(watcher), InsertOutcome::Inserted(key)) = (&mut self.watcher, outcome) {
                    watcher.inserted(&key, row, &Runtime { context, state: &self.state, plan: None })?;
                }
                Ok(())
            }
        }
    }
    fn finish(&mut self, context: &ExecContext<'_>) -> Result<()> {
        if let Some(mut inserter) = self.inserter.take() {
            return inserter.finish(&Runtime { context, state: &self.state, plan: None });
        }
        self.release(context)?;
        self.loader.take().map_or(Ok(()), |loader| loader.finish(context))?;
        self.runs.take().map_or(Ok(()), |runs| runs.finish(context))?;
        constraint::finish(&Runtime { context, state: &self.state, plan: None })
    }
}

impl CopyIn {
    fn feed(&mut self, data: &[u8], context: &ExecContext<'_>) -> Result<()> {
        let CopyIn { reader, loading, encoding, partial } = self;
        if encoding.is_native() {
            return reader.feed(data, &mut |row| loading.take(row, context));
        }
        partial.extend_from_slice(data);
        let rest = partial.split_off(encoding.whole(partial));
        let text = encoding.decode(partial).map_err(|error| error.context(reader.place()))?;
        reader.feed(text.as_bytes(), &mut |row| loading.take(row, context))?;
        *partial = rest;
        Ok(())
    }

    /// The input's end; answers the rows' number.
    fn finish(&mut self, context: &ExecContext<'_>) -> Result<u64> {
        let CopyIn { reader, loading, encoding, partial } = self;
        if !partial.is_empty() {
            // The input ends within a character, which decoding says.
            encoding.decode(partial).map_err(|error| error.context(reader.place()))?;
        }
        reader.finish(&mut |row| loading.take(row, context))?;
        loading.sink.finish(context).map_err(|error| match error.fields().context {
            Some(_) => error,
            None => error.context(format!("COPY {}, line {}", loading.row.table.name, reader.lines())),
        })?;
        Ok(loading.count)
    }
}

impl Loading {
    fn take(&mut self, input: &Row<'_>, context: &ExecContext<'_>) -> Result<()> {
        let mut values = std::mem::take(&mut self.values);
        let result = self.take_into(&mut values, input, context);
        self.values = values;
        result
    }

    fn take_into(&mut self, row: &mut Vec<Datum>, input: &Row<'_>, context: &ExecContext<'_>) -> Result<()> {
        let definitions = &self.row.table.columns;
        row.clear();
        row.resize(definitions.len(), Datum::Null);
        for (field, &column) in self.columns.iter().enumerate() {
            let definition = &definitions[column];
            let (data_type, modifier) = (definition.data_type(), definition.modifier);
            let value = if self.binary {
                let Some(bytes) = input.get(field) else {
                    crate::functions::domain::verify(&Datum::Null, data_type, &context.eval)?;
                    continue;
                };
                read_binary(bytes, data_type)
                    .and_then(|value| apply_modifier(value, data_type, modifier, false))
            } else {
                let Some(text) = input.text(field)? else {
                    crate::functions::domain::verify(&Datum::Null, data_type, &context.eval)?;
                    continue;
                };
                parse_in_context(text, data_type, modifier, &context.eval)
            };
            let value = value.and_then(|value| {
                crate::functions::domain::verify(&value, data_type, &context.eval)?;
                Ok(value)
            });
            row[column] = value.map_err(|error| input.column_context(error, field))?;
        }
        for (column, default) in &self.row.defaults {
            row[*column] = match default {
                Missing::Expr(expr) => eval_row(expr, &[], context)?,
                Missing::Sequence(sequence, data_type) => {
                    let value = Datum::Int8(context.eval.services.next_identity(*sequence)?);
                    let eval = &context.eval;
                    crate::functions::cast_datum(value, Type::INT8, *data_type, -1, false, eval)?
                }
            };
        }
        self.sink.writer.fill_generated(row, context)?;
        if let Some(filter) = &self.row.filter
            && !matches!(eval_row(filter, row, context)?, Datum::Bool(true))
        {
            return Ok(());
        }
        if self.sink.inserter.is_none() {
            self.sink.writer.check(row, context)?;
        }
        self.sink.write(row, input.line, context)?;
        self.count += 1;
        if self.count.is_multiple_of(INTERRUPT_ROWS) {
            context.eval.services.check_interrupt()?;
        }
        Ok(())
    }
}

/// COPY TO a file writes this much at once.
const FILE_BUFFER_BYTES: usize = 64 * 1024;

pub(super) struct CopyOut {
    encoding: Encoding,
    execution: Execution,
    plan: Arc<Plan>,
    parameters: Vec<Datum>,
    writer: CopyWriter,
    line: Vec<u8>,
    binary: bool,
    begun: bool,
    announced: bool,
    rows: u64,
}

impl CopyOut {
    /// The next batch's rows, each handed to `send` by itself (clients take a message for a row), as the client wants it; false at
    /// the end. What precedes the rows in binary format comes with the first of them, as PostgreSQL sends it.
    fn write(
        &mut self,
        context: &ExecContext<'_>,
        send: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<bool> {
        if !std::mem::replace(&mut self.begun, true) {
            let fields = self.plan.fields.as_deref().unwrap_or(&[]);
            let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
            self.writer.begin(&names, &mut self.line);
            if !self.binary {
                self.send_line(send)?;
            }
        }
        let Some(mut batch) = self.execution.next(context)? else {
            self.writer.end(&mut self.line);
            self.send_line(send)?;
            return Ok(false);
        };
        let Some(fields) = &self.plan.fields else { return Ok(true) };
        if !self.binary {
            let types = fields.iter().map(|field| field.data_type).enumerate();
            super::portal::name_objects(&mut batch, types, context)?;
        }
        for row in 0..batch.rows {
            self.writer.row(&batch, row, context.eval.render, &mut self.line);
            self.send_line(send)?;
        }
        self.rows += batch.rows as u64;
        Ok(true)
    }

    fn send_line(&mut self, send: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        if self.encoding.is_native() {
            send(&self.line)?;
        } else {
            let text = std::str::from_utf8(&self.line);
            let text = text.map_err(|_| Error::internal("text output is UTF-8"))?;
            send(&self.encoding.encode(text)?)?;
        }
        self.line.clear();
        Ok(())
    }
}

impl Session {
    pub(super) fn copy(
        &mut self,
        copy: &ast::Copy,
        portal: &mut Portal,
        _out: &mut dyn Output,
    ) -> Result<Option<Progress>> {
        match &copy.target {
            CopyTarget::Client => {}
            CopyTarget::File(_) => {
                let (verb, role, name) = match copy.from {
                    true => ("from", acl::READ_SERVER_FILES, "pg_read_server_files"),
                    false => ("to", acl::WRITE_SERVER_FILES, "pg_write_server_files"),
                };
                if !self.core.has_privileges_of(role) {
                    let message = format!(
                        "must be superuser or have privileges of the {name} role to COPY {verb} a file"
                    );
                    return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message).hint(
                        "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
                    ));
                }
            }
            CopyTarget::Program(_) => return Err(Error::unsupported("COPY ... PROGRAM")),
        }
        if copy.from { self.copy_from(copy, portal) } else { self.copy_to(copy, portal) }
    }

    // ---- FROM ----

    fn copy_from(&mut self, copy: &ast::Copy, portal: &mut Portal) -> Result<Option<Progress>> {
        let CopySource::Table { name, columns } = &copy.source else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "COPY FROM needs a table"));
        };
        self.core.check_writable("COPY FROM")?;
        self.ensure_unhinted()?;
        let table = loop {
            let table = self.find_table(name)?;
            self.check_copy_from(&table, columns)?;
            self.block.lock_relation(table.oid, RelationLockMode::RowExclusive, WaitPolicy::Block)?;
            // The name may mean another table by now, and the table another descriptor.
            let again = self.find_table(name)?;
            if again.oid == table.oid {
                let mut others = Vec::new();
                let catalog = self.core.catalog();
                foreign_key::relations(&catalog, &again, Effect::Insert, &mut others);
                if again.is_partitioned() {
                    for partition in catalog.descendants(&again) {
                        others.push((partition.oid, RelationLockMode::RowExclusive));
                        foreign_key::relations(&catalog, &partition, Effect::Insert, &mut others);
                    }
                }
                for (relation, mode) in others {
                    self.block.lock_relation(relation, mode, WaitPolicy::Block)?;
                }
                break again;
            }
        };
        if table.view.is_some() {
            let message = format!("cannot copy to {} \"{}\"", table.word(), table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let version = self.core.catalog().version;
        self.block.start_statement(version)?;
        let columns = copy_columns(&table, columns)?;
        let names: Vec<String> = columns.iter().map(|&column| table.columns[column].name.clone()).collect();
        let options = CopyOptions::parse(&copy.options, true, &names)?;
        let binary = options.format == CopyFormat::Binary;
        let encoding = self.copy_encoding(&options)?;
        let reader = CopyReader::new(options, &table.name, &names);
        let width = columns.len();
        let row = self.row_maker(&table, &columns, copy.filter.as_ref())?;
        let sort_bytes = self.core.settings.borrow().typed().work_mem_bytes.max(16 << 20);
        let writer = self.with_exec(|context| TableWriter::new(&table, context))?;
        let watcher = self.with_exec(|context| Watcher::new(&table, ModifyKind::Insert, context))?;
        let state = RunState::default();
        let inserter =
            self.with_exec(|context| Inserter::new(&table, &Runtime { context, state: &state, plan: None }))?;
        let sink = Sink {
            table: table.clone(),
            writer,
            held: Vec::new(),
            decided: false,
            loader: None,
            runs: None,
            sort_bytes,
            watcher,
            inserter: inserter.map(Box::new),
            state,
        };
        let loading = Loading { binary, columns, row, sink, values: Vec::new(), count: 0 };
        let mut copying = CopyIn { reader, loading, encoding, partial: Vec::new() };
        if let CopyTarget::File(path) = &copy.target {
            let count = self.copy_from_file(&mut copying, path)?;
            return Ok(Some(Progress::Complete(counted("COPY", count))));
        }
        portal.run = Run::CopyIn(Box::new(copying));
        Ok(Some(Progress::CopyIn { binary, columns: width }))
    }

    /// INSERT on the columns that are filled.
    fn check_copy_from(&self, table: &Arc<Table>, columns: &[ast::Name]) -> Result<()> {
        let mut used = RelationUse::new(table.oid, None, Privileges::INSERT);
        let given = copy_columns(table, columns)?;
        used.inserted.extend(given.iter().map(|at| table.columns[*at].number));
        check_relation(&used, self.core.role.get(), &self.core.catalog())
    }

    fn row_maker(&self, table: &Arc<Table>, given: &[usize], filter: Option<&ast::Expr>) -> Result<RowMaker> {
        let context = self.context();
        let eval = context.eval();
        let catalog = self.core.catalog();
        let search_path = self.core.search_path.borrow().clone();
        let settings = self.core.settings.borrow().typed().planner;
        let context = PlanContext {
            catalog: &catalog,
            search_path: &search_path,
            eval: &eval,
            settings,
            variables: None,
        };
        let mut defaults = Vec::new();
        for (position, column) in table.columns.iter().enumerate() {
            if column.dropped || column.generated || given.contains(&position) {
                continue;
            }
            if let (Some(_), Some(sequence)) = (column.identity, column.sequence) {
                defaults.push((position, Missing::Sequence(sequence, column.data_type())));
            } else if let Some(text) = &column.default {
                let expr = crate::parse::parse_expression(text)?;
                let target = (column.data_type(), column.modifier);
                let bound = crate::bind::standalone_expression(&expr, target, &context)?;
                defaults.push((position, Missing::Expr(bound)));
            }
        }
        let bind = |filter| crate::bind::table_expression(filter, table, Some((Type::BOOL, -1)), &context);
        Ok(RowMaker { table: table.clone(), defaults, filter: filter.map(bind).transpose()? })
    }

    fn copy_from_file(&mut self, copying: &mut CopyIn, path: &str) -> Result<u64> {
        let failed = |error: std::io::Error| file_error("open", "for reading", path, &error);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let mut chunk = vec![0; FILE_CHUNK];
        self.with_exec(|context| {
            loop {
                let read = file.read(&mut chunk).map_err(|error| file_error("read", "", path, &error))?;
                if read == 0 {
                    return copying.finish(context);
                }
                copying.feed(&chunk[..read], context)?;
            }
        })
    }

    /// Feeds COPY FROM STDIN.
    pub fn copy_in_data(&mut self, data: &[u8], _out: &mut dyn Output) -> Result<()> {
        self.core.enter_types();
        let fed = self.feed_copy(data, false);
        fed.map(drop).map_err(|error| self.copy_failed(error))
    }

    pub fn copy_in_done(&mut self, out: &mut dyn Output) -> Result<Progress> {
        self.core.enter_types();
        let count = match self.feed_copy(b"", true) {
            Ok(count) => count,
            Err(error) => return Err(self.copy_failed(error)),
        };
        let portal = self.copying.take();
        self.end_statement();
        if portal.is_some_and(|portal| portal.last)
            && self.block.state == State::Implicit
            && let Err(error) = self.commit()
        {
            self.settle(out);
            return Err(self.copy_failed(error));
        }
        self.settle(out);
        Ok(Progress::Complete(counted("COPY", count)))
    }

    /// CopyFail: returns the error to send (57014).
    pub fn copy_in_fail(&mut self, message: &str) -> Error {
        let message = format!("COPY from stdin failed: {message}");
        self.copy_failed(Error::new(SqlState::QUERY_CANCELED, message))
    }

    fn feed_copy(&mut self, data: &[u8], at_end: bool) -> Result<u64> {
        let mut portal = self.copying.take().ok_or_else(|| Error::internal("no COPY is in progress"))?;
        let Run::CopyIn(copying) = &mut portal.run else {
            return Err(Error::internal("the portal does not copy"));
        };
        self.core.registration.check()?;
        let count = self.with_exec(|context| {
            if at_end {
                return copying.finish(context);
            }
            copying.feed(data, context)?;
            Ok(copying.loading.count)
        })?;
        self.copying = Some(portal);
        Ok(count)
    }

    fn copy_failed(&mut self, error: Error) -> Error {
        self.copying = None;
        self.end_statement();
        self.failed(error)
    }

    // ---- TO ----

    fn copy_to(&mut self, copy: &ast::Copy, portal: &mut Portal) -> Result<Option<Progress>> {
        let statement = match &copy.source {
            CopySource::Query(query) => (**query).clone(),
            CopySource::Table { name, columns } => self.table_query(name, columns)?,
        };
        let statement = ast::Statement { kind: statement, span: 0..0, parameters: 0 };
        let prepared = Prepared::new(portal.prepared.text.clone(), Some(statement), Vec::new());
        let plan = self.ready_plan(&prepared)?;
        let mut inner = Portal::new("", prepared, portal.level);
        self.run_plan(&mut inner, plan.clone(), WaitPolicy::Block)?;
        let fields = plan.fields.as_deref().ok_or_else(|| {
            let message = "COPY query must have a RETURNING clause";
            Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
        })?;
        let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
        let types: Vec<Type> = fields.iter().map(|field| field.data_type).collect();
        let options = CopyOptions::parse(&copy.options, false, &names)?;
        let mut copying = CopyOut {
            encoding: self.copy_encoding(&options)?,
            execution: Execution::new(plan.clone()),
            binary: options.format == CopyFormat::Binary,
            writer: CopyWriter::new(options, &types),
            line: Vec::new(),
            begun: false,
            announced: false,
            rows: 0,
            parameters: Vec::new(),
            plan,
        };
        if let CopyTarget::File(path) = &copy.target {
            let failed = |error: std::io::Error| file_error("open", "for writing", path, &error);
            let file = std::fs::File::create(path).map_err(failed)?;
            let failed = |error: std::io::Error| file_error("write", "", path, &error);
            let mut file = std::io::BufWriter::with_capacity(FILE_BUFFER_BYTES, file);
            while self.copy_batch(&mut copying, &mut |line| file.write_all(line).map_err(failed))? {}
            file.flush().map_err(failed)?;
            return Ok(Some(Progress::Complete(counted("COPY", copying.rows))));
        }
        portal.run = Run::CopyOut(Box::new(copying));
        Ok(None)
    }

    /// COPY t (a, b) TO is COPY (SELECT a, b FROM t) TO.
    fn table_query(&self, name: &ast::ObjectName, columns: &[String]) -> Result<ast::StatementKind> {
        let table = self.find_table(name)?;
        if table.is_partitioned() {
            let message = format!("cannot copy from partitioned table \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .hint("Try the COPY (SELECT ...) TO variant."));
        }
        if table.is_view() {
            let message = format!("cannot copy from view \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .hint("Try the COPY (SELECT ...) TO variant."));
        }
        let columns = match columns {
            // Generated columns are left out unless asked for.
            [] => copy_columns(&table, &[])?,
            columns => columns
                .iter()
                .map(|column| {
                    table.column_index(column).ok_or_else(|| crate::ddl::names::no_column(&table, column))
                })
                .collect::<Result<_>>()?,
        };
        let target = |column: usize| ast::Target {
            expr: ast::Expr::Column(vec![table.columns[column].name.clone()], 0),
            alias: None,
        };
        let select = ast::Select {
            targets: columns.into_iter().map(target).collect(),
            from: vec![ast::TableRef::Table { name: name.clone(), only: true, alias: None, sample: None }],
            ..ast::Select::default()
        };
        Ok(ast::StatementKind::Query(Box::new(ast::Query {
            with: None,
            body: ast::SetExpr::Select(Box::new(select)),
            order_by: Vec::new(),
            limit: None,
            with_ties: false,
            offset: None,
            locking: Vec::new(),
        })))
    }

    /// What the bytes of a COPY are in. (Binary data has text within.)
    fn copy_encoding(&self, options: &CopyOptions) -> Result<Encoding> {
        let encoding = match options.encoding {
            Some(encoding) => encoding,
            None => {
                let client = self.core.setting("client_encoding", None)?;
                Encoding::named(&client).unwrap_or(Encoding::UTF8)
            }
        };
        match options.format == CopyFormat::Binary && !encoding.is_native() {
            true => {
                Err(Error::unsupported(format!("COPY in binary format and encoding \"{}\"", encoding.name())))
            }
            false => Ok(encoding),
        }
    }

    fn copy_batch(&self, copying: &mut CopyOut, send: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        let parameters = std::mem::take(&mut copying.parameters);
        let result = self.with_exec(|context| copying.write(context, send));
        copying.parameters = parameters;
        result
    }

    pub(super) fn advance_copy_out(&mut self, portal: &mut Portal, out: &mut dyn Output) -> Result<Progress> {
        let Run::CopyOut(copying) = &mut portal.run else { return Err(Error::internal("not a COPY TO")) };
        if !copying.announced {
            copying.announced = true;
            let columns = copying.plan.fields.as_ref().map_or(0, Vec::len);
            return Ok(Progress::CopyOut { binary: copying.binary, columns });
        }
        loop {
            let more = self.copy_batch(copying, &mut |line| {
                out.copy_data(line);
                Ok(())
            })?;
            if !more {
                self.end_statement();
                return Ok(Progress::Complete(counted("COPY", copying.rows)));
            }
            if is_full(out) {
                return Ok(Progress::Paused);
            }
        }
    }

    fn end_statement(&self) {
        if let Some(transaction) = &self.block.transaction {
            transaction.borrow_mut().end_statement();
        }
    }
}

/// The columns named, or all that can be.
fn copy_columns(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        let given = |column: &crate::catalog::Column| !column.dropped && !column.generated;
        return Ok((0..table.columns.len()).filter(|&column| given(&table.columns[column])).collect());
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let column = table.column_index(name).ok_or_else(|| crate::ddl::names::no_column(table, name))?;
        if table.columns[column].generated {
            let message = format!("column \"{name}\" is a generated column");
            let detail = "Generated columns cannot be used in COPY.";
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).detail(detail));
        }
        if columns.contains(&column) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn file_error(operation: &str, purpose: &str, path: &str, error: &std::io::Error) -> Error {
    let state = match error.kind() {
        std::io::ErrorKind::NotFound => SqlState(*b"58P01"),
        std::io::ErrorKind::PermissionDenied => SqlState::INSUFFICIENT_PRIVILEGE,
        std::io::ErrorKind::StorageFull => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    let purpose = if purpose.is_empty() { String::new() } else { format!(" {purpose}") };
    Error::new(state, format!("could not {operation} file \"{path}\"{purpose}: {error}"))
}
