//! Opening: the driver connects, secures and authenticates as everywhere else, and then hands its stream over.
//!
//! The driver keeps its socket to itself. What it does give out of its hands is the socket it wants secured; so the
//! stream that comes back from there is kept in a place of ours, and the driver only borrows it while it opens the session.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_postgres::config::{Host, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Config, NoTls, Socket};

/// Both directions of a connection.
pub(in crate::pg) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A connection on which a session is open and idle.
pub(in crate::pg) type Stream = Box<dyn Duplex>;

/// Why a session on a socket was not opened.
#[derive(Debug, thiserror::Error)]
pub(in crate::pg) enum SocketError {
    #[error("error connecting to server: {0}")]
    Socket(io::Error),
    #[error(transparent)]
    Driver(tokio_postgres::Error),
}

/// Opens a session through the first socket of the file system that lets it.
///
/// # Errors
/// That of the last one.
pub(in crate::pg) async fn on_socket(config: &Config) -> Result<Stream, SocketError> {
    let mut failed = SocketError::Socket(io::Error::new(io::ErrorKind::InvalidInput, "no socket is named"));
    for (index, host) in config.get_hosts().iter().enumerate() {
        let Host::Unix(folder) = host else { continue };
        let port = config.get_ports().get(index).or(config.get_ports().first()).copied().unwrap_or(5432);
        let mut stream = match UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await {
            Ok(stream) => stream,
            Err(error) => {
                failed = SocketError::Socket(error);
                continue;
            }
        };
        match config.connect_raw(&mut stream, NoTls).await.map(drop) {
            Ok(()) => return Ok(Box::new(stream)),
            Err(error) => failed = SocketError::Driver(error),
        }
    }
    Err(failed)
}

/// Opens a session over TCP without TLS.
///
/// # Errors
/// The driver's.
pub(in crate::pg) async fn in_the_clear(config: &Config) -> Result<Stream, tokio_postgres::Error> {
    let mut config = config.clone();
    // "Direct" leaves it to the connector to say the first word, and this one says none.
    config.ssl_mode(tokio_postgres::config::SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let kept = kept(&config, Plain).await?;
    Ok(kept.unwrap_or_else(|| unreachable!("a connector that was required was used")))
}

/// Opens a session over TLS; `None` when the server has none and the settings leave it at that.
///
/// # Errors
/// The driver's.
pub(in crate::pg) async fn secured<M>(config: &Config, make: M) -> Result<Option<Stream>, tokio_postgres::Error>
where
    M: MakeTlsConnect<Socket>,
    M::Stream: 'static,
    M::TlsConnect: 'static,
    <M::TlsConnect as TlsConnect<Socket>>::Future: 'static,
{
    kept(config, make).await
}

async fn kept<M>(config: &Config, make: M) -> Result<Option<Stream>, tokio_postgres::Error>
where
    M: MakeTlsConnect<Socket>,
    M::Stream: 'static,
    M::TlsConnect: 'static,
    <M::TlsConnect as TlsConnect<Socket>>::Future: 'static,
{
    let place = Rc::new(RefCell::new(None));
    // Both halves of the driver end here; neither says good-bye to the server.
    drop(config.connect(Keeping { make, place: Rc::clone(&place) }).await?);
    let stream = place.borrow_mut().take();
    Ok(stream.map(|stream| Box::new(stream) as Stream))
}

type Place<S> = Rc<RefCell<Option<S>>>;

/// A maker of connectors, or a connector, that keeps the stream it makes.
struct Keeping<M, S> {
    make: M,
    place: Place<S>,
}

impl<M> MakeTlsConnect<Socket> for Keeping<M, M::Stream>
where
    M: MakeTlsConnect<Socket>,
    M::Stream: 'static,
    M::TlsConnect: 'static,
    <M::TlsConnect as TlsConnect<Socket>>::Future: 'static,
{
    type Stream = Lent<M::Stream>;
    type TlsConnect = Keeping<M::TlsConnect, M::Stream>;
    type Error = M::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, M::Error> {
        Ok(Keeping { make: self.make.make_tls_connect(domain)?, place: Rc::clone(&self.place) })
    }
}

impl<C, S> TlsConnect<Socket> for Keeping<C, S>
where
    C: TlsConnect<Socket, Stream = S> + 'static,
    C::Future: 'static,
    S: TlsStream + Unpin + 'static,
{
    type Stream = Lent<S>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Lent<S>, C::Error>>>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let connecting = self.make.connect(socket);
        Box::pin(async move {
            let stream = connecting.await?;
            *self.place.borrow_mut() = Some(stream);
            Ok(Lent(self.place))
        })
    }
}

/// The stream as the driver sees it.
struct Lent<S>(Place<S>);

impl<S> Lent<S> {
    fn with<T>(&self, does: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        match self.0.borrow_mut().as_mut() {
            Some(stream) => does(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

impl<S: TlsStream + Unpin> TlsStream for Lent<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.borrow().as_ref().map_or_else(ChannelBinding::none, TlsStream::channel_binding)
    }
}

/// A connector that leaves the socket as it is.
struct Plain;

impl MakeTlsConnect<Socket> for Plain {
    type Stream = Bare;
    type TlsConnect = Plain;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> io::Result<Plain> {
        Ok(Plain)
    }
}

impl TlsConnect<Socket> for Plain {
    type Stream = Bare;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Bare>>;

    fn connect(self, socket: Socket) -> Self::Future {
        std::future::ready(Ok(Bare(socket)))
    }
}

/// A socket that passes for a secured one.
struct Bare(Socket);

impl TlsStream for Bare {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Bare {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Bare {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
