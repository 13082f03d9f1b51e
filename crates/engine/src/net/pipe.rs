//! A connection in memory, for the simulator: bounded, and as unkind as its fault plan says.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;

/// One end of an in-memory connection.
#[derive(Debug)]
pub struct Pipe {
    incoming: Arc<Mutex<Half>>,
    outgoing: Arc<Mutex<Half>>,
}

/// How unkind the pipe is. Each decision comes from its own seeded sequence.
#[derive(Clone, Copy, Debug)]
pub struct PipeFaults {
    /// Start of the sequence.
    pub seed: u64,
    /// Most bytes taken or given at once.
    pub largest_piece: usize,
    /// One read or write in so many breaks the connection; 0: never.
    pub break_one_in: u64,
}

#[derive(Debug)]
struct Half {
    bytes: VecDeque<u8>,
    closed: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    faults: PipeFaults,
}

/// Two ends of one connection.
#[must_use]
pub fn pipe(faults: PipeFaults) -> (Pipe, Pipe) {
    let half = |seed| {
        Arc::new(Mutex::new(Half {
            bytes: VecDeque::new(),
            closed: false,
            broken: false,
            reader: None,
            writer: None,
            faults: PipeFaults { seed, ..faults },
        }))
    };
    let (there, back) = (half(faults.seed), half(faults.seed ^ 0x9e37_79b9_7f4a_7c15));
    (
        Pipe { incoming: Arc::clone(&back), outgoing: Arc::clone(&there) },
        Pipe { incoming: there, outgoing: back },
    )
}

impl Pipe {
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut half = lock(&self.incoming);
        half.perhaps_break();
        if half.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if half.bytes.is_empty() {
            if half.closed {
                return Poll::Ready(Ok(()));
            }
            half.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let piece = half.piece().min(buffer.remaining()).min(half.bytes.len());
        for byte in half.bytes.drain(..piece) {
            buffer.put_slice(&[byte]);
        }
        wake(&mut half.writer);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut half = lock(&self.incoming);
        if half.bytes.is_empty() && !half.closed && !half.broken {
            half.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut half = lock(&self.outgoing);
        half.perhaps_break();
        if half.broken || half.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = CAPACITY.saturating_sub(half.bytes.len());
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let piece = half.piece().min(room).min(bytes.len());
        half.bytes.extend(bytes.iter().take(piece));
        wake(&mut half.reader);
        Ok(piece)
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.send_now(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                lock(&self.outgoing).writer = Some(cx.waker().clone());
                Poll::Pending
            }
            sent => Poll::Ready(sent),
        }
    }

    pub(super) fn finish(&self) -> io::Result<()> {
        let mut half = lock(&self.outgoing);
        half.closed = true;
        wake(&mut half.reader);
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut outgoing = lock(&self.outgoing);
        outgoing.closed = true;
        wake(&mut outgoing.reader);
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        incoming.broken = true;
        wake(&mut incoming.writer);
    }
}

impl Half {
    /// How many bytes go at once this time.
    fn piece(&mut self) -> usize {
        let largest = self.faults.largest_piece.max(1) as u64;
        usize::try_from(self.draw() % largest).unwrap_or(0) + 1
    }

    fn perhaps_break(&mut self) {
        if self.faults.break_one_in > 0 && self.draw().is_multiple_of(self.faults.break_one_in) {
            self.broken = true;
            wake(&mut self.reader);
            wake(&mut self.writer);
        }
    }

    /// The next number of a splitmix64 sequence.
    fn draw(&mut self) -> u64 {
        self.faults.seed = self.faults.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.faults.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn lock(half: &Mutex<Half>) -> std::sync::MutexGuard<'_, Half> {
    half.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Bytes one direction holds.
const CAPACITY: usize = 64 * 1024;
