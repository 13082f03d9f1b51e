//! A client that sends exactly the bytes it is told to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use howdah_wire::frame::FrameHeader;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::message;
use super::reply::Message;
use crate::wait::PATIENCE;

/// A blocking connection; reads and sends give up after [`PATIENCE`].
pub struct RawClient {
    stream: Box<dyn Stream>,
    /// Our address and the other side's, through TCP.
    pub(super) ends: Option<(SocketAddr, SocketAddr)>,
    /// The body of the BackendKeyData of this session: what a CancelRequest repeats.
    pub cancel_key: Vec<u8>,
}

impl RawClient {
    /// Connects through TCP.
    ///
    /// # Panics
    /// Nobody answers.
    #[must_use]
    #[track_caller]
    pub fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::over(stream)
    }

    /// Uses a connection that is there.
    ///
    /// # Panics
    /// It is not there any more.
    #[must_use]
    #[track_caller]
    pub(super) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP has nodelay");
        stream.set_timeout(PATIENCE).expect("the timeout is not zero");
        let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
        Self { stream: Box::new(stream), ends, cancel_key: Vec::new() }
    }

    /// Connects to a Unix socket.
    ///
    /// # Panics
    /// Nobody answers.
    #[must_use]
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        let stream =
            UnixStream::connect(path).unwrap_or_else(|error| panic!("cannot connect to {path:?}: {error}"));
        stream.set_timeout(PATIENCE).expect("the timeout is not zero");
        Self { stream: Box::new(stream), ends: None, cancel_key: Vec::new() }
    }

    /// Sends a startup packet and reads up to the first ReadyForQuery, as a trusted user.
    ///
    /// # Panics
    /// The server refuses or asks for a password.
    #[track_caller]
    pub fn login(&mut self, database: &str, user: &str) -> Vec<Message> {
        self.send(&message::startup(&[("user", user), ("database", database)]));
        self.welcome()
    }

    /// Reads up to the first ReadyForQuery and remembers the cancel key.
    ///
    /// # Panics
    /// The server refuses or asks for something.
    #[track_caller]
    pub fn welcome(&mut self) -> Vec<Message> {
        let welcome = self.read_until_ready();
        let surprise = |m: &&Message| m.tag == b'E' || m.tag == b'R' && m.body != [0, 0, 0, 0];
        if let Some(surprise) = welcome.iter().find(surprise) {
            panic!("no welcome but {surprise:?}");
        }
        let key = welcome.iter().find(|m| m.tag == b'K').map(|m| m.body.clone());
        self.cancel_key = key.unwrap_or_default();
        welcome
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// The connection is closed.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends bytes to somebody who may have hung up.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// The connection is closed.
    pub fn stop_sending(&self) {
        self.stream.stop_sending().expect("the connection is there");
    }

    /// There is something to read, or the end.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        recv(self.stream.as_fd(), &mut [0; 1], look) != Err(Errno::AGAIN)
    }

    /// Reads one message.
    ///
    /// # Panics
    /// None comes.
    #[track_caller]
    pub fn read(&mut self) -> Message {
        match self.try_read() {
            Ok(Some(message)) => message,
            Ok(None) => panic!("the connection was closed while a message was expected"),
            Err(error) => panic!("no message came: {error}"),
        }
    }

    /// Reads one message; `None` is the end of the stream between two messages, or a reset.
    ///
    /// # Errors
    /// Nothing came in time, or what came is no message.
    pub fn try_read(&mut self) -> io::Result<Option<Message>> {
        let mut header = [0; FrameHeader::SIZE];
        let first = self.stream.read(&mut header[..1]);
        self.after_first(first, header)
    }

    /// Reads one message as [`try_read`](Self::try_read) does, if it begins within `patience`.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// `patience` is zero.
    pub fn read_within(&mut self, patience: Duration) -> io::Result<Option<Message>> {
        let mut header = [0; FrameHeader::SIZE];
        self.set_timeout(patience);
        let first = self.stream.read(&mut header[..1]);
        self.set_timeout(PATIENCE);
        self.after_first(first, header)
    }

    /// The rest of a message, after an attempt to read its first byte into `header`.
    fn after_first(
        &mut self,
        first: io::Result<usize>,
        mut header: [u8; FrameHeader::SIZE],
    ) -> io::Result<Option<Message>> {
        match first {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            first => first?,
        };
        self.stream.read_exact(&mut header[1..])?;
        let frame = FrameHeader::parse(&header).map_err(io::Error::other)?.expect("five bytes are a header");
        let mut body = vec![0; frame.total() - FrameHeader::SIZE];
        self.stream.read_exact(&mut body)?;
        Ok(Some(Message { tag: frame.tag, body }))
    }

    /// Reads a single byte, as after an SSLRequest.
    ///
    /// # Panics
    /// None comes.
    #[track_caller]
    pub fn read_byte(&mut self) -> u8 {
        self.read_bytes(1)[0]
    }

    /// Reads so many bytes, whatever they are.
    ///
    /// # Panics
    /// They do not come.
    #[track_caller]
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap_or_else(|error| panic!("no {count} bytes came: {error}"));
        bytes
    }

    /// Reads one message of type `tag`.
    ///
    /// # Panics
    /// Another comes, or none.
    #[track_caller]
    pub fn expect(&mut self, tag: u8) -> Message {
        let message = self.read();
        assert_eq!(char::from(message.tag), char::from(tag), "instead came {message:?} {}", message.text());
        message
    }

    /// Reads a ReadyForQuery and returns its transaction status.
    ///
    /// # Panics
    /// Something else comes.
    #[track_caller]
    pub fn expect_ready(&mut self) -> u8 {
        *self.expect(b'Z').body.first().expect("ReadyForQuery has a status")
    }

    /// Reads up to and with the next ReadyForQuery.
    ///
    /// # Panics
    /// None comes.
    #[track_caller]
    pub fn read_until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.last().is_none_or(|m: &Message| m.tag != b'Z') {
            match self.try_read() {
                Ok(Some(message)) => messages.push(message),
                end => panic!("no ReadyForQuery but {end:?} after {messages:?}"),
            }
        }
        messages
    }

    /// Reads whatever still comes until the server closes the connection.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.try_read().unwrap_or_else(|error| panic!("not closed: {error}"))).collect()
    }

    /// Runs a simple query and returns everything up to and with ReadyForQuery.
    ///
    /// # Panics
    /// There is no answer.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(&message::query(sql));
        self.read_until_ready()
    }

    /// The first column of the first row of a simple query.
    ///
    /// # Panics
    /// It fails or has none.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> String {
        let answer = self.query(sql);
        let row = answer.iter().find(|m| m.tag == b'D').unwrap_or_else(|| panic!("no row but {answer:?}"));
        row.columns().into_iter().flatten().next().unwrap_or_else(|| panic!("no value in {row:?}"))
    }

    /// Runs a simple query that succeeds and returns all its rows' first columns.
    ///
    /// # Panics
    /// It fails.
    #[track_caller]
    pub fn run(&mut self, sql: &str) -> Vec<String> {
        let answer = self.query(sql);
        assert!(answer.iter().all(|m| m.tag != b'E'), "{sql}: {answer:?}");
        let rows = answer.iter().filter(|m| m.tag == b'D');
        rows.map(|row| row.columns().into_iter().flatten().next().unwrap_or_default()).collect()
    }

    /// The process id of the backend that serves this client just now.
    ///
    /// # Panics
    /// It cannot be asked.
    #[track_caller]
    pub fn backend(&mut self) -> String {
        self.value("select pg_backend_pid()")
    }

    /// Changes how long a read or a send waits.
    ///
    /// # Panics
    /// `timeout` is zero.
    pub fn set_timeout(&self, timeout: Duration) {
        self.stream.set_timeout(timeout).expect("the timeout is not zero");
    }
}

trait Stream: Read + Write + AsFd + Send {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
    fn stop_sending(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    fn stop_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    fn stop_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
