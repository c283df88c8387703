//! Whole SQL sessions on a simulated disk that fails on a seed: parser to log, with nothing in between taken out.
//!
//! A run has a few *lives*. Each opens the store and the engine over it and lets four sessions run statements, interleaved one by one: transfers
//! between accounts that leave a row of history, savepoints, tables created, filled, indexed and dropped in the same transaction, COPY,
//! TRUNCATE, CHECKPOINT, VACUUM, REINDEX, two-phase commits that other sessions decide or that a crash leaves undecided, in the mode that the seed picks for each transaction. Until the disk dies at some operation, which
//! may be one of the recovery; before that calls may fail, syncs fail, space run out. Then power comes back with whatever sectors made it.
//!
//! Every transaction has a number and leaves it in `history`, together with its effect on each account. So what is there says which
//! transactions happened, and everything else follows from them. After each life:
//!
//! 1. every acknowledged transaction is there, and of the others some that committed, or none (a later one of a session never without
//!    the one before);
//! 2. each account has what history says, each table that a transaction created has its rows, one that was not is not there;
//! 3. a transaction whose preparation was acknowledged is waiting still, or ended as it was told to: whole, and never both ways;
//! 4. `check` of the pages, and of every index against its table, finds nothing.
//!
//! One thread runs all sessions, so a seed is a run: a lock that is not free is an error after a millisecond (`lock_timeout`), whoever holds it.
//! That is the machine's clock; no other decision depends on it. In a third of the runs the disk is slow, and the store's own threads flush
//! and fold beside the statements, in virtual time (`virtual_time.rs` of storage); in the others there are none.
//!
//! ```text
//! cargo test -p serin-sql --test simulation                                       the seeds of the test run
//! SERIN_SEED=4711 cargo test -p serin-sql --test simulation                       one seed again, statement by statement
//! SERIN_FIRST_SEED=1000 SERIN_SEEDS=1000000 cargo test --release -p serin-sql --test simulation    a soak
//! ```

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_sql::column::Batch;
use serin_sql::types::{RenderSettings, format_datum};
use serin_sql::{Engine, Error, Field, Format, Output, Progress, Session, Startup};
use serin_storage::vfs::sim::{Faults, Injected, SimVfs};
use serin_storage::virtual_time::{self, Clock, Pace};
use serin_storage::{Mutation, Store, StoreOptions, Timestamp, check_with, plant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

type Verdict<T = ()> = Result<T, String>;

const DATA: &str = "/sim";
const SESSIONS: usize = 4;
const ACCOUNTS: i64 = 12;
/// Who holds the token of the serial mode keeps all others waiting: not too often.
const MODES: [&str; 7] = ["ssi", "ssi", "ssi", "2pl", "2pl", "2pl", "serial"];
const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

#[derive(Default)]
struct Rows(Vec<Vec<Option<String>>>);

impl Output for Rows {
    fn row_description(&mut self, _: &[Field]) {}
    fn rows(
        &mut self,
        batch: &Batch,
        fields: &[Field],
        _: &[Format],
        render: &RenderSettings,
    ) -> serin_sql::Result<()> {
        for row in 0..batch.rows {
            let shown = batch.row(row);
            let shown = shown.iter().zip(fields);
            let text = shown.map(|(value, field)| {
                (!value.is_null()).then(|| format_datum(value, field.data_type, render))
            });
            self.0.push(text.collect());
        }
        Ok(())
    }
    fn notice(&mut self, _: Error) {}
    fn copy_data(&mut self, _: &[u8]) {}
    fn parameter_status(&mut self, _: &str, _: &str) {}
    fn buffered_bytes(&self) -> usize {
        0
    }
}

/// Runs one message of the simple protocol; the rows, and up to where the log must be durable before a client may be told.
fn run(session: &mut Session, sql: &str, copy_in: &[u8]) -> (serin_sql::Result<Rows>, Option<Timestamp>) {
    let mut rows = Rows::default();
    let mut work = |session: &mut Session| -> serin_sql::Result<()> {
        let parsed = session.parse(sql)?;
        for index in 0..parsed.len() {
            session.start_simple(&parsed, index, &mut rows)?;
            loop {
                match session.execute("", 0, &mut rows)? {
                    Progress::Complete(_) | Progress::EmptyQuery | Progress::Suspended => break,
                    Progress::CopyIn { .. } => {
                        session.copy_in_data(copy_in, &mut rows)?;
                        session.copy_in_done(&mut rows)?;
                        break;
                    }
                    Progress::Paused | Progress::Waiting | Progress::CopyOut { .. } => {}
                }
            }
        }
        Ok(())
    };
    let mut result = work(session);
    if result.is_err() {
        session.fail();
    }
    let synced = session.sync(&mut rows);
    if result.is_ok() {
        result = synced;
    }
    (result.map(|()| rows), session.take_durable_at())
}

/// What a transaction does, as history has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    session: usize,
    number: i64,
    from: i64,
    to: i64,
    amount: i64,
    /// Rows of the table that it leaves behind.
    table: Option<i64>,
}

/// Where a transaction in two phases may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Absent,
    Waiting,
    Committed,
}

#[derive(Clone, Debug)]
struct TwoPhase {
    /// In the order in which it came there; the last is what the store said.
    may_be: Vec<Phase>,
    /// The call failed because the store did: nothing it says later tells how it ended.
    unsure: bool,
}

impl Effect {
    fn gid(&self) -> String {
        format!("p_{}_{}", self.session, self.number)
    }
}

/// What may be there after a crash.
#[derive(Default)]
struct Model {
    acknowledged: BTreeSet<Effect>,
    /// Committed, in this order; nobody was told.
    pending: Vec<Effect>,
    /// The store stopped while they were committed.
    unknown: Vec<Effect>,
    two_phase: BTreeMap<Effect, TwoPhase>,
}

impl Model {
    fn acknowledge_all(&mut self) {
        self.acknowledged.extend(self.pending.drain(..));
        for known in self.two_phase.values_mut().filter(|known| !known.unsure) {
            known.may_be.drain(..known.may_be.len() - 1);
        }
    }

    /// Those that wait for somebody to decide.
    fn undecided(&self) -> Vec<Effect> {
        let waits = |known: &TwoPhase| !known.unsure && known.may_be.last() == Some(&Phase::Waiting);
        self.two_phase.iter().filter(|(_, known)| waits(known)).map(|(effect, _)| effect.clone()).collect()
    }

    fn judge_prepared(&mut self, there: &BTreeSet<Effect>, waiting: &BTreeSet<String>) -> Verdict {
        let gids: BTreeSet<String> = self.two_phase.keys().map(Effect::gid).collect();
        if let Some(gid) = waiting.difference(&gids).next() {
            return Err(format!("{gid} waits, though it was never prepared or has ended"));
        }
        for (effect, known) in &self.two_phase {
            let waits = waiting.contains(&effect.gid());
            let phase = match there.contains(effect) {
                true if waits => return Err(format!("{effect:?} has committed, and waits")),
                true => Phase::Committed,
                false if waits => Phase::Waiting,
                false => Phase::Absent,
            };
            if !known.may_be.contains(&phase) {
                return Err(format!("{effect:?} is {phase:?}, but can only be {:?}", known.may_be));
            }
        }
        self.two_phase.retain(|effect, known| {
            *known = TwoPhase { may_be: vec![Phase::Waiting], unsure: false };
            waiting.contains(&effect.gid())
        });
        Ok(())
    }

    /// Judges what is there, which is what happened from now on.
    fn judge(&mut self, there: BTreeSet<Effect>) -> Verdict {
        if let Some(lost) = self.acknowledged.iter().find(|effect| !there.contains(*effect)) {
            return Err(format!("{lost:?} was acknowledged and is not there"));
        }
        let possible = |effect: &Effect| {
            [&self.pending, &self.unknown].iter().any(|list| list.contains(effect))
                || self.acknowledged.contains(effect)
        };
        if let Some(other) = there.iter().find(|effect| !possible(effect)) {
            return Err(format!("{other:?} is there, though it was rolled back or never was"));
        }
        // In commit order: what is missing is missing from the end.
        let first_lost = self.pending.iter().position(|effect| !there.contains(effect));
        if let Some(after) =
            first_lost.and_then(|at| self.pending[at..].iter().find(|effect| there.contains(*effect)))
        {
            return Err(format!("{after:?} is there, but not one that was committed before it"));
        }
        self.acknowledged = there;
        self.pending.clear();
        self.unknown.clear();
        Ok(())
    }
}

struct Client {
    session: Session,
    /// The last number used.
    number: i64,
    open: Option<Effect>,
}

struct Life<'a> {
    rng: &'a mut StdRng,
    vfs: SimVfs,
    engine: Arc<Engine>,
    model: &'a mut Model,
    verbose: bool,
}

fn connect(engine: &Arc<Engine>) -> serin_sql::Result<Session> {
    let (user, database, parameters) = ("postgres".into(), "postgres".into(), Vec::new());
    engine.connect(Startup { user, database, parameters, client_address: None })
}

impl Life<'_> {
    fn statement(&mut self, client: &mut Client, sql: &str, copy_in: &[u8]) -> serin_sql::Result<Rows> {
        let (result, at) = run(&mut client.session, sql, copy_in);
        if self.verbose {
            let said = result.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
            eprintln!("{}: {sql}: {said}", client.session.pid());
        }
        // Some answers wait for the log, others for more to come.
        if let Some(at) = at
            && (result.is_err() || client.open.is_none())
            && self.rng.random_range(0..3) > 0
            && self.engine.store().wait_durable(at).is_ok()
        {
            self.model.acknowledge_all();
        }
        result
    }

    fn begin(&mut self, client: &mut Client, session: usize) -> serin_sql::Result<()> {
        let (mode, level) =
            (MODES[self.rng.random_range(0..MODES.len())], LEVELS[self.rng.random_range(0..LEVELS.len())]);
        client.number += 1;
        let (from, to) = (self.rng.random_range(0..ACCOUNTS), self.rng.random_range(0..ACCOUNTS));
        let amount = self.rng.random_range(1..1000);
        let effect = Effect { session, number: client.number, from, to, amount, table: None };
        client.open = Some(effect);
        self.statement(
            client,
            &format!("BEGIN ISOLATION LEVEL {level}; SET LOCAL concurrency_mode = '{mode}'"),
            b"",
        )?;
        self.statement(
            client,
            &format!("UPDATE account SET balance = balance - {amount} WHERE id = {from}"),
            b"",
        )?;
        self.statement(
            client,
            &format!("UPDATE account SET balance = balance + {amount} WHERE id = {to}"),
            b"",
        )?;
        Ok(())
    }

    /// Something in between, some of it to be undone.
    fn go_on(&mut self, client: &mut Client, session: usize) -> serin_sql::Result<()> {
        let effect = client.open.clone().expect("a transaction is open");
        let name = format!("made_{session}_{}", effect.number);
        match self.rng.random_range(0..8) {
            0 if effect.table.is_none() => {
                let rows = self.rng.random_range(0..400);
                self.statement(client, &format!("CREATE TABLE {name} (id int PRIMARY KEY, t text)"), b"")?;
                if self.rng.random() {
                    let data: String = (0..rows).map(|id| format!("{id}\trow {}\n", id % 7)).collect();
                    self.statement(client, &format!("COPY {name} FROM STDIN"), data.as_bytes())?;
                } else {
                    let insert = format!(
                        "INSERT INTO {name} SELECT i, 'row ' || i % 7 FROM generate_series(0, {}) i",
                        rows - 1
                    );
                    self.statement(client, &insert, b"")?;
                }
                if self.rng.random() {
                    self.statement(client, &format!("CREATE INDEX ON {name} (t)"), b"")?;
                }
                client.open.as_mut().expect("still open").table = Some(rows);
            }
            1 => {
                self.statement(client, "SAVEPOINT s", b"")?;
                self.statement(client, "UPDATE account SET balance = balance + 5, note = note || 'x'", b"")?;
                self.statement(
                    client,
                    &format!("CREATE TABLE undone_{session} (id int); DELETE FROM history"),
                    b"",
                )?;
                self.statement(client, "ROLLBACK TO s", b"")?;
            }
            2 => {
                let (from, length) = (self.rng.random_range(0..ACCOUNTS), self.rng.random_range(0..3000));
                let update = format!("UPDATE account SET note = repeat('n', {length}) WHERE id >= {from}");
                self.statement(client, &update, b"")?;
            }
            3 => {
                self.statement(
                    client,
                    "TRUNCATE scratch; INSERT INTO scratch SELECT i, i % 5 FROM generate_series(1, 300) i",
                    b"",
                )?;
            }
            _ => {
                self.statement(
                    client,
                    "INSERT INTO scratch SELECT i, i % 3 FROM generate_series(1, 40) i",
                    b"",
                )?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, client: &mut Client) -> serin_sql::Result<()> {
        if self.rng.random_range(0..6) == 0 {
            client.open = None;
            return self.statement(client, "ROLLBACK", b"").map(|_| ());
        }
        let effect = client.open.clone().expect("a transaction is open");
        let Effect { session, number, from, to, amount, table } = &effect;
        let table = table.map_or("NULL".to_owned(), |rows| rows.to_string());
        self.statement(
            client,
            &format!("INSERT INTO history VALUES ({session}, {number}, {from}, {to}, {amount}, {table})"),
            b"",
        )?;
        client.open = None;
        if self.rng.random_range(0..4) == 0 {
            let prepare = format!("PREPARE TRANSACTION '{}'", effect.gid());
            self.model
                .two_phase
                .insert(effect.clone(), TwoPhase { may_be: vec![Phase::Absent], unsure: false });
            return self.change_phase(client, &effect, Phase::Waiting, &prepare);
        }
        self.model.pending.push(effect.clone());
        let committed = self.statement(client, "COMMIT", b"");
        if let Err(error) = &committed {
            self.model.pending.retain(|pending| *pending != effect);
            // Anything else is a no.
            if error.state().as_str() == "58030" {
                self.model.unknown.push(effect);
            }
        }
        committed.map(|_| ())
    }

    /// A prepared transaction ends: by any session, perhaps after a restart.
    fn decide(&mut self, client: &mut Client, effect: Effect) -> serin_sql::Result<()> {
        if self.rng.random_range(0..3) == 0 {
            let rollback = format!("ROLLBACK PREPARED '{}'", effect.gid());
            return self.change_phase(client, &effect, Phase::Absent, &rollback);
        }
        self.model.pending.push(effect.clone());
        let result = self.change_phase(
            client,
            &effect,
            Phase::Committed,
            &format!("COMMIT PREPARED '{}'", effect.gid()),
        );
        if let Err(error) = &result {
            self.model.pending.retain(|pending| *pending != effect);
            if error.state().as_str() == "58030" {
                self.model.unknown.push(effect);
            }
        }
        result
    }

    fn change_phase(
        &mut self,
        client: &mut Client,
        effect: &Effect,
        phase: Phase,
        sql: &str,
    ) -> serin_sql::Result<()> {
        // Before it is sent, for its answer may say that everything so far is durable.
        let before = self.model.two_phase[effect].clone();
        self.model.two_phase.get_mut(effect).expect("found above").may_be.push(phase);
        let result = self.statement(client, sql, b"");
        if let Err(error) = &result {
            let mut known = before;
            if error.state().as_str() == "58030" {
                known.may_be.push(phase);
                known.unsure = true;
            }
            self.model.two_phase.insert(effect.clone(), known);
        }
        result.map(|_| ())
    }

    fn maintain(&mut self, client: &mut Client) -> serin_sql::Result<()> {
        let what = [
            "CHECKPOINT",
            "CHECKPOINT",
            "VACUUM",
            "REINDEX TABLE history",
            "ANALYZE",
            "ALTER TABLE scratch ADD COLUMN more int DEFAULT 7; ALTER TABLE scratch DROP COLUMN more",
        ];
        let sql = what[self.rng.random_range(0..what.len())];
        self.statement(client, sql, b"").map(|_| ())
    }

    /// Until the disk dies, or the store stops.
    fn live(&mut self) -> Verdict {
        let mut clients = Vec::new();
        for session in 0..SESSIONS {
            let Ok(mut made) = connect(&self.engine) else { return Ok(()) };
            let (result, _) = run(&mut made, "SET lock_timeout = '1ms'", b"");
            if result.is_err() {
                return Ok(());
            }
            let known = self.model.acknowledged.iter().chain(self.model.two_phase.keys());
            let last = known.filter(|effect| effect.session == session);
            let number = last.map(|effect| effect.number).max().unwrap_or(0) + 1000;
            clients.push(Client { session: made, number, open: None });
        }
        for _ in 0..70 {
            // On a slow disk, where there is a clock: meanwhile the store's threads go on.
            virtual_time::sleep(Duration::from_micros(self.rng.random_range(0..6000)));
            let index = self.rng.random_range(0..SESSIONS);
            let mut client = clients.swap_remove(index);
            let undecided = self.model.undecided();
            let result = match &client.open {
                None if !undecided.is_empty() && self.rng.random() => {
                    let effect = undecided[self.rng.random_range(0..undecided.len())].clone();
                    self.decide(&mut client, effect)
                }
                None if self.rng.random_range(0..6) == 0 => self.maintain(&mut client),
                None => self.begin(&mut client, index),
                Some(_) if self.rng.random_range(0..3) > 0 => self.go_on(&mut client, index),
                Some(_) => self.finish(&mut client),
            };
            let outcome = result.err();
            if let Some(error) = &outcome {
                if self.vfs.has_crashed() {
                    return Ok(());
                }
                match error.state().as_str() {
                    // Conflicts, locks that were not free, full disks, calls that failed.
                    "40001" | "40P01" | "55P03" | "53100" | "58030" | "25P02" => {}
                    // The name of a savepoint's table, or of an object that another transaction has just changed.
                    "42P07" | "XX000" if error.to_string().contains("concurrently") => {}
                    state => return Err(format!("an error without cause: {state}: {error}")),
                }
                client.open = None;
                let (rolled_back, _) = run(&mut client.session, "ROLLBACK", b"");
                if rolled_back.is_err() && !self.vfs.has_crashed() && error.state().as_str() != "58030" {
                    return Err("a ROLLBACK failed".to_owned());
                }
            }
            // Back to its place: the effects of a session have its number.
            clients.push(client);
            let last = clients.len() - 1;
            clients.swap(index, last);
        }
        Ok(())
    }
}

fn open(vfs: &SimVfs, slow: bool) -> Result<Arc<Engine>, String> {
    Engine::open(open_store(vfs, slow)?, &[]).map_err(|error| error.to_string())
}

/// On a slow disk with threads, which fold all the time.
fn open_store(vfs: &SimVfs, slow: bool) -> Result<Arc<Store>, String> {
    let mut options = StoreOptions::new(Path::new(DATA));
    options.threads = slow;
    if slow {
        options.fold_interval_ms = 30;
        options.delta_bytes_soft = 64 << 10;
    }
    options.page_cache_bytes = 256 << 10;
    options.wal_segment_bytes = 32 << 10;
    options.writer_bytes_max = 16 << 10;
    Store::open_with(Arc::new(vfs.clone()), options).map_err(|error| error.to_string())
}

const SCHEMA: &str = "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, note text NOT NULL DEFAULT '');
    INSERT INTO account SELECT i, 0 FROM generate_series(0, 11) i;
    CREATE TABLE history (session int, number bigint, from_account int, to_account int, amount bigint, made bigint,
                          PRIMARY KEY (session, number));
    CREATE INDEX history_from ON history (from_account); CREATE INDEX account_note ON account (left(note, 100));
    CREATE TABLE scratch (id int, v int); CREATE INDEX scratch_v ON scratch (v)";

/// Reads everything and holds it against itself: which transactions have happened, and which wait to be decided.
fn read(engine: &Arc<Engine>) -> Verdict<(BTreeSet<Effect>, BTreeSet<String>)> {
    let mut session = connect(engine).map_err(|error| error.to_string())?;
    let prepared = run(&mut session, "SELECT gid FROM pg_prepared_xacts", b"").0;
    let prepared = prepared.map_err(|error| format!("pg_prepared_xacts: {error}"))?;
    let waiting = prepared.0.into_iter().flatten().map(|gid| gid.expect("not null")).collect();
    let mut query = |sql: &str| -> Verdict<Vec<Vec<Option<i64>>>> {
        let rows = run(&mut session, sql, b"").0.map_err(|error| format!("{sql}: {error}"))?;
        let number = |text: Option<String>| text.map(|text| text.parse().expect("a number"));
        Ok(rows.0.into_iter().map(|row| row.into_iter().map(number).collect()).collect())
    };
    let mut balances: BTreeMap<i64, i64> = (0..ACCOUNTS).map(|id| (id, 0)).collect();
    let mut there = BTreeSet::new();
    let mut tables = BTreeMap::new();
    for row in query("SELECT session, number, from_account, to_account, amount, made FROM history")? {
        let of = |at: usize| row[at].expect("not null");
        let effect = Effect {
            session: of(0) as usize,
            number: of(1),
            from: of(2),
            to: of(3),
            amount: of(4),
            table: row[5],
        };
        *balances.get_mut(&effect.from).expect("an account") -= effect.amount;
        *balances.get_mut(&effect.to).expect("an account") += effect.amount;
        if let Some(rows) = effect.table {
            tables.insert(format!("made_{}_{}", effect.session, effect.number), rows);
        }
        there.insert(effect);
    }
    let found: BTreeMap<i64, i64> = query("SELECT id, balance FROM account")?
        .into_iter()
        .map(|row| (row[0].expect("not null"), row[1].expect("not null")))
        .collect();
    if found != balances {
        return Err(format!("accounts are {found:?}, history makes them {balances:?}"));
    }
    for (name, rows) in &tables {
        let found = query(&format!("SELECT count(*), count(t) FROM {name}"))?;
        if found != [[Some(*rows), Some(*rows)]] {
            return Err(format!("{name} has {found:?} rows rather than {rows}"));
        }
    }
    let known = query("SELECT count(*) FROM pg_class WHERE relname LIKE 'made\\_%' AND relkind = 'r'")?;
    if known != [[Some(tables.len() as i64)]] {
        return Err(format!("there are {known:?} tables rather than {}", tables.len()));
    }
    let undone = query("SELECT count(*) FROM pg_class WHERE relname LIKE 'undone%'")?;
    if undone != [[Some(0)]] {
        return Err("a table is there that was rolled back".to_owned());
    }
    Ok((there, waiting))
}

/// Pages and log; then, where the store opens, every index against its table.
fn check(vfs: &SimVfs) -> Verdict {
    if vfs.file_bytes(&Path::new(DATA).join("data.serin")).is_none() {
        return Ok(());
    }
    let report = check_with(Arc::new(vfs.clone()), Path::new(DATA)).map_err(|error| error.to_string())?;
    if !report.is_clean() {
        return Err(format!("check: {:#?}", report.problems));
    }
    Ok(())
}

/// What a run went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Course {
    injected: Injected,
    /// Writes, syncs and renames.
    operations: u64,
    /// Zero where the disk is not slow.
    virtual_us: u64,
}

/// A disk whose sync takes up to 20 ms. Nobody is held up elsewhere: statements run on in memory until they need it.
fn slow_clock(seed: u64) -> Clock {
    Clock::new(seed, Pace { read: 300, write: 500, sync: 20_000, preempt_one_in: 0 })
}

fn simulate(seed: u64, verbose: bool) -> Verdict<Course> {
    let mut rng = StdRng::seed_from_u64(seed);
    let vfs = SimVfs::new(seed);
    let slow = rng.random_range(0..3) == 0;
    let clock = slow.then(|| slow_clock(seed));
    let _presence = clock.as_ref().map(Clock::enter);
    let engine = open(&vfs, slow)?;
    let mut session = connect(&engine).map_err(|error| error.to_string())?;
    let (created, at) = run(&mut session, SCHEMA, b"");
    created.map_err(|error| error.to_string())?;
    engine.store().wait_durable(at.expect("something was committed")).map_err(|error| error.to_string())?;
    drop((session, engine));
    let mut model = Model::default();
    for _ in 0..rng.random_range(2..5) {
        // Now and then in recovery, or in the recovery from that.
        let operations = if rng.random_range(0..3) == 0 { 15 } else { 400 };
        vfs.crash_after(rng.random_range(0..operations));
        match rng.random_range(0..6) {
            0 => vfs.set_faults(Faults { io_error: rng.random_range(50..800), no_space: 0 }),
            1 => vfs.set_faults(Faults { io_error: 0, no_space: rng.random_range(3..60) }),
            2 => vfs.fail_sync_after(rng.random_range(0..600)),
            _ => {}
        }
        if let Ok(engine) = open(&vfs, slow) {
            let mut life =
                Life { rng: &mut rng, vfs: vfs.clone(), engine: engine.clone(), model: &mut model, verbose };
            life.live()?;
            drop(life);
            let store = Arc::downgrade(engine.store());
            drop(engine);
            if store.strong_count() > 0 {
                return Err("all sessions have gone, but somebody keeps the store".to_owned());
            }
        }
        if verbose {
            eprintln!("--- crash");
        }
        vfs.crash();
        check(&vfs)?;
        // Looks that change nothing durable but by recovery. The check brings prepared transactions about again, as a start does, so each has
        // a store of its own, and another crash between them.
        let store = open_store(&vfs, slow).map_err(|error| format!("it does not open any more: {error}"))?;
        let report = serin_sql::check(store).map_err(|error| error.to_string())?;
        if !report.problems.is_empty() {
            return Err(format!("tables and indexes: {:#?}", report.problems));
        }
        vfs.crash();
        let engine = open(&vfs, slow).map_err(|error| format!("it does not open any more: {error}"))?;
        let (there, waiting) = read(&engine)?;
        model.judge_prepared(&there, &waiting)?;
        model.judge(there)?;
    }
    let mut course = Course { injected: vfs.injected(), operations: vfs.operations(), virtual_us: 0 };
    if let Some(clock) = clock {
        if clock.panics() > 0 {
            return Err("a thread of the store ended in a panic".to_owned());
        }
        course.virtual_us = clock.now_us();
    }
    Ok(course)
}

fn simulate_caught(seed: u64, verbose: bool) -> Verdict<Course> {
    std::panic::catch_unwind(|| simulate(seed, verbose)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}

#[test]
fn sessions_survive_their_disk() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("SERIN_SEED") {
        Some(seed) => (seed, 1),
        None => (number("SERIN_FIRST_SEED").unwrap_or(0), number("SERIN_SEEDS").unwrap_or(150)),
    };
    let mut injected = Injected::default();
    let mut slow = 0;
    for seed in first..first + count {
        match simulate_caught(seed, count == 1) {
            Ok(course) => {
                injected += course.injected;
                slow += u64::from(course.virtual_us > 0);
            }
            Err(what) => panic!(
                "seed {seed}: {what}\nagain: SERIN_SEED={seed} cargo test -p serin-sql --test simulation"
            ),
        }
    }
    eprintln!("{count} seeds: {injected:?}, on a slow disk {slow}");
}

#[test]
fn a_seed_is_a_run() {
    for seed in 1000..1012 {
        let course = simulate_caught(seed, false);
        assert!(course.is_ok(), "seed {seed}: {course:?}");
        assert_eq!(simulate_caught(seed, false), course, "seed {seed}, for a second time");
    }
}

/// The simulation finds what it is there to find, at this height as well.
#[test]
fn planted_faults_are_caught() {
    std::panic::set_hook(Box::new(|_| {}));
    let faults = [
        Mutation::SkipLogSync,
        Mutation::AcknowledgeBeforeFlush,
        Mutation::LoseLogTail,
        Mutation::SkipDataSync,
        Mutation::ReplayOneTooFew,
    ];
    let caught = faults.map(|fault| {
        plant(Some(fault));
        let caught = (0..600).find_map(|seed| Some((seed, simulate_caught(seed, false).err()?)));
        plant(None);
        (fault, caught)
    });
    let _ = std::panic::take_hook();
    for (fault, caught) in &caught {
        eprintln!("{fault:?}: {caught:?}");
    }
    let missed: Vec<_> =
        caught.iter().filter(|(_, caught)| caught.is_none()).map(|(fault, _)| fault).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
