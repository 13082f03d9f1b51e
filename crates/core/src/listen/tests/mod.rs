//! The rules as sentences: clients on one side, a listener connection on the other, virtual time between.

mod clients;
mod connection;
mod model;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use howdah_wire::backend::{self, NotificationResponse, TransactionStatus};
use howdah_wire::{ErrorResponse, FrameHeader, Severity, SqlState, frontend};

use super::*;

/// A switchboard and the backend behind its listener connection.
struct World {
    board: Switchboard,
    now: Instant,
    fx: Vec<Effect>,
    /// What the connection was told and has not answered.
    asked: VecDeque<String>,
    /// What the backend listens to.
    heard: BTreeSet<String>,
    /// The round each client waits for, or last waited for.
    rounds: BTreeMap<u64, Round>,
}

impl World {
    fn new() -> World {
        World {
            board: Switchboard::default(),
            now: Instant::now(),
            fx: Vec::new(),
            asked: VecDeque::new(),
            heard: BTreeSet::new(),
            rounds: BTreeMap::new(),
        }
    }

    /// With a client, number 1, that listens to `news`.
    fn listening() -> World {
        let mut world = World::new();
        world.expect(1, "news");
        assert_eq!(world.next(), "open");
        world.board.opened();
        world.serve();
        world.settle(1, &["news"]);
        world.woken();
        world
    }

    fn expect(&mut self, client: u64, channel: &str) {
        self.board.expect(client, &named(channel), true, &mut self.fx);
    }

    fn expect_in_block(&mut self, client: u64, channel: &str) {
        self.board.expect(client, &named(channel), false, &mut self.fx);
    }

    fn settle(&mut self, client: u64, channels: &[&str]) {
        let channels: Vec<Channel> = channels.iter().map(|name| named(name)).collect();
        self.board.settle(client, &channels, &mut self.fx);
    }

    fn begin_round(&mut self, client: u64) -> bool {
        let round = self.board.begin_round(client, &mut self.fx);
        self.rounds.extend(round.map(|round| (client, round)));
        round.is_some()
    }

    fn is_over(&self, client: u64) -> bool {
        self.board.is_over(self.rounds[&client])
    }

    /// What is to be done with the connection; what is sent is remembered.
    fn next(&mut self) -> String {
        let mut out = Vec::new();
        match self.board.next(self.now, &mut out) {
            Next::Open => "open".to_owned(),
            Next::Send => {
                let texts = queries(&out);
                self.asked.extend(texts.iter().cloned());
                texts.join("; ")
            }
            Next::Wait(None) => "wait".to_owned(),
            Next::Wait(Some(time)) => format!("wait {} ms", (time - self.now).as_millis()),
            Next::Close => "close".to_owned(),
            Next::Rest => "rest".to_owned(),
        }
    }

    /// The backend answers its oldest question.
    fn answer(&mut self) {
        let text = self.asked.pop_front().expect("something was asked");
        if let Some(name) = text.strip_prefix("LISTEN ") {
            self.heard.insert(name.to_owned());
        } else if let Some(name) = text.strip_prefix("UNLISTEN ") {
            self.heard.remove(name);
        }
        let mut reply = Vec::new();
        match text.as_str() {
            "" => backend::write_empty_query_response(&mut reply),
            _ => backend::write_command_complete(&mut reply, b"LISTEN"),
        }
        self.ready(reply);
    }

    /// The backend refuses its oldest question.
    fn refuse(&mut self, message: &str) {
        self.asked.pop_front().expect("something was asked");
        let mut reply = Vec::new();
        ErrorResponse::new(Severity::Error, SqlState::FEATURE_NOT_SUPPORTED, message).write(&mut reply);
        self.ready(reply);
    }

    fn ready(&mut self, mut reply: Vec<u8>) {
        backend::write_ready_for_query(&mut reply, TransactionStatus::Idle);
        self.read(&reply).unwrap();
    }

    /// All that is to be asked is asked and answered.
    fn serve(&mut self) {
        loop {
            let next = self.next();
            if self.asked.is_empty() {
                assert!(next.starts_with("wait"), "{next}");
                return;
            }
            while !self.asked.is_empty() {
                self.answer();
            }
        }
    }

    /// A backend, `pid`, sends something, if the connection listens to it.
    fn notify(&mut self, pid: u32, channel: &str, payload: &str) {
        if !self.heard.contains(&format!("\"{channel}\"")) {
            return;
        }
        let mut message = Vec::new();
        let (channel, payload) = (channel.as_bytes(), payload.as_bytes());
        backend::write_notification_response(&mut message, &NotificationResponse { pid, channel, payload });
        self.read(&message).unwrap();
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        // A backend above 1000 is a stranger's; the others have served the client of the same last digit.
        let sender = |pid: u32| if pid > 1000 { pid } else { pid % 10 };
        // Byte by byte, as the network may bring it.
        let mut done = 0;
        for end in 1..=bytes.len() {
            done += self.board.read(&bytes[done..end], sender, &mut self.fx)?;
        }
        assert_eq!(done, bytes.len());
        Ok(())
    }

    fn lose(&mut self) {
        self.heard.clear();
        self.asked.clear();
        self.board.lost("it broke", self.now, &mut self.fx);
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    /// What the client is given now.
    fn gets(&mut self, client: u64) -> Vec<String> {
        let mut out = Vec::new();
        self.board.take(client, &mut out).unwrap();
        messages(&out)
    }

    /// Who has been woken since the last time.
    fn woken(&mut self) -> BTreeSet<u64> {
        let clients = self.fx.drain(..).filter_map(|effect| match effect {
            Effect::Wake(client) => Some(client),
            Effect::Attend => None,
        });
        clients.collect()
    }
}

fn named(channel: &str) -> Channel {
    Channel::new(channel.as_bytes()).expect("a possible name")
}

fn queries(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(header) = FrameHeader::parse(bytes).unwrap() {
        let (message, rest) = bytes.split_at(header.total());
        let text = &message[FrameHeader::SIZE..message.len() - 1];
        let mut again = Vec::new();
        frontend::write_query(&mut again, text);
        assert_eq!(again, message, "questions are simple queries");
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        bytes = rest;
    }
    texts
}

fn messages(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(header) = FrameHeader::parse(bytes).unwrap() {
        let (message, rest) = bytes.split_at(header.total());
        let body = &message[FrameHeader::SIZE..];
        texts.push(match header.tag {
            b'A' => {
                let NotificationResponse { pid, channel, payload } =
                    NotificationResponse::parse(body).unwrap();
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                format!("{}={} from {pid}", text(channel), text(payload))
            }
            b'N' => {
                let notice = ErrorResponse::parse(body);
                format!("{}: {}", notice.severity, notice.message)
            }
            other => panic!("a message of type {other}"),
        });
        bytes = rest;
    }
    texts
}
