//! Accepting connections, what all of them share, and ending them.

use crate::auth::Authentication;
use crate::backend::Backend;
use crate::socket::{Socket, client_processor};
use crate::startup;
use crate::workers::Pool;
use pgwire::tokio::TlsAcceptor;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};

/// Sockets that have not authenticated yet, beyond `max_connections`: cancel requests need room on a full server,
/// a flood of silent sockets must not take every file descriptor.
const UNAUTHENTICATED_MAX: usize = 200;

/// What every connection needs.
pub struct Shared<B> {
    pub backend: B,
    pub message_max: usize,
    pub authentication_timeout: Duration,
    pub authentication: Authentication,
    pub tls: Option<TlsAcceptor>,
    max_connections: usize,
    connections: AtomicUsize,
    sockets: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

pub struct Limits {
    pub message_max: usize,
    pub authentication_timeout: Duration,
    pub max_connections: usize,
}

impl<B: Backend> Shared<B> {
    pub fn new(
        backend: B,
        limits: Limits,
        authentication: Authentication,
        tls: Option<TlsAcceptor>,
    ) -> Arc<Shared<B>> {
        Arc::new(Shared {
            backend,
            message_max: limits.message_max,
            authentication_timeout: limits.authentication_timeout,
            authentication,
            tls,
            max_connections: limits.max_connections,
            connections: AtomicUsize::new(0),
            sockets: Arc::new(Semaphore::new(limits.max_connections + UNAUTHENTICATED_MAX)),
            stop: watch::Sender::new(false),
        })
    }

    /// Takes one of `max_connections`; given back by [`Shared::leave`].
    pub fn enter(&self) -> Option<()> {
        self.connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < self.max_connections).then_some(count + 1)
            })
            .ok()
            .map(|_| ())
    }
    pub fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }
    /// Resolves when the server shuts down.
    pub async fn stopping(&self) {
        // An error means that the sender is gone, which is this very object.
        let _ = self.stop.subscribe().wait_for(|&stop| stop).await;
    }
}

/// Sockets to accept from.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Replies are written once per batch; waiting for more would only delay them.
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream.into_std()?))
            }
            Listener::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0.into_std()?)),
        }
    }
}

/// A socket on its way from the runtime that accepted it to the one that will serve it.
enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    fn processor(&self) -> Option<usize> {
        match self {
            Accepted::Tcp(stream) => client_processor(stream),
            Accepted::Unix(_) => None,
        }
    }

    fn register(self) -> io::Result<Socket> {
        Ok(match self {
            Accepted::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Accepted::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}

/// Runs until [`Server::stop`].
pub struct Server<B: Backend> {
    shared: Arc<Shared<B>>,
    /// Held by every task; the receiver ends when the last is gone.
    alive: mpsc::Sender<Infallible>,
    gone: mpsc::Receiver<Infallible>,
}

impl<B: Backend> Server<B> {
    /// Accepts on the caller's runtime, serves on the workers.
    pub fn start(shared: Arc<Shared<B>>, listeners: Vec<Listener>, workers: &Pool) -> Server<B> {
        let (alive, gone) = mpsc::channel(1);
        for listener in listeners {
            tokio::spawn(accept_all(shared.clone(), listener, workers.clone(), alive.clone()));
        }
        Server { shared, alive, gone }
    }

    /// Stops accepting, interrupts what runs, tells every client, and waits for them to be gone: at most `patience`.
    /// Returns whether they are.
    pub async fn stop(mut self, patience: Duration) -> bool {
        self.shared.stop.send_replace(true);
        self.shared.backend.terminate_all();
        drop(self.alive);
        tokio::time::timeout(patience, self.gone.recv()).await.is_ok()
    }
}

async fn accept_all<B: Backend>(
    shared: Arc<Shared<B>>,
    listener: Listener,
    workers: Pool,
    alive: mpsc::Sender<Infallible>,
) {
    let mut stopping = std::pin::pin!(shared.stopping());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopping => return,
        };
        match accepted {
            Ok(socket) => {
                // Above the limit the socket is closed without a word: this is a flood, not a client.
                let Ok(permit) = shared.sockets.clone().try_acquire_owned() else {
                    tracing::warn!("too many unauthenticated connections");
                    continue;
                };
                let (shared, alive) = (shared.clone(), alive.clone());
                workers.spawn(socket.processor(), async move |place| {
                    match socket.register() {
                        Ok(socket) => startup::serve(shared, socket, place).await,
                        Err(error) => tracing::warn!(%error, "could not serve a connection"),
                    }
                    drop((permit, alive));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                // Mostly a lack of file descriptors, which the next attempt would meet at once.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}
