//! What all sessions share: store, transactions, catalog, settings of the server, the register of sessions.

use super::Startup;
use super::connection::Session;
use super::registry::{Activity, Reason, Registration};
use super::timers::Timers;
use crate::catalog::store::CatalogTrees;
use crate::catalog::{Catalog, DATABASE_POSTGRES, FIRST_USER_OID, Publisher, Runtime};
use crate::error::{Error, Result, SqlState};
use crate::password::ScramVerifier;
use crate::sequence::SequenceStore;
use crate::settings::{Settings, Source};
use crate::types::{Datum, Oid, Type, parse_datum};
use parking_lot::Mutex;
use serin_storage::{CommandId, Intent, Store, Timestamp, View};
use serin_txn::{Isolation, Mode, SessionHandle, TransactionManager, TransactionOptions};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Microseconds from 1970 to 2000.
const EPOCH_DIFFERENCE: i64 = 946_684_800_000_000;
/// OIDs reserved with one log record.
const OIDS_AHEAD: Oid = 64;

/// Shared by all sessions: store, transactions, catalog, settings.
pub struct Engine {
    store: Arc<Store>,
    pub(crate) transactions: Arc<TransactionManager>,
    pub(crate) trees: CatalogTrees,
    pub(crate) publisher: Publisher,
    pub(crate) sequences: SequenceStore,
    pub(crate) timers: Timers,
    pub(crate) notifications: super::notify::Hub,
    pub(crate) runtime: Arc<Runtime>,
    settings: Vec<(String, String)>,
    host: OnceLock<Host>,
    sessions: Mutex<Sessions>,
    oids: Mutex<Oids>,
    /// Statements that were run again after a serialization failure or deadlock.
    pub(crate) retries: std::sync::atomic::AtomicU64,
}

/// What only the process around the engine can do.
struct Host {
    reload: Box<dyn Fn() -> bool + Send + Sync>,
    hba_rules: Box<dyn Fn() -> Vec<HbaRule> + Send + Sync>,
}

/// A row of pg_hba_file_rules.
#[derive(Clone, Debug, Default)]
pub struct HbaRule {
    pub line: i32,
    /// local, host, …
    pub kind: String,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    pub address: Option<String>,
    pub mask: Option<String>,
    pub method: String,
    /// Of a line that can't be read; the rest is empty then.
    pub error: Option<String>,
}

#[derive(Default)]
struct Sessions {
    by_pid: HashMap<i32, Arc<Registration>>,
    last_pid: i32,
}

/// OIDs below `reserved` may be given out.
struct Oids {
    next: Oid,
    reserved: Oid,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.transactions.leave_prepared();
    }
}

impl Engine {
    /// Opens the catalog in the store, creating database `postgres` and superuser `postgres` on first start.
    /// `settings` are server-wide values from flags and configuration, by PostgreSQL or Serin setting name.
    pub fn open(store: Arc<Store>, settings: &[(String, String)]) -> Result<Arc<Engine>> {
        // A bad value shall stop the start, not the first connection.
        let mut check = Settings::new();
        for (name, value) in settings {
            check.set(name, Some(value), Source::Server, false)?;
        }
        let transactions = TransactionManager::with_blocking(store.clone(), store.blocking());
        let own = SessionHandle::new(0);
        let begin = || {
            transactions.begin(TransactionOptions {
                mode: Mode::Ssi,
                isolation: Isolation::ReadCommitted,
                read_only: false,
                deferrable: false,
                session: own.clone(),
            })
        };
        let trees = CatalogTrees::open(&store, begin)?;
        let mut transaction = begin();
        let objects = trees.load(&mut transaction)?;
        transaction.rollback();
        let runtime = Runtime::new(store.clone(), temporary_dir(settings));
        let next = stored_oid(&store, &trees)?;
        let engine = Arc::new(Engine {
            sequences: SequenceStore::new(store.clone(), trees.sequences.clone()),
            publisher: Publisher::new(objects, runtime.clone()),
            transactions,
            trees,
            timers: Timers::default(),
            notifications: super::notify::Hub::default(),
            runtime,
            settings: settings.to_vec(),
            host: OnceLock::new(),
            sessions: Mutex::default(),
            oids: Mutex::new(Oids { next, reserved: next }),
            retries: Default::default(),
            store,
        });
        let max = check.show("max_prepared_transactions")?.parse().unwrap_or(0);
        let prepared = engine.transactions.open_prepared(engine.trees.counters.clone(), max)?;
        if prepared.transactions > 0 {
            tracing::info!(
                transactions = prepared.transactions,
                "prepared transactions wait for their outcome"
            );
        }
        // Their rows' hidden ids are taken.
        for (tree, greatest) in prepared.counters {
            let runtime = &engine.runtime;
            runtime.row_ids(&runtime.tree(tree)?)?;
            runtime.set_row_ids(tree, greatest.saturating_add(1));
        }
        Ok(engine)
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub fn transactions(&self) -> &Arc<TransactionManager> {
        &self.transactions
    }

    /// The catalog of database `postgres`: for authentication, which looks at roles before there is a session.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.publisher.catalog(DATABASE_POSTGRES)
    }

    /// What a client must prove to know to be this role. `None`, which the client must not be told apart: there is no
    /// such role, it has no password, or that has expired.
    pub fn scram_verifier(&self, role: &str) -> Option<ScramVerifier> {
        let catalog = self.catalog();
        let role = catalog.find_role(role)?;
        if let Some(until) = &role.valid_until {
            let render = crate::settings::Settings::new().typed().render.clone();
            match parse_datum(until, Type::TIMESTAMPTZ, -1, &render) {
                Ok(Datum::Timestamp(until)) if until > now() => {}
                _ => return None,
            }
        }
        ScramVerifier::parse(role.password.as_deref()?)
    }

    /// Whether a role belongs to another, by itself or through others. (That superusers count as anything is of no use here.)
    pub fn is_member(&self, member: &str, role: &str) -> bool {
        let catalog = self.catalog();
        let oid = |name| catalog.find_role(name).map(|role| role.oid);
        match (oid(member), oid(role)) {
            (Some(member), Some(role)) => catalog.memberships_of(member).contains(&role),
            _ => false,
        }
    }

    /// `reload` reads configuration files again, `hba_rules` describes pg_hba.conf.
    pub fn set_host(
        &self,
        reload: Box<dyn Fn() -> bool + Send + Sync>,
        hba_rules: Box<dyn Fn() -> Vec<HbaRule> + Send + Sync>,
    ) {
        // A second host would be a mistake of the embedding program; the first stays.
        let _ = self.host.set(Host { reload, hba_rules });
    }

    pub(crate) fn reload(&self) -> bool {
        self.host.get().is_some_and(|host| (host.reload)())
    }

    pub(crate) fn hba_rules(&self) -> Vec<HbaRule> {
        self.host.get().map_or_else(Vec::new, |host| (host.hba_rules)())
    }

    /// Starts a session after authentication. Errors are FATAL (unknown database, role, setting; too many).
    pub fn connect(self: &Arc<Self>, startup: Startup) -> Result<Session> {
        Session::open(self.clone(), startup).map_err(Error::fatal)
    }

    /// The value of a server-wide setting as text, if there is one.
    pub fn setting(&self, name: &str) -> Option<String> {
        let mut settings = Settings::new();
        self.apply_settings(&mut settings).ok()?;
        settings.show(name).ok()
    }

    /// ALTER SYSTEM's values override the configuration's, as postgresql.auto.conf does.
    pub(crate) fn apply_settings(&self, settings: &mut Settings) -> Result<()> {
        let altered = self.publisher.objects();
        for (name, value) in self.settings.iter().chain(altered.settings()) {
            settings.set(name, Some(value), Source::Server, false)?;
        }
        Ok(())
    }

    /// A cancel request: interrupts the session if pid and secret match. Silent otherwise.
    pub fn cancel(&self, pid: i32, secret: i32) {
        let session = self.sessions.lock().by_pid.get(&pid).cloned();
        if let Some(session) = session.filter(|session| session.secret == secret) {
            session.interrupt(Reason::Cancel);
        }
    }

    /// Interrupts every session with 57P01 (shutdown).
    pub fn terminate_all(&self) {
        let sessions: Vec<_> = self.sessions.lock().by_pid.values().cloned().collect();
        for session in sessions {
            session.interrupt(Reason::Terminate);
        }
    }

    /// Whose session it is, as who connected.
    pub(crate) fn user_of(&self, pid: i32) -> Option<Oid> {
        let session = self.sessions.lock().by_pid.get(&pid).cloned();
        session.map(|session| session.activity.lock().user)
    }

    /// pg_cancel_backend, pg_terminate_backend: false if there is no such session.
    pub(crate) fn signal(&self, pid: i32, reason: Reason) -> bool {
        let session = self.sessions.lock().by_pid.get(&pid).cloned();
        session.map(|session| session.interrupt(reason)).is_some()
    }

    /// The sessions now, by pid.
    pub fn activity(&self) -> Vec<Activity> {
        let sessions: Vec<_> = self.sessions.lock().by_pid.values().cloned().collect();
        let of = |session: &Arc<Registration>| Activity {
            running: session.handle.running(),
            ..session.activity.lock().clone()
        };
        let mut activity: Vec<_> = sessions.iter().map(of).collect();
        activity.sort_by_key(|activity| activity.pid);
        for activity in &mut activity {
            activity.wait = self.transactions.wait_event(activity.pid);
        }
        activity
    }

    /// `role_limit`: how many sessions the role may have, and its name.
    pub(crate) fn register(
        &self,
        activity: Activity,
        role_limit: Option<(i32, &str)>,
    ) -> Result<Arc<Registration>> {
        let limit = self.setting("max_connections").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        let mut sessions = self.sessions.lock();
        if sessions.by_pid.len() >= limit {
            return Err(Error::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already"));
        }
        if let Some((limit, role)) = role_limit.filter(|(limit, _)| *limit >= 0) {
            let of_role =
                sessions.by_pid.values().filter(|other| other.activity.lock().user == activity.user);
            if of_role.count() as i64 >= i64::from(limit) {
                let message = format!("too many connections for role \"{role}\"");
                return Err(Error::new(SqlState::TOO_MANY_CONNECTIONS, message));
            }
        }
        let pid = loop {
            sessions.last_pid = sessions.last_pid.checked_add(1).unwrap_or(1);
            if !sessions.by_pid.contains_key(&sessions.last_pid) {
                break sessions.last_pid;
            }
        };
        let session = Arc::new(Registration::new(pid, rand::random(), Activity { pid, ..activity }));
        sessions.by_pid.insert(pid, session.clone());
        Ok(session)
    }

    pub(crate) fn unregister(&self, pid: i32) {
        self.sessions.lock().by_pid.remove(&pid);
    }

    /// The sessions other than `but` that are connected to a database.
    pub(crate) fn sessions_of(&self, database: Oid, but: i32) -> Vec<i32> {
        let sessions = self.sessions.lock();
        let others = sessions.by_pid.values().filter(|session| session.pid != but);
        let within = others.filter(|session| session.activity.lock().database == database);
        within.map(|session| session.pid).collect()
    }

    /// A new OID; never given out again, not even after a crash.
    pub(crate) fn new_oid(&self) -> Result<Oid> {
        let mut oids = self.oids.lock();
        if oids.next == oids.reserved {
            let reserved = oids.next.checked_add(OIDS_AHEAD).ok_or_else(|| Error::internal("out of OIDs"))?;
            let mut writer = self.store.writer();
            let value = reserved.to_be_bytes();
            writer
                .install(&self.trees.counters, b"o", Some(&value), Intent::Replace, CommandId(0))?
                .map_err(|_| Error::internal("two writers of the OID counter"))?;
            // Durable with the commit of whatever uses the OIDs, which comes later in the log.
            writer.commit()?;
            oids.reserved = reserved;
        }
        oids.next += 1;
        Ok(oids.next - 1)
    }
}

/// Microseconds since 2000-01-01 UTC.
pub(crate) fn timestamp_of(at: std::time::SystemTime) -> i64 {
    let since_1970 = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX) - EPOCH_DIFFERENCE
}

fn stored_oid(store: &Store, trees: &CatalogTrees) -> Result<Oid> {
    let snapshot = store.snapshot();
    let view = View { snapshot: &snapshot, horizon: Timestamp::MAX, own: None };
    let stored = trees.counters.get(view, b"o", &mut ())?;
    let oid = stored.as_deref().and_then(|bytes| bytes.try_into().ok()).map(Oid::from_be_bytes);
    let damaged = || Error::new(SqlState::DATA_CORRUPTED, "the OID counter is damaged");
    oid.filter(|&oid| oid >= FIRST_USER_OID).ok_or_else(damaged)
}

/// Sort runs go beside the data, where there is room for them.
fn temporary_dir(settings: &[(String, String)]) -> PathBuf {
    let data = settings.iter().find(|(name, _)| name == "data_directory");
    data.map_or_else(std::env::temp_dir, |(_, dir)| PathBuf::from(dir).join("tmp"))
}

/// Microseconds since 2000-01-01 UTC.
pub(crate) fn now() -> i64 {
    timestamp_of(std::time::SystemTime::now())
}
