//! A server that says what a test tells it to, and is no PostgreSQL.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::raw::message;
use crate::raw::reply::Message;
use crate::wait::{PATIENCE, eventually};

/// Listens on a port of its own until the test program ends.
#[derive(Debug)]
pub struct FakeServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl FakeServer {
    /// Serves each connection that is no cancel request on a thread of its own. The connection is closed when
    /// `serve` returns; its number counts from 0.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn start(serve: impl Fn(FakeConnection, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
        let cancels = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (count, serve) = (Arc::clone(&count), Arc::clone(&serve));
                let mut connection = FakeConnection { stream, cancels: Arc::clone(&cancels) };
                std::thread::spawn(move || {
                    if connection.read_startup() {
                        let number = count.fetch_add(1, Ordering::Relaxed);
                        serve(connection, number);
                    } else {
                        connection.cancels.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { address, connections }
    }

    /// A line of `[databases]` that leads here.
    #[must_use]
    pub fn entry(&self) -> String {
        format!("host=127.0.0.1 port={} dbname=fake", self.address.port())
    }

    /// How many connections have sent a startup packet.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// The fake's end of a connection, from after the startup packet on.
#[derive(Debug)]
pub struct FakeConnection {
    stream: TcpStream,
    /// Of this server.
    cancels: Arc<AtomicUsize>,
}

impl FakeConnection {
    /// Lets the pooler in without asking for anything.
    pub fn welcome(&mut self) {
        self.welcome_with(&[]);
    }

    /// Lets the pooler in and says something more in the same breath.
    pub fn welcome_with(&mut self, more: &[u8]) {
        let parameter =
            |name: &str, value: &str| message::tagged(b'S', format!("{name}\0{value}\0").as_bytes());
        let welcome = [
            message::tagged(b'R', &[0; 4]),
            parameter("server_version", "15.0"),
            parameter("client_encoding", "UTF8"),
            message::tagged(b'K', &[0, 0, 0, 7, 1, 2, 3, 4]),
            ready(b'I'),
        ];
        self.send(&[&welcome.concat(), more].concat());
    }

    /// Sends bytes to a pooler that may have hung up.
    pub fn send(&mut self, bytes: &[u8]) {
        // Hanging up on a bad server is as good as any other answer to it.
        let _ = self.stream.write_all(bytes);
    }

    /// Reads one message; `None`: the pooler has hung up. The pooler's own question what functions do is answered
    /// here: there are none.
    pub fn read(&mut self) -> Option<Message> {
        loop {
            let message = self.read_any()?;
            if message.tag != b'Q' || !message.first_string().starts_with("SET LOCAL statement_timeout") {
                return Some(message);
            }
            self.send(&[command_complete("SELECT 0"), ready(b'I')].concat());
        }
    }

    fn read_any(&mut self) -> Option<Message> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header).ok()?;
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; usize::try_from(len).ok()?.checked_sub(4)?];
        self.stream.read_exact(&mut body).ok()?;
        Some(Message { tag: header[0], body })
    }

    /// Reads up to the next simple query and returns its text; `None`: the pooler has hung up.
    pub fn next_query(&mut self) -> Option<String> {
        loop {
            let message = self.read()?;
            if message.tag == b'Q' {
                return Some(message.first_string());
            }
        }
    }

    /// Answers each simple query with its own text until the pooler hangs up.
    pub fn echo(&mut self) {
        while let Some(query) = self.next_query() {
            self.send(&echo_of(&query));
        }
    }

    /// Waits until so many cancel requests have come to this server, on any connection.
    ///
    /// # Panics
    /// They do not come.
    pub fn wait_for_cancels(&self, count: usize) {
        eventually("there are cancel requests", || {
            (self.cancels.load(Ordering::Relaxed) >= count).then_some(())
        });
    }

    /// Waits until the pooler hangs up.
    pub fn wait_for_end(&mut self) {
        while self.read().is_some() {}
    }

    fn read_startup(&mut self) -> bool {
        let _ = self.stream.set_read_timeout(Some(PATIENCE));
        let mut len = [0; 4];
        if self.stream.read_exact(&mut len).is_err() {
            return false;
        }
        let mut packet = vec![0; usize::try_from(u32::from_be_bytes(len)).unwrap_or(4).saturating_sub(4)];
        self.stream.read_exact(&mut packet).is_ok() && packet.starts_with(&(3_u32 << 16).to_be_bytes())
    }
}

/// The whole answer to a query that selects its own text.
#[must_use]
pub fn echo_of(query: &str) -> Vec<u8> {
    [row_description(), data_row(query), command_complete("SELECT 1"), ready(b'I')].concat()
}

/// RowDescription of one column of type text.
#[must_use]
pub fn row_description() -> Vec<u8> {
    let mut body = vec![0, 1, b'c', 0];
    body.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    message::tagged(b'T', &body)
}

/// DataRow of one column.
///
/// # Panics
/// The value is longer than any.
#[must_use]
pub fn data_row(value: &str) -> Vec<u8> {
    let len = u32::try_from(value.len()).expect("a short value");
    message::tagged(b'D', &[&[0, 1], &len.to_be_bytes()[..], value.as_bytes()].concat())
}

/// CommandComplete.
#[must_use]
pub fn command_complete(tag: &str) -> Vec<u8> {
    message::tagged(b'C', format!("{tag}\0").as_bytes())
}

/// ReadyForQuery.
#[must_use]
pub fn ready(status: u8) -> Vec<u8> {
    message::tagged(b'Z', &[status])
}

/// ErrorResponse with these fields.
#[must_use]
pub fn error(fields: &[(u8, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in fields {
        body.push(*kind);
        body.extend(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    message::tagged(b'E', &body)
}
