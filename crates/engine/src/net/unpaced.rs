//! Within one machine nothing is gained by pacing.
//!
//! Where the system's congestion control is BBR, each send starts a timer that spaces the next one out, over loopback
//! too: a quarter of what a result of megabyte rows costs (`docs/performance.md`).

use std::net::IpAddr;

use socket2::SockRef;

/// Takes pacing off a connection, or off all that a listening socket will accept, if its own address says that the
/// other end is on this machine. Where the system does not let us (`net.ipv4.tcp_allowed_congestion_control` has no
/// Reno, tcp(7)), it stays as it is: nothing but speed hangs on it.
pub(crate) fn take_off_pacing(socket: &SockRef<'_>, own: IpAddr) {
    let is_paced = || socket.tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr"));
    if own.is_loopback()
        && is_paced()
        && let Err(error) = socket.set_tcp_congestion(b"reno")
    {
        tracing::debug!(%error, "loopback connections stay paced by BBR");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn only_bbr_on_loopback_gives_way() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Where the system has no BBR, nothing may change at all.
        let bbr = socket.set_tcp_congestion(b"bbr").is_ok();
        let before = socket.tcp_congestion().unwrap();
        let socket = SockRef::from(&socket);
        take_off_pacing(&socket, Ipv4Addr::new(10, 0, 0, 1).into());
        assert_eq!(socket.tcp_congestion().unwrap(), before);
        take_off_pacing(&socket, Ipv4Addr::LOCALHOST.into());
        let after = socket.tcp_congestion().unwrap();
        if bbr { assert!(after.starts_with(b"reno")) } else { assert_eq!(after, before) }
    }
}
