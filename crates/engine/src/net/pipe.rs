//! A connection in memory, for the simulator: bounded, and as unkind as its fault plan says.
//!
//! Bytes arrive in the order they were sent, each piece after a delay of its own; a read may give less than
//! has arrived, a send may take less than there is room for. A reset loses what has not been read.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::simulation::Chance;

/// One end of an in-memory connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    incoming: Arc<Mutex<Half>>,
    outgoing: Arc<Mutex<Half>>,
}

/// How unkind a pipe is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipeFaults {
    /// Start of the sequence by which the pipe decides.
    pub(crate) seed: u64,
    /// Most bytes taken or given at once.
    pub(crate) largest_piece: usize,
    /// Longest delay of a piece in milliseconds.
    pub(crate) longest_delay: usize,
    /// Bytes one direction holds.
    pub(crate) capacity: usize,
}

/// Scissors for both directions.
#[derive(Clone, Debug)]
pub(crate) struct Scissors([Arc<Mutex<Half>>; 2]);

#[derive(Debug)]
struct Half {
    bytes: VecDeque<u8>,
    /// How many of the bytes can be read by now.
    arrived: usize,
    /// When the others can be.
    on_the_way: VecDeque<(Instant, usize)>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Nothing more will be sent.
    closed: bool,
    /// The reader has gone.
    deaf: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    chance: Chance,
    faults: PipeFaults,
}

/// Two ends of one connection.
pub(crate) fn pipe(faults: PipeFaults) -> (Pipe, Pipe) {
    let mut chance = Chance::new(faults.seed);
    let mut half = || {
        Arc::new(Mutex::new(Half {
            bytes: VecDeque::new(),
            arrived: 0,
            on_the_way: VecDeque::new(),
            alarm: None,
            closed: false,
            deaf: false,
            reset: false,
            reader: None,
            writer: None,
            chance: chance.fork(),
            faults,
        }))
    };
    let (there, back) = (half(), half());
    (
        Pipe { incoming: Arc::clone(&back), outgoing: Arc::clone(&there) },
        Pipe { incoming: there, outgoing: back },
    )
}

impl Pipe {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut half = lock(&self.incoming);
        let arrived = ready!(half.poll_arrived(cx))?;
        let piece = half.piece().min(buffer.len()).min(arrived);
        for (place, byte) in buffer.iter_mut().zip(half.bytes.drain(..piece)) {
            *place = byte;
        }
        half.arrived -= piece;
        wake(&mut half.writer);
        Poll::Ready(Ok(piece))
    }

    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.poll_read(&mut Context::from_waker(Waker::noop()), buffer) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.incoming).poll_arrived(cx).map(|_| Ok(()))
    }

    pub(crate) fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut half = lock(&self.outgoing);
        if half.reset || half.closed || half.deaf {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = half.faults.capacity.saturating_sub(half.bytes.len());
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let piece = half.piece().min(room).min(bytes.len());
        half.bytes.extend(&bytes[..piece]);
        let longest = half.faults.longest_delay;
        let delay = if half.chance.one_in(2) { half.chance.below(longest + 1) } else { 0 };
        let arrival = Instant::now() + Duration::from_millis(delay as u64);
        let arrival = half.on_the_way.back().map_or(arrival, |(last, _)| arrival.max(*last));
        half.on_the_way.push_back((arrival, piece));
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

    pub(crate) fn scissors(&self) -> Scissors {
        Scissors([Arc::clone(&self.incoming), Arc::clone(&self.outgoing)])
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut outgoing = lock(&self.outgoing);
        outgoing.closed = true;
        wake(&mut outgoing.reader);
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        incoming.deaf = true;
        wake(&mut incoming.writer);
    }
}

impl Scissors {
    /// The connection breaks.
    pub(crate) fn cut(&self) {
        for half in &self.0 {
            let mut half = lock(half);
            half.reset = true;
            wake(&mut half.reader);
            wake(&mut half.writer);
        }
    }

    /// It was cut.
    pub(crate) fn were_used(&self) -> bool {
        self.0.iter().any(|half| lock(half).reset)
    }

    /// One of the ends is gone, or it was cut.
    pub(crate) fn is_dead(&self) -> bool {
        self.0.iter().any(|half| {
            let half = lock(half);
            half.reset || half.deaf
        })
    }
}

impl Half {
    /// How many bytes can be read; 0 at the end.
    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if self.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let now = Instant::now();
            while let Some((_, n)) = self.on_the_way.pop_front_if(|(at, _)| *at <= now) {
                self.arrived += n;
            }
            if self.arrived > 0 {
                return Poll::Ready(Ok(self.arrived));
            }
            self.reader = Some(cx.waker().clone());
            let Some(&(next, _)) = self.on_the_way.front() else {
                return if self.closed { Poll::Ready(Ok(0)) } else { Poll::Pending };
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            alarm.as_mut().reset(next);
            ready!(alarm.as_mut().poll(cx));
        }
    }

    /// How many bytes go at once this time.
    fn piece(&mut self) -> usize {
        self.chance.below(self.faults.largest_piece) + 1
    }
}

fn lock(half: &Mutex<Half>) -> MutexGuard<'_, Half> {
    half.lock().unwrap()
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
