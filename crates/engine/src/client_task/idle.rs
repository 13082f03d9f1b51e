//! Waiting for a request.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use howdah_core::facts::{ClientState, CloseReason};
use howdah_core::refusal;
use howdah_core::session::Verdict;

use super::{Departure, Visit, hearing};
use crate::client_card::{ClientCard, Order};

impl Visit {
    /// Returns when the client has sent something that needs a server connection.
    ///
    /// # Errors
    /// It has gone, or has to go; what there was to say has been said.
    pub(super) async fn idle(&mut self, card: &Rc<ClientCard>) -> Result<(), Departure> {
        card.state.set(ClientState::Idle);
        std::future::poll_fn(|cx| self.poll_idle(card, cx)).await
    }

    fn poll_idle(&mut self, card: &ClientCard, cx: &mut Context<'_>) -> Poll<Result<(), Departure>> {
        match card.take_order() {
            Some(Order::Close(reason)) => {
                self.say(&refusal::ended(reason));
                return Poll::Ready(Err(Departure::Gone(reason)));
            }
            Some(Order::Move(to)) if self.is_at_rest() && !card.session.borrow().is_withheld() => {
                return Poll::Ready(Err(Departure::Moves(to)));
            }
            // There is nothing to cancel: dropping the order tells whoever asked.
            Some(Order::Cancel(_) | Order::Move(_)) | None => {}
        }
        if self.conn.hear(&self.worker.outbox).is_err() {
            return Poll::Ready(Err(Departure::Gone(CloseReason::ClientVanished)));
        }
        if card.session.borrow().is_withheld()
            && let Err(reason) = ready!(hearing::poll_withheld(&self.worker, card, &mut self.conn))
        {
            return Poll::Ready(Err(Departure::Gone(reason)));
        }
        loop {
            if let Err(reason) = self.deliver(card) {
                return Poll::Ready(Err(Departure::Gone(reason)));
            }
            if let Some(outcome) = self.judge_held(card) {
                return Poll::Ready(outcome.map_err(Departure::Gone));
            }
            // Who does not take answers is not asked for more questions.
            if !self.conn.is_flushed() && ready!(self.conn.poll_flush(cx)).is_err() {
                return Poll::Ready(Err(Departure::Gone(CloseReason::ClientVanished)));
            }
            let worker = Rc::clone(&self.worker);
            let buffer = &mut worker.scratch.borrow_mut().buffer;
            match self.conn.poll_fill(cx, buffer, Verdict::MAX_IDLE) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Err(Departure::Gone(CloseReason::ClientVanished)));
                }
                Poll::Ready(Ok(_)) => {
                    worker.now();
                }
            }
        }
    }

    /// Gives the client what it listens to, as far as it takes it.
    fn deliver(&mut self, card: &ClientCard) -> Result<(), CloseReason> {
        while hearing::has_news(card) && self.conn.is_flushed() {
            hearing::deliver(&self.worker, card, &mut self.conn)?;
        }
        Ok(())
    }

    /// Nothing is under way: no byte in, none out.
    fn is_at_rest(&mut self) -> bool {
        let heard = self.conn.settle(&self.worker.outbox).is_ok();
        heard && self.conn.is_flushed() && self.conn.held.is_empty() && !self.ended
    }

    /// Deals with what the client has sent, as far as that goes without a server. `None`: it has to send more.
    fn judge_held(&mut self, card: &ClientCard) -> Option<Result<(), CloseReason>> {
        let worker = Rc::clone(&self.worker);
        let patch = &mut worker.scratch.borrow_mut().patch;
        loop {
            patch.clear();
            let verdict = card.session.borrow_mut().on_idle_client(&self.conn.held, patch);
            if !patch.to_client.is_empty() && self.conn.send(&worker.outbox, &patch.to_client).is_err() {
                return Some(Err(CloseReason::ClientVanished));
            }
            match verdict {
                Verdict::NeedServer => return Some(Ok(())),
                Verdict::Leave(reason) => return Some(Err(reason)),
                Verdict::Skip(n) | Verdict::Forward(n) => self.conn.consume(n),
                Verdict::Hold => return None,
            }
        }
    }
}
