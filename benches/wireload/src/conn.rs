//! A socket that never blocks, and what could not be sent yet.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// One connection.
pub(crate) struct Conn {
    pub(crate) socket: TcpStream,
    /// To be sent.
    pub(crate) output: Vec<u8>,
    sent: usize,
}

impl Conn {
    pub(crate) fn new(socket: TcpStream) -> io::Result<Conn> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Conn { socket, output: Vec::new(), sent: 0 })
    }

    /// Reads once. `None`: nothing is there. The end of the stream is an error.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.socket.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => return Ok(Some(n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends as much as the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }
}
