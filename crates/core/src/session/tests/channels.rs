//! LISTEN and NOTIFY: what waits, and until when. The listener connection itself is `crate::listen`'s.

use howdah_wire::cancel_key::CancelKey;

use super::notation;
use super::stage::{Stage, rules};
use crate::listen::Channel;
use crate::session::{Session, on_server};
use crate::settings::PoolMode;

/// One client and one server connection, without the engine's help.
struct Pair {
    stage: Stage,
}

impl Pair {
    fn new(mode: PoolMode) -> Pair {
        let mut stage = Stage::new(rules(mode, 10), 1, 1);
        let backend = &mut stage.servers[0];
        let mut preface = Vec::new();
        stage.clients[0].session.join(&mut backend.server, std::time::Instant::now(), &mut preface);
        Pair { stage }
    }

    fn session(&mut self) -> &mut Session {
        &mut self.stage.clients[0].session
    }

    /// The client sends this; what goes on to the server.
    fn says(&mut self, messages: &str) -> String {
        let (client, backend) = (&mut self.stage.clients[0], &mut self.stage.servers[0]);
        let (mut patch, mut sent) = (crate::session::Patch::default(), Vec::new());
        client.held.extend(notation::from_client(messages));
        loop {
            patch.clear();
            let verdict = client.session.on_client(&mut backend.server, &client.held, &mut patch);
            match verdict {
                crate::session::Verdict::Forward(n) => sent.extend(client.held.drain(..n)),
                crate::session::Verdict::Skip(n) => drop(client.held.drain(..n)),
                _ => break,
            }
            sent.extend_from_slice(&patch.to_server);
        }
        notation::to_server(&sent)
    }

    /// The server sends this; what goes on to the client.
    fn answers(&mut self, messages: &str) -> String {
        let (client, backend) = (&mut self.stage.clients[0], &mut self.stage.servers[0]);
        let (mut patch, mut sent) = (crate::session::Patch::default(), Vec::new());
        backend.held.extend(notation::from_server(messages));
        loop {
            patch.clear();
            let session = Some(&mut client.session);
            match on_server(&mut backend.server, session, &backend.held, &mut patch) {
                crate::session::Verdict::Forward(n) => sent.extend(backend.held.drain(..n)),
                crate::session::Verdict::Skip(n) => drop(backend.held.drain(..n)),
                _ => break,
            }
            sent.extend_from_slice(&patch.to_client);
        }
        notation::to_client(&sent)
    }

    fn ready(&mut self) -> String {
        let mut out = Vec::new();
        self.session().give_ready(&mut out);
        notation::to_client(&out)
    }
}

fn names<'a>(channels: impl IntoIterator<Item = &'a Channel>) -> Vec<String> {
    channels.into_iter().map(Channel::to_string).collect()
}

#[test]
fn a_text_that_says_listen_waits_for_its_channels() {
    let mut pair = Pair::new(PoolMode::Transaction);
    assert_eq!(pair.says("Q listen News"), "");
    assert!(pair.session().waits_for_listener());
    assert_eq!(pair.session().awaited_channels().map(names), Some(vec!["news".to_owned()]));
    assert_eq!(pair.says(""), "", "it is still not listened to");
    pair.session().channels_heard();
    assert_eq!(pair.says(""), "Q listen News");
    assert_eq!(pair.says("Q listen news"), "", "what belongs before the answer is not to come behind it");
    pair.answers("C LISTEN / Z T");
    assert_eq!(pair.says(""), "Q listen news", "what is expected already is not waited for");
}

#[test]
fn in_session_mode_nothing_waits() {
    let mut pair = Pair::new(PoolMode::Session);
    assert_eq!(pair.says("Q listen news"), "Q listen news");
    assert_eq!(pair.answers("C LISTEN / A / Z I"), "C LISTEN / A / Z I");
    assert!(!pair.session().has_channels());
}

#[test]
fn who_has_sent_a_notification_is_ready_when_it_has_arrived() {
    let mut pair = Pair::new(PoolMode::Transaction);
    pair.says("Q begin");
    assert_eq!(pair.answers("C BEGIN / Z T"), "C BEGIN / Z T");
    pair.says("Q notify news");
    assert_eq!(
        pair.answers("C NOTIFY / Z T"),
        "C NOTIFY / Z T",
        "inside the transaction nothing is withheld"
    );
    pair.says("Q commit");
    assert!(pair.session().takes_end());
    assert_eq!(pair.answers("C COMMIT / Z I"), "C COMMIT");
    assert!(pair.session().is_to_be_heard() && pair.session().is_sending());
    assert_eq!(
        pair.says("Q select 1"),
        "",
        "it is not to be heard before the answer to what was asked before"
    );
}

/// The number of the server connection is 7, and the client listens by a function.
#[test]
fn what_was_sent_to_a_channel_that_no_text_has_told_of_is_kept() {
    let mut pair = Pair::new(PoolMode::Transaction);
    let own = b"\0\0\0\x07secret";
    pair.stage.servers[0].server.cancel_key = Some(CancelKey::parse(own).unwrap());
    pair.says("Q do 'listens'");
    let heard = "A 7 news mine / A 8 news theirs / A 7 news again";
    assert_eq!(pair.answers(&format!("C DO / {heard} / Z I")), "C DO");
    let kept = |pair: &mut Pair| {
        let overheard = pair.session().take_overheard();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        overheard.iter().map(|(channel, payload)| format!("{channel} {}", text(payload))).collect::<Vec<_>>()
    };
    assert_eq!(kept(&mut pair), ["news mine", "news again"]);
    assert!(kept(&mut pair).is_empty());
}

/// What the listener connection hears must not come twice.
#[test]
fn what_was_sent_to_a_channel_that_a_text_has_told_of_is_not() {
    let mut pair = Pair::new(PoolMode::Transaction);
    pair.stage.servers[0].server.cancel_key = Some(CancelKey::parse(b"\0\0\0\x07secret").unwrap());
    pair.says("Q listen news");
    pair.session().channels_heard();
    pair.says("");
    pair.answers("C LISTEN / C NOTIFY / A 7 news mine / Z I");
    assert!(pair.session().take_overheard().is_empty());
}

#[test]
fn who_may_have_sent_a_notification_unseen_is_ready_when_it_has_arrived() {
    let mut pair = Pair::new(PoolMode::Transaction);
    pair.says("Q do 'anything'");
    assert_eq!(pair.answers("C DO / Z I"), "C DO");
    assert!(pair.session().is_sending());
}

#[test]
fn a_client_with_nothing_to_hear_is_told_at_once() {
    let mut pair = Pair::new(PoolMode::Transaction);
    pair.says("Q select 1");
    assert_eq!(pair.answers("C SELECT 1 / Z I"), "C SELECT 1 / Z I");
    assert!(!pair.session().has_channels());
}

#[test]
fn nothing_is_left_when_a_notification_has_been_sent_and_nothing_is_listened_to() {
    let mut pair = Pair::new(PoolMode::Transaction);
    pair.says("Q notify news");
    assert_eq!(pair.answers("C NOTIFY / Z I"), "C NOTIFY");
    assert_eq!(pair.ready(), "Z I");
    assert!(!pair.session().has_channels());
}
