//! One end of a simulated connection, by messages.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use howdah_wire::FrameHeader;

use crate::net::{Pipe, Scissors, Socket};

/// An end that sends while it waits to read.
pub(super) struct Wire {
    socket: Socket,
    pub(super) scissors: Scissors,
    input: Vec<u8>,
    unsent: Vec<u8>,
    /// After so many bytes more nothing is sent: whoever sends has vanished.
    pub(super) budget: Option<usize>,
}

/// Why there will be no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The other end has closed, between two messages.
    Closed,
    /// It has closed in the middle of a message.
    Torn,
    /// The connection broke.
    Reset,
    /// Our own budget is used up.
    Vanished,
}

impl Wire {
    pub(super) fn new(pipe: Pipe) -> Wire {
        let scissors = pipe.scissors();
        Wire { socket: Socket::Pipe(pipe), scissors, input: Vec::new(), unsent: Vec::new(), budget: None }
    }

    /// Where bytes to be sent are appended.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    pub(super) async fn flush(&mut self) -> Result<(), Lost> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// The next message whole: its type and its body.
    pub(super) async fn message(&mut self) -> Result<(u8, Vec<u8>), Lost> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Sends nothing by itself: PostgreSQL does not flush before it reads.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u8, Vec<u8>), Lost>> {
        loop {
            if let Some(header) = FrameHeader::parse(&self.input).map_err(|_| Lost::Torn)?
                && self.input.len() >= header.total()
            {
                let body = self.input[FrameHeader::SIZE..header.total()].to_vec();
                self.input.drain(..header.total());
                return Poll::Ready(Ok((header.tag, body)));
            }
            ready!(self.poll_more(cx))?;
        }
    }

    /// Reads more; the bytes that have come and were not dealt with.
    pub(super) async fn more(&mut self) -> Result<&mut Vec<u8>, Lost> {
        poll_fn(|cx| self.poll_more(cx)).await?;
        Ok(&mut self.input)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            let most = self.budget.unwrap_or(usize::MAX).min(self.unsent.len());
            if most == 0 {
                let vanished = self.budget == Some(0);
                return Poll::Ready(if vanished { Err(Lost::Vanished) } else { Ok(()) });
            }
            let Ok(sent) = ready!(self.socket.poll_write(cx, &self.unsent[..most])) else {
                // Whoever does not listen any more may have said why.
                self.unsent.clear();
                return Poll::Ready(Ok(()));
            };
            self.unsent.drain(..sent);
            if let Some(budget) = &mut self.budget {
                *budget -= sent;
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let mut buffer = [0; 4096];
        match ready!(self.socket.poll_read(cx, &mut buffer)) {
            Ok(0) => Poll::Ready(Err(if self.input.is_empty() { Lost::Closed } else { Lost::Torn })),
            Ok(n) => {
                self.input.extend_from_slice(&buffer[..n]);
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(Lost::Reset)),
        }
    }
}
