//! Clients as slow as clients can be: one byte, and the next when that has been dealt with.

use std::fs;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};

use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};

use super::client::RawClient;
use crate::wait::eventually;

impl RawClient {
    /// Connects through TCP with the smallest buffer for what comes that the kernel allows: what is not read stays
    /// with the sender.
    ///
    /// # Panics
    /// Nobody answers.
    #[must_use]
    #[track_caller]
    pub fn tcp_with_a_small_buffer(address: SocketAddrV4) -> RawClient {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("there are sockets");
        sockopt::set_socket_recv_buffer_size(&socket, 1).expect("the kernel makes it its smallest");
        connect(&socket, &address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        RawClient::over(TcpStream::from(socket))
    }

    /// Sends these bytes one by one, over TCP, each when the one before it has been read.
    ///
    /// # Panics
    /// The connection is closed, or a byte is not read.
    #[track_caller]
    pub fn dribble(&mut self, bytes: &[u8]) {
        let (ours, theirs) = self.ends.expect("a connection through TCP");
        let (ours, theirs) = (hexadecimal(ours), hexadecimal(theirs));
        for byte in bytes {
            self.send(&[*byte]);
            // Mostly it is read before the next look.
            let is_read = || (0..20).any(|_| !is_unread(&theirs, &ours));
            eventually("the byte is read", || is_read().then_some(()));
        }
    }
}

/// Something waits to be read at this end of a connection.
fn is_unread(end: &str, other_end: &str) -> bool {
    let all = fs::read_to_string("/proc/net/tcp").expect("the kernel shows its connections");
    all.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ends = (fields.next(), fields.next());
        let unread = fields.nth(1).and_then(|queues| queues.split_once(':')).map(|(_, unread)| unread);
        ends == (Some(end), Some(other_end)) && unread != Some("00000000")
    })
}

/// As `/proc/net/tcp` has it: each address as the four bytes lie in memory.
fn hexadecimal(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("{address} is not of IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}
