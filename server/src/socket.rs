//! TCP, Unix-domain and TLS streams as one type, so that the connection loop is compiled once.

use pgwire::tokio::tokio_rustls::server::TlsStream;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Boxed: TLS state is a few kilobytes, and most connections have none.
    Tls(Box<TlsStream<TcpStream>>),
    /// In an [`Aside`](crate::aside::Aside).
    Lent,
}

/// The processor that the client's packets arrive on; over the loopback interface, the one it runs on.
pub fn client_processor(stream: &impl AsFd) -> Option<usize> {
    #[cfg(target_os = "linux")]
    return socket2::SockRef::from(stream).cpu_affinity().ok();
    #[cfg(not(target_os = "linux"))]
    return None;
}

impl Socket {
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(stream) => stream.peer_addr().ok(),
            Socket::Unix(_) | Socket::Lent => None,
            Socket::Tls(stream) => stream.get_ref().0.peer_addr().ok(),
        }
    }
}

/// Calls the same method on whichever stream it is.
macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Socket::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Socket::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
            Socket::Lent => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write(cx, buf))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_shutdown(cx))
    }
}
