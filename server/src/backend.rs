//! What a connection needs of the SQL engine. [`Engine`] and [`Session`] are the real thing; the tests of this crate put a
//! scripted one behind the same loop, so that the protocol is tested alone, panics and failed fsyncs included.
//!
//! The methods are those of `serin_sql::Session`, documented there. Static dispatch: the seam costs nothing.

use serin_sql::types::Oid;
use serin_sql::{
    Engine, Error, Field, Format, NoticeSink, Output, Progress, Result, ScramVerifier, Session, Startup,
    TransactionStatus,
};
use serin_storage::Timestamp;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

pub trait Backend: Send + Sync + 'static {
    type Session: BackendSession;

    fn scram_verifier(&self, role: &str) -> Option<ScramVerifier>;
    /// Whether a user belongs to a role, by itself or through others.
    fn is_member(&self, user: &str, role: &str) -> bool;
    fn connect(&self, startup: Startup) -> Result<Self::Session>;
    fn cancel(&self, pid: i32, secret: i32);
    fn terminate_all(&self);
    fn durable(&self, ts: Timestamp) -> impl Future<Output = Result<()>> + Send;
}

pub trait BackendSession: Send + 'static {
    type Parsed: Send;

    fn pid(&self) -> i32;
    fn secret(&self) -> i32;
    /// Called, from any thread, when [`BackendSession::pending_fatal`] has become something: a connection that waits for its
    /// client would not notice.
    fn set_waker(&self, waker: Box<dyn Fn() + Send>);
    /// Called, by the thread that runs a statement, with what it has to say at once.
    fn set_notice_sink(&self, sink: NoticeSink);
    /// The FATAL error that ends the session, once it is terminated by an administrator or a timeout.
    fn pending_fatal(&self) -> Option<Error>;
    fn transaction_status(&self) -> TransactionStatus;
    fn reported_parameters(&self) -> Vec<(&'static str, String)>;
    fn take_durable_at(&mut self) -> Option<Timestamp>;
    fn is_long(&self, portal: &str) -> bool;
    fn is_end_long(&self) -> bool;
    fn parse(&mut self, sql: &str) -> Result<Vec<Self::Parsed>>;
    fn start_simple(&mut self, parsed: &[Self::Parsed], index: usize, out: &mut dyn Output) -> Result<()>;
    fn prepare(&mut self, name: &str, sql: &str, parameter_types: &[Oid]) -> Result<()>;
    fn describe_statement(&mut self, name: &str) -> Result<(Vec<Oid>, Option<Vec<Field>>)>;
    fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: &[Option<&[u8]>],
        parameter_formats: &[Format],
        result_formats: &[Format],
    ) -> Result<()>;
    /// A statement that calls a function by its OID with so many parameters, and their types.
    fn function_call(&self, _function: Oid, _arguments: usize) -> Result<(String, Vec<Oid>)> {
        Err(Error::unsupported("the FunctionCall message"))
    }
    fn describe_portal(&mut self, portal: &str) -> Result<(Option<&[Field]>, &[Format])>;
    fn execute(&mut self, portal: &str, max_rows: u64, out: &mut dyn Output) -> Result<Progress>;
    /// After `Progress::Waiting`: None when the portal is to be executed again; otherwise the time to ask again at the latest.
    fn poll_wait(&mut self, waker: &Waker) -> Option<Instant>;
    fn close_statement(&mut self, name: &str);
    fn close_portal(&mut self, name: &str);
    fn sync(&mut self, out: &mut dyn Output) -> Result<()>;
    /// Whether [`BackendSession::deliver_notifications`] would have something to say; the waker tells when it begins to.
    fn has_notifications(&self) -> bool;
    fn deliver_notifications(&mut self, out: &mut dyn Output);
    fn fail(&mut self);
    fn copy_in_data(&mut self, data: &[u8], out: &mut dyn Output) -> Result<()>;
    fn copy_in_done(&mut self, out: &mut dyn Output) -> Result<Progress>;
    fn copy_in_fail(&mut self, message: &str) -> Error;
}

/// The real engine. (A type of ours, because `Engine::connect` wants the `Arc`.)
pub struct Sql(pub Arc<Engine>);

impl Backend for Sql {
    type Session = Session;

    fn scram_verifier(&self, role: &str) -> Option<ScramVerifier> {
        self.0.scram_verifier(role)
    }
    fn is_member(&self, user: &str, role: &str) -> bool {
        self.0.is_member(user, role)
    }
    fn connect(&self, startup: Startup) -> Result<Session> {
        let mut session = self.0.connect(startup)?;
        session.may_wait_outside();
        Ok(session)
    }
    fn cancel(&self, pid: i32, secret: i32) {
        self.0.cancel(pid, secret)
    }
    fn terminate_all(&self) {
        self.0.terminate_all()
    }
    async fn durable(&self, ts: Timestamp) -> Result<()> {
        Ok(self.0.store().durable(ts).await?)
    }
}

impl BackendSession for Session {
    type Parsed = serin_sql::Parsed;

    fn pid(&self) -> i32 {
        self.pid()
    }
    fn secret(&self) -> i32 {
        self.secret()
    }
    fn set_waker(&self, waker: Box<dyn Fn() + Send>) {
        self.set_waker(waker)
    }
    fn set_notice_sink(&self, sink: NoticeSink) {
        self.set_notice_sink(sink)
    }
    fn pending_fatal(&self) -> Option<Error> {
        self.pending_fatal()
    }
    fn transaction_status(&self) -> TransactionStatus {
        self.transaction_status()
    }
    fn reported_parameters(&self) -> Vec<(&'static str, String)> {
        self.reported_parameters()
    }
    fn take_durable_at(&mut self) -> Option<Timestamp> {
        self.take_durable_at()
    }
    fn is_long(&self, portal: &str) -> bool {
        self.is_long(portal)
    }
    fn is_end_long(&self) -> bool {
        self.is_end_long()
    }
    fn parse(&mut self, sql: &str) -> Result<Vec<Self::Parsed>> {
        self.parse(sql)
    }
    fn start_simple(&mut self, parsed: &[Self::Parsed], index: usize, out: &mut dyn Output) -> Result<()> {
        self.start_simple(parsed, index, out)
    }
    fn prepare(&mut self, name: &str, sql: &str, parameter_types: &[Oid]) -> Result<()> {
        self.prepare(name, sql, parameter_types)
    }
    fn describe_statement(&mut self, name: &str) -> Result<(Vec<Oid>, Option<Vec<Field>>)> {
        self.describe_statement(name)
    }
    fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: &[Option<&[u8]>],
        parameter_formats: &[Format],
        result_formats: &[Format],
    ) -> Result<()> {
        self.bind(portal, statement, parameters, parameter_formats, result_formats)
    }
    fn function_call(&self, function: Oid, arguments: usize) -> Result<(String, Vec<Oid>)> {
        self.function_call(function, arguments)
    }
    fn describe_portal(&mut self, portal: &str) -> Result<(Option<&[Field]>, &[Format])> {
        self.describe_portal(portal)
    }
    fn execute(&mut self, portal: &str, max_rows: u64, out: &mut dyn Output) -> Result<Progress> {
        self.execute(portal, max_rows, out)
    }
    fn poll_wait(&mut self, waker: &Waker) -> Option<Instant> {
        self.poll_wait(waker)
    }
    fn close_statement(&mut self, name: &str) {
        self.close_statement(name)
    }
    fn close_portal(&mut self, name: &str) {
        self.close_portal(name)
    }
    fn sync(&mut self, out: &mut dyn Output) -> Result<()> {
        self.sync(out)
    }
    fn has_notifications(&self) -> bool {
        self.has_notifications()
    }
    fn deliver_notifications(&mut self, out: &mut dyn Output) {
        self.deliver_notifications(out)
    }
    fn fail(&mut self) {
        self.fail()
    }
    fn copy_in_data(&mut self, data: &[u8], out: &mut dyn Output) -> Result<()> {
        self.copy_in_data(data, out)
    }
    fn copy_in_done(&mut self, out: &mut dyn Output) -> Result<Progress> {
        self.copy_in_done(out)
    }
    fn copy_in_fail(&mut self, message: &str) -> Error {
        self.copy_in_fail(message)
    }
}
