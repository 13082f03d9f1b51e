//! The open doors: TCP addresses and the Unix socket.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use howdah_core::facts::{Address, CloseReason};
use howdah_core::settings::{Listen, Tcp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use socket2::{Domain, SockRef, Socket as RawSocket, Type};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

use crate::net::{
    Ends, acknowledge_with_the_answer, apply_heritable_tcp, apply_other_tcp, defer_accept, known, local_of,
    take_off_pacing, unix_socket_path, watch,
};
use crate::worker::{Arrival, Worker};

/// Doors that are open but not yet watched.
pub(crate) struct Doors {
    tcp: Vec<std::net::TcpListener>,
    unix: Option<(std::os::unix::net::UnixListener, Option<SocketFile>)>,
    /// As they are shown in the log.
    pub(crate) names: Vec<String>,
}

/// A Unix socket's file, removed with it.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it; there is nothing left to do then.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A door that cannot be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody listens there already.
    #[error("{address} is in use; `ss -lp` shows by whom")]
    InUse {
        /// Where.
        address: String,
    },
    /// Any other reason.
    #[error("cannot listen on {address}")]
    Other {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Neither `listen_addr` nor `unix_socket_dir` is set.
    #[error("nowhere to listen: set listen_addr or unix_socket_dir")]
    Nowhere,
}

impl Doors {
    /// Opens all doors of the settings, or none.
    pub(crate) fn open(listen: &Listen) -> Result<Doors, ListenError> {
        let mut doors = Doors { tcp: Vec::new(), unix: None, names: Vec::new() };
        for host in &listen.addresses {
            for listener in listen_tcp(host, listen.port, listen.backlog, listen.so_reuseport)? {
                doors.names.extend(listener.local_addr().map(|address| address.to_string()));
                doors.tcp.push(listener);
            }
        }
        if let Some(directory) = &listen.unix_socket_dir {
            let path = unix_socket_path(directory, listen.port);
            let unix = unix_listener(&path, listen);
            doors.unix = Some(unix.map_err(|source| listen_error(path.display().to_string(), source))?);
            doors.names.push(path.display().to_string());
        }
        if doors.names.is_empty() { Err(ListenError::Nowhere) } else { Ok(doors) }
    }

    /// Lets clients in until the watch ends. `here` is the worker whose thread this is: a client it serves itself
    /// is not handed over.
    pub(crate) fn watch(self, here: &Rc<Worker>) -> io::Result<DoorWatch> {
        let mut watch = DoorWatch(JoinSet::new());
        for listener in self.tcp {
            watch.0.spawn_local(TcpDoor::new(listener)?.watch(Rc::clone(here)));
        }
        if let Some((listener, file)) = self.unix {
            let here = Rc::clone(here);
            let listener = listening(listener)?;
            watch.0.spawn_local(async move {
                let _file = file;
                loop {
                    let client = accept(&listener).await.map(|(socket, _)| Arrival::Unix(socket));
                    let port = here.settings().listen.port;
                    receive(&here, client.map(|socket| (socket, Ends::unix(port)))).await;
                }
            });
        }
        Ok(watch)
    }
}

/// A TCP address where clients are let in.
struct TcpDoor {
    listener: AsyncFd<OwnedFd>,
    /// Its clients' other end; `None`: one of many addresses.
    local: Option<Address>,
    /// What its connections inherit, once it is made so.
    applied: Option<Tcp>,
}

impl TcpDoor {
    fn new(listener: std::net::TcpListener) -> io::Result<TcpDoor> {
        let address = listener.local_addr().ok().filter(|address| !address.ip().is_unspecified());
        let local = address.map(|address| known(Some(address)));
        acknowledge_with_the_answer(&SockRef::from(&listener));
        Ok(TcpDoor { listener: listening(listener)?, local, applied: None })
    }

    async fn watch(mut self, here: Rc<Worker>) {
        self.apply(&here.settings().tcp);
        loop {
            let accepted = accept(&self.listener).await;
            let settings = here.settings();
            self.apply(&settings.tcp);
            let client = accepted.and_then(|(socket, peer)| {
                apply_other_tcp(&SockRef::from(&socket), &settings.tcp)?;
                let peer = known(peer.and_then(|peer| SocketAddr::try_from(peer).ok()));
                let local = self.local.unwrap_or_else(|| local_of(&socket));
                Ok((Arrival::Tcp(socket), Ends { peer, local }))
            });
            receive(&here, client).await;
        }
    }

    /// Settings that have changed are those of the next clients but one: one may be accepted already.
    fn apply(&mut self, tcp: &Tcp) {
        if self.applied.as_ref() == Some(tcp) {
            return;
        }
        self.applied = Some(tcp.clone());
        let heritable = apply_heritable_tcp(&SockRef::from(&self.listener), tcp);
        let deferred = defer_accept(&self.listener, tcp.defer_accept);
        if let Err(error) = heritable.and(deferred) {
            tracing::warn!(%error, "the kernel refuses a TCP option for clients");
        }
    }
}

fn listening(listener: impl Into<OwnedFd>) -> io::Result<AsyncFd<OwnedFd>> {
    watch(listener.into(), Interest::READABLE)
}

async fn accept(listener: &AsyncFd<OwnedFd>) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    std::future::poll_fn(|cx| {
        loop {
            let mut ready = ready!(listener.poll_read_ready(cx))?;
            match acceptfrom_with(listener, flags) {
                Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                accepted => {
                    if accepted.is_ok() && !has_more(listener) {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(accepted?));
                }
            }
        }
    })
    .await
}

/// Does another client wait at this door? To ask costs a tenth of an `accept` that finds nobody, for which the kernel
/// makes a whole socket first.
fn has_more(listener: &impl AsFd) -> bool {
    let mut door = [PollFd::new(listener, PollFlags::IN)];
    // What cannot be asked has to be tried.
    !matches!(poll(&mut door, Some(&Timespec::default())), Ok(0))
}

/// Open doors. Dropped, they are closed: who knocks afterwards may find another Howdah on the same port.
pub(crate) struct DoorWatch(JoinSet<()>);

/// Brings one client to a worker, or turns it away.
pub(crate) async fn receive(here: &Rc<Worker>, accepted: io::Result<(Arrival, Ends)>) {
    let (socket, ends) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            // Out of file descriptors, most likely: the next try would fail at once as well.
            tracing::warn!(%error, "cannot accept a client");
            tokio::time::sleep(AFTER_FAILURE).await;
            return;
        }
    };
    let shared = &here.shared;
    let arrived = shared.admission().arrive(&here.settings().clients);
    match arrived {
        Ok(place) => here.place(socket, ends, place),
        Err(error) => {
            let mut message = Vec::new();
            error.write(&mut message);
            // Somebody who cannot be told will notice the end of the connection.
            let _ = socket.settle().and_then(|mut socket| socket.send_now(&message));
            here.closes.borrow_mut().client(CloseReason::LoginRefused);
            if !shared.is_closing() {
                tracing::warn!(%error, "client turned away");
            }
        }
    }
}

/// Listens on every address of a host that can be listened on; `*` is every address there is. Nothing waits there.
///
/// # Errors
/// There is no such address.
pub fn listen_tcp(
    host: &str,
    port: u16,
    backlog: u32,
    reuse_port: bool,
) -> Result<Vec<std::net::TcpListener>, ListenError> {
    let failed = |source| listen_error(format!("{host}:{port}"), source);
    let mut listeners = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses(host, port).map_err(failed)? {
        match tcp_listener(address, backlog, reuse_port) {
            Ok(listener) => listeners.push(listener),
            Err(error) => last = error,
        }
    }
    if listeners.is_empty() { Err(failed(last)) } else { Ok(listeners) }
}

fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host == "*" {
        return Ok(vec![([0, 0, 0, 0], port).into(), ([0u16; 8], port).into()]);
    }
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.dedup();
    Ok(addresses)
}

fn tcp_listener(address: SocketAddr, backlog: u32, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    take_off_pacing(&SockRef::from(&socket), address.ip());
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

fn unix_listener(
    path: &Path,
    listen: &Listen,
) -> io::Result<(std::os::unix::net::UnixListener, Option<SocketFile>)> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    if let Some(name) = path.as_os_str().as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        listener.set_nonblocking(true)?;
        return Ok((listener, None));
    }
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            // Left behind by a process that was killed.
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(listen.unix_socket_mode))?;
    if let Some(group) = &listen.unix_socket_group {
        std::os::unix::fs::chown(path, None, Some(group_id(group)?))?;
    }
    listener.set_nonblocking(true)?;
    Ok((listener, Some(file)))
}

/// A group by number, or by name as `/etc/group` has it.
fn group_id(group: &str) -> io::Result<u32> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let groups = std::fs::read_to_string("/etc/group")?;
    let entry = groups.lines().map(|line| line.split(':')).find_map(|mut fields| {
        (fields.next() == Some(group)).then(|| fields.nth(1).and_then(|id| id.parse().ok())).flatten()
    });
    entry.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no group {group:?}")))
}

fn listen_error(address: String, source: io::Error) -> ListenError {
    if source.kind() == io::ErrorKind::AddrInUse {
        ListenError::InUse { address }
    } else {
        ListenError::Other { address, source }
    }
}

/// Pause after a failed accept.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use howdah_core::settings::Settings;

    use super::*;

    async fn next_client(door: &TcpDoor) -> OwnedFd {
        let address = SockRef::from(&door.listener).local_addr().unwrap().as_socket().unwrap();
        let mut client = std::net::TcpStream::connect(address).unwrap();
        client.write_all(b"not kept back").unwrap();
        accept(&door.listener).await.unwrap().0
    }

    #[tokio::test]
    async fn clients_inherit_what_the_settings_say() {
        let listener = tcp_listener(([127, 0, 0, 1], 0).into(), 8, false).unwrap();
        let mut door = TcpDoor::new(listener).unwrap();
        for keepalive in [true, false, true] {
            door.apply(&Tcp { keepalive, ..Settings::default().tcp });
            let client = next_client(&door).await;
            let options = SockRef::from(&client);
            assert_eq!(options.keepalive().unwrap(), keepalive);
            assert!(options.tcp_nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn first_bytes_are_acknowledged_with_the_answer_or_when_there_is_none() {
        let listener = tcp_listener(([127, 0, 0, 1], 0).into(), 8, false).unwrap();
        let door = TcpDoor::new(listener).unwrap();
        let client = next_client(&door).await;
        let watched = client.try_clone().unwrap();
        let acknowledges_at_once = || SockRef::from(&watched).tcp_quickack().unwrap();
        assert!(!acknowledges_at_once());
        crate::net::Socket::tcp(client).unwrap().acknowledge();
        assert!(acknowledges_at_once());
    }

    #[tokio::test]
    async fn all_who_knock_at_once_are_let_in() {
        let listener = tcp_listener(([127, 0, 0, 1], 0).into(), 8, false).unwrap();
        let address = listener.local_addr().unwrap();
        let door = TcpDoor::new(listener).unwrap();
        for crowd in [1, 5, 2] {
            let clients: Vec<_> =
                (0..crowd).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            for _ in &clients {
                let accepted = tokio::time::timeout(Duration::from_secs(10), accept(&door.listener)).await;
                accepted.expect("somebody is left outside").unwrap();
            }
        }
    }
}
