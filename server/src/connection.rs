//! The loop of one connection: frames in, replies out.
//!
//! Every complete frame in the read buffer is handled before anything is written; replies collect in one buffer. It is
//! written out when the input is drained, at Flush, at an error, and above [`OUTPUT_BYTES_MAX`], where awaiting the write is the
//! back-pressure: the executor pauses (`Progress::Paused`) until the client has read. A client's batch so costs one
//! `recv` and one `send`, however many messages are in it.
//!
//! **Nothing is acknowledged before it is durable.** [`Link::flush`] is the only place that writes; it first awaits the
//! durability of every commit whose answer is in the buffer. If that fails the buffer is discarded: the client gets a FATAL error
//! and does not know the outcome, which is the truth.
//!
//! **Statements run inline** on the worker that read them. What the session calls long runs in `block_in_place`, so
//! that the worker's other connections move on. A panic in a statement is caught at [`Link::call`]: the client gets
//! XX000, its transaction is rolled back, the connection goes on. Notices of a long statement do not wait for its end (`aside.rs`).
//!
//! **States.** An error in the extended protocol skips to Sync ([`Mode::Skip`]). COPY FROM STDIN is a mode of the loop, not a loop
//! inside it: CopyData is fed to the session as it arrives, a frame's parts one by one, so a COPY of any size takes a read
//! buffer's worth of memory. A simple Query's remaining statements wait in `simple` meanwhile.

use crate::aside::Aside;
use crate::backend::{Backend, BackendSession};
use crate::blocking::block_in_place;
use crate::encode::Replies;
use crate::listener::Shared;
use crate::recode;
use crate::socket::{Socket, client_processor};
use crate::wire::{self, Frontend, Target};
use crate::workers::Place;
use bytes::BytesMut;
use futures_util::task::AtomicWaker;
use serin_sql::types::Type;
use serin_sql::{Error, Format, OUTPUT_BYTES_MAX, Progress, Result as SqlResult, Severity, SqlState};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Free space that a read is given; more while COPY data comes in.
const READ_BYTES: usize = 8 * 1024;
const COPY_READ_BYTES: usize = 64 * 1024;
/// Between two looks for the client, which cost a system call: some tens of milliseconds of a busy connection.
const TURNS_AT_ONE_PLACE: u32 = 1000;

/// A waiting connection keeps no more buffer than this: there may be thousands.
const IDLE_BUFFER_BYTES: usize = 16 * 1024;
/// Work on more input than this is expected to take about a millisecond.
const LONG_INPUT_BYTES: usize = 16 * 1024;
/// For a client to read why its connection ends.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection ended.
pub enum End {
    /// Terminate, or a clean close between messages.
    Terminated,
    /// The client went away without a word.
    Lost(io::Error),
    /// An error to tell the client, after the replies that are buffered.
    Fatal(Error),
    /// An error to tell the client in place of the replies that are buffered.
    NotDurable(Error),
}

/// What stops the handling of a message: its statement failed, or the connection is over.
enum Stop {
    Failed(Error),
    End(End),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error.fields().severity {
            Severity::Fatal => Stop::End(End::Fatal(error)),
            _ => Stop::Failed(error),
        }
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Stop {
        Stop::End(end)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Normal,
    /// An extended-protocol message failed: everything up to Sync is ignored.
    Skip,
    /// COPY FROM STDIN runs; `extended` says how it was started.
    CopyIn {
        extended: bool,
    },
}

/// What an Execute came to.
#[derive(PartialEq, Eq)]
enum Outcome {
    Done,
    CopyIn,
}

/// A simple Query's statements and the one that is next.
struct Simple<P> {
    parsed: Vec<P>,
    next: usize,
}

/// An authenticated connection.
pub struct Connection<B: Backend> {
    input: BytesMut,
    place: Place,
    /// Turns since it was last asked whether the client is elsewhere.
    turns: u32,
    /// The worker that was nearer to the client then.
    nearer: Option<usize>,
    link: Link<B>,
}

/// A value that Bind gives; None: null.
type Parameter<'a> = Option<Cow<'a, [u8]>>;

/// Everything but the input: messages are slices of the input while this is changed.
struct Link<B: Backend> {
    shared: Arc<Shared<B>>,
    socket: Socket,
    session: B::Session,
    replies: Replies,
    mode: Mode,
    simple: Option<Simple<<B::Session as BackendSession>::Parsed>>,
    /// Bytes of a CopyData message's body that are still to come.
    copy_rest: usize,
    alarm: Arc<Alarm>,
    aside: Arc<Aside>,
}

impl<B: Backend> Connection<B> {
    /// `input`: what the client sent behind its start-up packet. `replies`: the start-up's, not written yet.
    pub fn new(
        shared: Arc<Shared<B>>,
        socket: Socket,
        session: B::Session,
        input: BytesMut,
        replies: Vec<u8>,
        place: Place,
    ) -> Connection<B> {
        let mut link = Link {
            shared,
            socket,
            session,
            replies: Replies::default(),
            mode: Mode::Normal,
            simple: None,
            copy_rest: 0,
            alarm: Arc::default(),
            aside: Arc::default(),
        };
        link.replies.buffer = replies;
        let reported = link.session.reported_parameters();
        if let Some((_, name)) = reported.iter().find(|(name, _)| *name == "client_encoding") {
            link.replies.start_in(name);
        }
        Connection { input, place, turns: 0, nearer: None, link }
    }

    /// Serves the client until one side ends it.
    pub async fn run(mut self) {
        let mut end = self.serve().await;
        let mut link = self.link;
        if let Mode::CopyIn { .. } = link.mode {
            let _ = link.call(|session, _| Err::<(), _>(session.copy_in_fail("client connection lost")));
        }
        if let End::Fatal(_) = end {
            // Replies before the error are answers to statements that ran; they still want durability.
            end = link.durable().await.map_or_else(End::NotDurable, |()| end);
        }
        // What the session had open is rolled back, its locks are free: before the last words, which the client may
        // take for ever to read.
        let Link { session, socket, mut replies, .. } = link;
        drop(session);
        let error = match end {
            End::Terminated => return tracing::debug!("disconnected"),
            End::Lost(error) => return tracing::debug!(%error, "connection lost"),
            End::Fatal(error) => error,
            End::NotDurable(error) => {
                tracing::error!(%error, "commits can't be made durable");
                replies.clear(0);
                error.fatal()
            }
        };
        tracing::debug!(%error, "connection ended");
        wire::error_response(&mut replies.buffer, &error);
        replies.recode();
        farewell(socket, &replies.buffer).await;
    }

    async fn serve(&mut self) -> End {
        let alarm = self.link.alarm.clone();
        self.link.session.set_waker(Box::new(move || alarm.ring()));
        let aside = self.link.aside.clone();
        self.link
            .session
            .set_notice_sink(Box::new(move |notices, interrupted| aside.say(notices, interrupted)));
        // A shutdown that began before the session was there to be told.
        if self.link.shared.is_stopping() {
            return End::Fatal(shutting_down());
        }
        loop {
            if let Err(end) = self.handle_input().await {
                return end;
            }
            // The worker's other sessions that have input run first, and all replies leave together: a client that
            // serves many connections is woken once for many of them.
            tokio::task::yield_now().await;
            if let Err(end) = self.link.flush().await {
                return end;
            }
            if self.link.session.has_notifications() && self.link.mode == Mode::Normal {
                // Waked while busy, or there were more than fit into the buffer.
                if let Err(end) = self.link.deliver() {
                    return end;
                }
                continue;
            }
            self.make_room();
            self.turns += 1;
            if self.turns == TURNS_AT_ONE_PLACE
                && let Err(error) = self.follow_client().await
            {
                return End::Lost(error);
            }
            tokio::select! {
                biased;
                read = self.link.socket.read_buf(&mut self.input) => match read {
                    Ok(0) if self.input.is_empty() && self.link.mode == Mode::Normal => return End::Terminated,
                    Ok(0) => return End::Lost(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                    Err(error) => return End::Lost(error),
                },
                () = self.link.alarm.rings() => if let Some(error) = self.link.session.pending_fatal() {
                    return End::Fatal(error);
                },
            }
        }
    }

    /// Moves to the worker that runs where the client does, if it was the same when last asked: threads move for a moment, too.
    async fn follow_client(&mut self) -> io::Result<()> {
        self.turns = 0;
        let Socket::Tcp(stream) = &self.link.socket else { return Ok(()) };
        let nearer = client_processor(stream).and_then(|processor| self.place.nearer(processor));
        let before = std::mem::replace(&mut self.nearer, nearer);
        let Some(worker) = nearer.filter(|_| nearer == before) else { return Ok(()) };
        // A second descriptor, as only a stream that nobody uses leaves its runtime. Where there is none to be had, nothing moves.
        let Ok(same) = stream.as_fd().try_clone_to_owned() else { return Ok(()) };
        self.place.move_to(worker).await;
        self.link.socket = Socket::Tcp(TcpStream::from_std(same.into())?);
        Ok(())
    }

    /// Handles every complete frame in the input.
    async fn handle_input(&mut self) -> Result<(), End> {
        let mut at = 0;
        loop {
            let rest = &self.input[at..];
            let (used, fed) = self.link.copy_frames(rest);
            at += used;
            if let Err(error) = fed {
                self.link.stopped(error.into()).await?;
                continue;
            }
            let rest = &self.input[at..];
            let header = wire::frame_header(rest, self.link.shared.message_max).map_err(End::Fatal)?;
            let Some(header) = header.filter(|header| !header.is_copy_data()) else { break };
            let Some(body) = rest.get(wire::HEADER..wire::HEADER + header.body) else { break };
            at += wire::HEADER + header.body;
            self.link.message(header.tag, body).await?;
            if self.link.replies.buffer.len() > OUTPUT_BYTES_MAX {
                self.link.flush().await?;
            }
        }
        if at == self.input.len() {
            self.input.clear();
        } else {
            bytes::Buf::advance(&mut self.input, at);
        }
        Ok(())
    }

    /// Space for the next read. A large message's buffer grows with what has arrived, not with what its length claims.
    fn make_room(&mut self) {
        if self.input.is_empty()
            && self.input.capacity() > IDLE_BUFFER_BYTES
            && self.link.mode == Mode::Normal
        {
            self.input = BytesMut::new();
        }
        let wanted = match self.link.mode {
            Mode::CopyIn { .. } => COPY_READ_BYTES,
            _ => READ_BYTES,
        };
        if self.input.capacity() - self.input.len() < wanted / 2 {
            self.input.reserve(wanted);
        }
    }
}

impl<B: Backend> Link<B> {
    /// One message that is not CopyData.
    async fn message(&mut self, tag: u8, body: &[u8]) -> Result<(), End> {
        if self.mode == Mode::Skip && !wire::is_sync_or_terminate(tag) {
            return Ok(());
        }
        match self.dispatch(tag, body).await {
            Ok(()) => Ok(()),
            Err(stop) => {
                if wire::is_extended(tag) && self.mode == Mode::Normal {
                    self.mode = Mode::Skip;
                }
                self.stopped(stop).await
            }
        }
    }

    /// Answers a failed statement. How depends on the protocol it came by: on to Sync, or ready for the next query.
    async fn stopped(&mut self, stop: Stop) -> Result<(), End> {
        let error = match stop {
            Stop::Failed(error) => error,
            Stop::End(end) => return Err(end),
        };
        wire::error_response(&mut self.replies.buffer, &error);
        self.simple = None;
        match self.mode {
            Mode::Skip | Mode::CopyIn { extended: true } => self.mode = Mode::Skip,
            Mode::Normal | Mode::CopyIn { extended: false } => {
                self.mode = Mode::Normal;
                self.ready()?;
            }
        }
        self.flush().await
    }

    async fn dispatch(&mut self, tag: u8, body: &[u8]) -> Result<(), Stop> {
        let recoded;
        let body = match self.replies.encoding() {
            None => body,
            Some(encoding) => {
                recoded = recode::incoming(encoding, tag, body).map_err(|error| self.fail(error))?;
                &*recoded
            }
        };
        let message = match wire::decode(tag, body) {
            Ok(message) => message,
            Err(error) => return Err(self.fail(error)),
        };
        if let Mode::CopyIn { extended } = self.mode {
            return self.copy_message(message, extended, tag).await;
        }
        match message {
            Frontend::Query(sql) => self.query(sql).await,
            Frontend::Parse { name, sql, types } => {
                let long = sql.len() > LONG_INPUT_BYTES;
                self.call_long(long, |session, _| session.prepare(name, sql, &types))?;
                wire::parse_complete(&mut self.replies.buffer);
                Ok(())
            }
            Frontend::Bind(bind) => {
                let converted = self.convert_parameters(&bind)?;
                let converted: Option<Vec<Option<&[u8]>>> =
                    converted.as_ref().map(|values| values.iter().map(|value| value.as_deref()).collect());
                let parameters = converted.as_deref().unwrap_or(&bind.parameters);
                let long = body.len() > LONG_INPUT_BYTES;
                self.call_long(long, |session, _| {
                    session.bind(
                        bind.portal,
                        bind.statement,
                        parameters,
                        &bind.parameter_formats,
                        &bind.result_formats,
                    )
                })?;
                wire::bind_complete(&mut self.replies.buffer);
                Ok(())
            }
            Frontend::Describe(Target::Statement, name) => {
                let (parameters, fields) = self.call(|session, _| session.describe_statement(name))?;
                wire::parameter_description(&mut self.replies.buffer, &parameters);
                match fields {
                    Some(fields) => wire::row_description(&mut self.replies.buffer, &fields, &[]),
                    None => wire::no_data(&mut self.replies.buffer),
                }
                Ok(())
            }
            Frontend::Describe(Target::Portal, name) => {
                self.call(|session, replies| {
                    match session.describe_portal(name)? {
                        (Some(fields), formats) => {
                            wire::row_description(&mut replies.buffer, fields, formats)
                        }
                        (None, _) => wire::no_data(&mut replies.buffer),
                    }
                    Ok(())
                })?;
                Ok(())
            }
            Frontend::Execute { portal, max_rows } => {
                if self.execute(portal, max_rows).await? == Outcome::CopyIn {
                    self.mode = Mode::CopyIn { extended: true };
                    self.flush().await?;
                }
                Ok(())
            }
            Frontend::Close(target, name) => {
                self.call(|session, _| {
                    match target {
                        Target::Statement => session.close_statement(name),
                        Target::Portal => session.close_portal(name),
                    }
                    Ok(())
                })?;
                wire::close_complete(&mut self.replies.buffer);
                Ok(())
            }
            Frontend::Flush => Ok(self.flush().await?),
            Frontend::Sync => {
                self.mode = Mode::Normal;
                Ok(self.ready()?)
            }
            // A client that was still sending when its COPY failed.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Ok(()),
            Frontend::FunctionCall(call) => self.function_call(call).await,
            Frontend::Password => Err(End::Fatal(
                Error::new(SqlState::PROTOCOL_VIOLATION, format!("invalid frontend message type {tag}"))
                    .fatal(),
            )
            .into()),
            Frontend::Terminate => Err(End::Terminated.into()),
        }
    }

    /// Bind's parameters in UTF-8; None: they are as they should be.
    fn convert_parameters<'a>(&mut self, bind: &wire::Bind<'a>) -> Result<Option<Vec<Parameter<'a>>>, Stop> {
        let Some(encoding) = self.replies.encoding() else { return Ok(None) };
        if bind.parameters.iter().flatten().all(|value| value.is_ascii()) {
            return Ok(None);
        }
        let format = |index: usize| match bind.parameter_formats.as_slice() {
            [all] => *all,
            each => each.get(index).copied().unwrap_or(Format::Text),
        };
        let types = self.call(|session, _| session.describe_statement(bind.statement))?.0;
        let mut converted = Vec::with_capacity(bind.parameters.len());
        for (index, value) in bind.parameters.iter().enumerate() {
            let data_type = match format(index) {
                Format::Text => None,
                Format::Binary => Some(types.get(index).map_or(Type::BYTEA, |oid| Type(*oid))),
            };
            let value = value.map(|value| recode::parameter(encoding, value, data_type)).transpose();
            converted.push(value.map_err(|error| self.fail(error))?);
        }
        Ok(Some(converted))
    }

    /// Carried out as a SELECT of the function under a name that no client can say: names end at a zero byte.
    async fn function_call(&mut self, call: wire::FunctionCall<'_>) -> Result<(), Stop> {
        const NAME: &str = "\0function call";
        let count = call.arguments.len();
        let (sql, types) = self.call(|session, _| session.function_call(call.function, count))?;
        self.call_long(true, |session, _| session.prepare(NAME, &sql, &types))?;
        let bind = wire::Bind {
            portal: NAME,
            statement: NAME,
            parameter_formats: call.argument_formats,
            parameters: call.arguments,
            result_formats: SmallVec::from_slice(&[call.result_format]),
        };
        let converted = self.convert_parameters(&bind)?;
        let parameters: Option<Vec<_>> =
            converted.as_ref().map(|values| values.iter().map(Option::as_deref).collect());
        let parameters = parameters.as_deref().unwrap_or(&bind.parameters);
        self.call_long(true, |session, _| {
            session.bind(NAME, NAME, parameters, &bind.parameter_formats, &bind.result_formats)
        })?;
        self.replies.set_function_call(true);
        let outcome = self.execute(NAME, 0).await;
        self.replies.set_function_call(false);
        outcome?;
        self.call(|session, _| {
            session.close_portal(NAME);
            session.close_statement(NAME);
            Ok(())
        })?;
        Ok(self.ready()?)
    }

    // ---- simple protocol ----

    async fn query(&mut self, sql: &str) -> Result<(), Stop> {
        tracing::debug!(sql, "query");
        let long = sql.len() > LONG_INPUT_BYTES;
        let parsed = self.call_long(long, |session, _| session.parse(sql))?;
        if parsed.is_empty() {
            wire::empty_query_response(&mut self.replies.buffer);
        }
        self.simple = Some(Simple { parsed, next: 0 });
        self.run_simple().await
    }

    /// Runs a Query's statements from the next one on; at the end of the last the client may send another Query.
    async fn run_simple(&mut self) -> Result<(), Stop> {
        while let Some(mut simple) = self.simple.take().filter(|simple| simple.next < simple.parsed.len()) {
            self.call(|session, replies| session.start_simple(&simple.parsed, simple.next, replies))?;
            simple.next += 1;
            self.simple = Some(simple);
            if self.execute("", 0).await? == Outcome::CopyIn {
                self.mode = Mode::CopyIn { extended: false };
                self.flush().await?;
                return Ok(());
            }
        }
        Ok(self.ready()?)
    }

    /// Sync, and the end of a Query: the implicit transaction ends.
    fn ready(&mut self) -> Result<(), End> {
        // An error here (a constraint checked at commit) is reported before ReadyForQuery; the transaction is over
        // all the same.
        let long = self.session.is_end_long();
        if let Err(error) = self.call_long(long, |session, replies| session.sync(replies)) {
            match Stop::from(error) {
                Stop::Failed(error) => wire::error_response(&mut self.replies.buffer, &error),
                Stop::End(end) => return Err(end),
            }
        }
        wire::ready_for_query(&mut self.replies.buffer, self.session.transaction_status());
        Ok(())
    }

    // ---- execution ----

    /// Runs a portal until it completes, suspends or wants COPY data, writing the output as the buffer fills.
    async fn execute(&mut self, portal: &str, max_rows: u64) -> Result<Outcome, Stop> {
        self.replies.start_counting();
        let (mut copying_out, mut paused) = (false, false);
        loop {
            let remaining = max_rows.saturating_sub(self.replies.row_count());
            // What has filled a buffer is no short statement, whatever was expected of it.
            let long = paused || self.session.is_long(portal);
            let progress = self.call_long(long, |session, out| session.execute(portal, remaining, out))?;
            let rows = self.replies.row_count();
            let is_function_call = self.replies.is_function_call();
            let out = &mut self.replies.buffer;
            match progress {
                Progress::Complete(_) if is_function_call => return Ok(Outcome::Done),
                Progress::Complete(tag) => {
                    if copying_out {
                        wire::copy_done(out);
                    }
                    wire::command_complete(out, &tag);
                    return Ok(Outcome::Done);
                }
                Progress::EmptyQuery => {
                    wire::empty_query_response(out);
                    return Ok(Outcome::Done);
                }
                Progress::Suspended => {
                    wire::portal_suspended(out);
                    return Ok(Outcome::Done);
                }
                Progress::Paused => {
                    // The limit was reached with the row that filled the buffer. A call with 0 would mean no limit.
                    if max_rows != 0 && rows >= max_rows {
                        wire::portal_suspended(out);
                        return Ok(Outcome::Done);
                    }
                    // Short replies wait for the end of the message, as PostgreSQL's do: clients take the first bytes for a sign
                    // that the whole answer is about to come.
                    if self.replies.buffer.len() >= OUTPUT_BYTES_MAX {
                        self.flush().await?;
                    }
                    paused = true;
                }
                Progress::Waiting => self.wait().await,
                Progress::CopyIn { binary, columns } => {
                    wire::copy_in_response(out, binary, columns);
                    return Ok(Outcome::CopyIn);
                }
                Progress::CopyOut { binary, columns } => {
                    wire::copy_out_response(out, binary, columns);
                    copying_out = true;
                }
            }
        }
    }

    /// Waits for the lock that the session wants. `block_in_place` would do, at the price of thread switches (figures in
    /// ARCHITECTURE.md): this is for hot rows and the serial token, which every transaction may have to wait for.
    async fn wait(&mut self) {
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        poll_fn(|context| {
            while let Some(at) = self.session.poll_wait(context.waker()) {
                timer.as_mut().reset(at.into());
                if timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        })
        .await
    }

    /// Calls the session; a panic in it becomes an error.
    fn call<R>(&mut self, work: impl FnOnce(&mut B::Session, &mut Replies) -> SqlResult<R>) -> SqlResult<R> {
        self.replies.mark();
        let (session, replies) = (&mut self.session, &mut self.replies);
        // Unwind safety: what the panic left behind is given up. The session's transaction is rolled back below, half a
        // reply is cut off.
        match catch_unwind(AssertUnwindSafe(|| work(session, replies))) {
            Ok(result) => result,
            Err(panic) => {
                self.replies.cut_to_mark();
                let error = Error::internal(format!("internal error: {}", panic_text(&*panic)));
                match catch_unwind(AssertUnwindSafe(|| self.session.fail())) {
                    Ok(()) => Err(error),
                    // Not even the rollback works: this session is of no use any more.
                    Err(_) => Err(error.fatal()),
                }
            }
        }
    }

    fn call_long<R>(
        &mut self,
        long: bool,
        work: impl FnOnce(&mut B::Session, &mut Replies) -> SqlResult<R>,
    ) -> SqlResult<R> {
        if !long {
            return self.call(work);
        }
        block_in_place(|| {
            let socket = std::mem::replace(&mut self.socket, Socket::Lent);
            self.aside.lend(socket, self.replies.set_aside());
            let result = self.call(work);
            let (socket, before) = self.aside.take_back();
            self.socket = socket;
            self.replies.put_before(before);
            result
        })
    }

    /// An error of the server's own: the transaction fails with it.
    fn fail(&mut self, error: Error) -> Stop {
        let outcome = self.call(|session, _| {
            session.fail();
            Ok(())
        });
        outcome.err().unwrap_or(error).into()
    }

    // ---- COPY FROM STDIN ----

    /// Takes CopyData, whole frames or parts of one, off the front of `input`: fed to the session while a COPY runs,
    /// ignored otherwise (a client may still be sending when its COPY has failed). Returns the bytes taken.
    fn copy_frames(&mut self, input: &[u8]) -> (usize, SqlResult<()>) {
        let message_max = self.shared.message_max;
        let next_is_data = |rest: &[u8]| {
            // An invalid header is for the caller to report.
            wire::frame_header(rest, message_max).ok().flatten().filter(wire::Header::is_copy_data)
        };
        if self.copy_rest == 0 && next_is_data(input).is_none() {
            return (0, Ok(()));
        }
        let feed = matches!(self.mode, Mode::CopyIn { .. });
        let mut at = 0;
        let mut rest = self.copy_rest;
        let result = self.call_long(feed && input.len() > LONG_INPUT_BYTES, |session, replies| {
            loop {
                let part = &input[at..][..rest.min(input.len() - at)];
                at += part.len();
                rest -= part.len();
                if feed && !part.is_empty() {
                    session.copy_in_data(part, replies)?;
                }
                match next_is_data(&input[at..]) {
                    Some(header) if rest == 0 => {
                        at += wire::HEADER;
                        rest = header.body;
                    }
                    _ => return Ok(()),
                }
            }
        });
        self.copy_rest = rest;
        (at, result)
    }

    /// A message that is not CopyData while a COPY runs.
    async fn copy_message(&mut self, message: Frontend<'_>, extended: bool, tag: u8) -> Result<(), Stop> {
        match message {
            // Flush and Sync may come from a pipelining client that did not know that its statement is a COPY.
            Frontend::Flush | Frontend::Sync => Ok(()),
            Frontend::CopyDone => {
                let progress = self.call_long(true, |session, replies| session.copy_in_done(replies))?;
                let Progress::Complete(tag) = progress else {
                    return Err(self.fail(Error::internal("COPY did not complete")));
                };
                wire::command_complete(&mut self.replies.buffer, &tag);
                self.mode = Mode::Normal;
                if extended { Ok(()) } else { self.run_simple().await }
            }
            Frontend::CopyFail(reason) => Err(self
                .call(|session, _| Err::<(), _>(session.copy_in_fail(reason)))
                .expect_err("always")
                .into()),
            Frontend::Terminate => Err(End::Terminated.into()),
            _ => {
                let reason = format!("unexpected message type 0x{tag:02X} during COPY from stdin");
                let error = Error::new(SqlState::PROTOCOL_VIOLATION, reason.clone());
                let failed = self.call(|session, _| {
                    session.copy_in_fail(&reason);
                    Ok(())
                });
                Err(failed.err().unwrap_or(error).into())
            }
        }
    }

    // ---- writing ----

    /// Notifications for an idle client.
    fn deliver(&mut self) -> Result<(), End> {
        let delivered = self.call(|session, replies| {
            session.deliver_notifications(replies);
            Ok(())
        });
        delivered.map_err(|error| End::Fatal(error.fatal()))
    }

    /// Waits until every commit whose answer is buffered is durable.
    async fn durable(&mut self) -> SqlResult<()> {
        match self.session.take_durable_at() {
            Some(ts) => self.shared.backend.durable(ts).await,
            None => Ok(()),
        }
    }

    /// Writes the buffered replies to the socket.
    async fn flush(&mut self) -> Result<(), End> {
        if self.replies.buffer.is_empty() {
            return Ok(());
        }
        self.durable().await.map_err(End::NotDurable)?;
        self.write().await.map_err(End::Lost)
    }

    async fn write(&mut self) -> io::Result<()> {
        self.replies.recode();
        let (socket, buffer) = (&mut self.socket, &self.replies.buffer);
        let mut written = std::pin::pin!(async {
            socket.write_all(buffer).await?;
            socket.flush().await // TLS keeps records back; nothing for plain sockets
        });
        loop {
            tokio::select! {
                biased;
                written = &mut written => break written?,
                // A client that does not read can't be told, half a message being under way; but its session ends. Notifications
                // wait until it has read.
                () = self.alarm.rings() => if self.session.pending_fatal().is_some() {
                    return Err(io::Error::other("terminated while the client did not read"));
                },
            }
        }
        self.replies.clear(IDLE_BUFFER_BYTES);
        Ok(())
    }
}

/// The last words on a connection, for a client that reads them in time.
pub async fn farewell(mut socket: Socket, words: &[u8]) {
    let said = async {
        socket.write_all(words).await?;
        socket.flush().await?;
        socket.shutdown().await
    };
    let _ = tokio::time::timeout(FAREWELL_TIMEOUT, said).await;
}

/// Rings when the session is terminated from outside: heard wherever its connection waits for the client.
#[derive(Default)]
struct Alarm {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Alarm {
    fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waker.wake();
    }
    /// Registering is one atomic operation while the task stays the same: cheap enough for every wait.
    async fn rings(&self) {
        std::future::poll_fn(|context| {
            self.waker.register(context.waker());
            // Behind the registration, so that a ring in between is not missed.
            match self.rung.swap(false, Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await
    }
}

pub fn shutting_down() -> Error {
    Error::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command").fatal()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "panic",
    }
}
