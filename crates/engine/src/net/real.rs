//! Connections over the machine's own network.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use howdah_core::settings::{Settings, Tcp};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

use super::{Connecting, Endpoint, Net, Socket, take_off_pacing};

/// TCP and Unix sockets, with the socket options of the settings in force.
pub struct RealNet {
    settings: Arc<arc_swap::ArcSwap<Settings>>,
}

impl RealNet {
    /// Reads the `tcp_*` settings anew for each connection.
    #[must_use]
    pub fn new(settings: Arc<arc_swap::ArcSwap<Settings>>) -> RealNet {
        RealNet { settings }
    }
}

impl Net for RealNet {
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> Connecting<'a> {
        Box::pin(async move {
            match endpoint {
                Endpoint::Tcp(host, port) => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await?;
                    let socket = SockRef::from(&stream);
                    apply_tcp(&socket, &self.settings.load().tcp)?;
                    take_off_pacing(&socket, stream.local_addr()?.ip());
                    Socket::tcp(stream.into_std()?)
                }
                Endpoint::Unix(path) => Socket::unix(connect_unix(path).await?),
            }
        })
    }
}

/// Applies `tcp_*` and switches Nagle's algorithm off: whole answers are sent, not pieces.
///
/// # Errors
/// The kernel refuses an option.
pub(crate) fn apply_tcp(socket: &SockRef<'_>, tcp: &Tcp) -> io::Result<()> {
    apply_heritable_tcp(socket, tcp)?;
    apply_other_tcp(socket, tcp)
}

/// What always has a value: connections inherit it from the socket that listens.
///
/// # Errors
/// The kernel refuses an option.
pub(crate) fn apply_heritable_tcp(socket: &SockRef<'_>, tcp: &Tcp) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(tcp.keepalive)
}

/// Has connections acknowledge a client's first bytes together with their answer: they inherit it from the socket that
/// listens. One packet less for each login, of fourteen. The kernel does not wait for the answer longer than 40 ms, but
/// a client that sends piece by piece (Nagle's algorithm) would wait as long: see [`Socket::acknowledge`].
pub(crate) fn acknowledge_with_the_answer(listener: &SockRef<'_>) {
    if let Err(error) = listener.set_tcp_quickack(false) {
        tracing::debug!(%error, "first bytes are acknowledged at once");
    }
}

/// What may be left to the system, so that there is no value that takes it back.
///
/// # Errors
/// The kernel refuses an option.
pub(crate) fn apply_other_tcp(socket: &SockRef<'_>, tcp: &Tcp) -> io::Result<()> {
    if let Some(bytes) = tcp.socket_buffer {
        socket.set_recv_buffer_size(bytes)?;
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(timeout) = tcp.user_timeout {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    let is_default = tcp.keepidle.is_none() && tcp.keepintvl.is_none() && tcp.keepcnt.is_none();
    if !tcp.keepalive || is_default {
        return Ok(());
    }
    let mut keepalive = TcpKeepalive::new();
    if let Some(idle) = tcp.keepidle {
        keepalive = keepalive.with_time(idle);
    }
    if let Some(interval) = tcp.keepintvl {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(count) = tcp.keepcnt {
        keepalive = keepalive.with_retries(count);
    }
    socket.set_tcp_keepalive(&keepalive)
}

async fn connect_unix(path: &std::path::Path) -> io::Result<std::os::unix::net::UnixStream> {
    use std::os::unix::ffi::OsStrExt;
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        None => UnixStream::connect(path).await?.into_std(),
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        }
    }
}

/// PostgreSQL's name for the Unix socket of a port: `DIR/.s.PGSQL.PORT`.
#[must_use]
pub(crate) fn unix_socket_path(directory: &str, port: u16) -> PathBuf {
    PathBuf::from(format!("{directory}/.s.PGSQL.{port}"))
}
