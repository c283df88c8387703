//! What a statement says while it runs: notices, ahead of its answer.
//!
//! A statement that may take long runs in `block_in_place`, with its connection's task below it on the stack. For that time the
//! task lends its socket, and the replies that stand before the statement's, to an [`Aside`] that the session knows as its
//! [`NoticeSink`](serin_sql::NoticeSink). A notice is written at once, as PostgreSQL does it: a client can follow a long DO block, sees
//! what happened before a statement began to wait, and notices don't pile up in memory. Those of short statements wait for the answer.
//!
//! The write waits for a client that does not read, like any other wait of a statement: until it is cancelled, times out or
//! is terminated. What could not be written then goes before what is sent next.

use crate::encode::Replies;
use crate::socket::Socket;
use crate::wire;
use parking_lot::Mutex;
use serin_sql::{Error, Said};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;

/// Between two looks for an interrupt while the client does not read.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Default)]
pub struct Aside(Mutex<Option<Lent>>);

struct Lent {
    socket: Socket,
    replies: Replies,
    /// Bytes of `replies` that are written.
    written: usize,
}

impl Aside {
    pub fn lend(&self, socket: Socket, replies: Replies) {
        *self.0.lock() = Some(Lent { socket, replies, written: 0 });
    }

    /// The socket, and what is still to be written before anything else.
    pub fn take_back(&self) -> (Socket, Replies) {
        let mut lent = self.0.lock().take().expect("it was lent");
        lent.replies.written(lent.written);
        (lent.socket, lent.replies)
    }

    pub fn say(&self, notices: Vec<Error>, interrupted: &dyn Fn() -> bool) -> Said {
        let mut lent = self.0.lock();
        let Some(lent) = &mut *lent else { return Said::NotNow(notices) };
        for notice in &notices {
            wire::notice_response(&mut lent.replies.buffer, notice);
        }
        lent.replies.recode();
        match Handle::current().block_on(lent.write(interrupted)) {
            Ok(()) => Said::Yes,
            Err(_) => Said::Lost,
        }
    }
}

impl Lent {
    async fn write(&mut self, interrupted: &dyn Fn() -> bool) -> io::Result<()> {
        while let Some(rest) = self.replies.buffer.get(self.written..).filter(|rest| !rest.is_empty()) {
            match tokio::time::timeout(LOOK_EVERY, self.socket.write(rest)).await {
                Ok(bytes) => match bytes? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    bytes => self.written += bytes,
                },
                Err(_) if interrupted() => return Ok(()),
                Err(_) => {}
            }
        }
        self.replies.written(self.written);
        self.written = 0;
        // TLS keeps records back.
        loop {
            match tokio::time::timeout(LOOK_EVERY, self.socket.flush()).await {
                Ok(flushed) => return flushed,
                Err(_) if interrupted() => return Ok(()),
                Err(_) => {}
            }
        }
    }
}
