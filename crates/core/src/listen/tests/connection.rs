//! What becomes of the listener connection: opened, lost, opened again, closed.

use super::*;

const DEAF: &str = "WARNING: the connection that listens for this client is not there: notifications may be missed \
                    until it is";
const AGAIN: &str =
    "WARNING: listening again: notifications sent since the last warning may have been missed";

#[test]
fn without_listeners_there_is_none() {
    let mut world = World::new();
    assert_eq!(world.next(), "rest");
    assert!(!world.begin_round(1));
    world.settle(1, &[]);
    assert_eq!(world.next(), "rest");
}

#[test]
fn it_is_closed_some_time_after_the_last_listener_has_gone() {
    let mut world = World::listening();
    world.settle(1, &[]);
    world.serve();
    assert_eq!(world.next(), "wait 10000 ms");
    world.pass(9_000);
    world.expect(2, "other");
    world.serve();
    world.settle(2, &[]);
    world.serve();
    assert_eq!(world.next(), "wait 10000 ms");
    world.pass(10_000);
    assert_eq!(world.next(), "close");
    assert_eq!(world.next(), "rest");
    world.expect(3, "news");
    assert_eq!(world.next(), "open");
}

#[test]
fn who_listens_is_told_of_a_loss_and_of_its_end() {
    let mut world = World::listening();
    world.settle(2, &["other"]);
    world.serve();
    world.woken();
    world.lose();
    assert_eq!(world.woken(), [1, 2].into());
    assert_eq!((world.gets(1), world.gets(2)), (vec![DEAF.to_owned()], vec![DEAF.to_owned()]));
    assert_eq!(world.next(), "wait 200 ms");
    world.pass(200);
    assert_eq!(world.next(), "open");
    world.board.opened();
    assert_eq!(world.next(), r#"LISTEN "news"; LISTEN "other""#);
    world.answer();
    assert_eq!((world.gets(1), world.gets(2)), (vec![AGAIN.to_owned()], vec![]));
    world.answer();
    assert_eq!(world.gets(2), [AGAIN]);
}

/// RECONNECT: whoever says LISTEN just then waits for the next connection and need not be warned.
#[test]
fn a_connection_given_up_on_purpose_is_opened_anew_at_once() {
    let mut world = World::listening();
    world.expect(2, "other");
    world.board.renew("connect string changed", &mut world.fx);
    assert_eq!(world.gets(1), [DEAF]);
    assert!(!world.board.is_heard(2));
    assert_eq!(world.next(), "open");
    world.board.opened();
    world.serve();
    assert!(world.board.is_heard(2));
    world.settle(2, &["other"]);
    assert_eq!((world.gets(1), world.gets(2)), (vec![AGAIN.to_owned()], vec![]));
}

#[test]
fn nobody_waits_for_a_connection_that_is_lost() {
    let mut world = World::listening();
    world.expect(2, "other");
    world.begin_round(1);
    world.next();
    world.begin_round(3);
    world.woken();
    world.lose();
    assert!(world.is_over(1) && world.is_over(3));
    assert!(world.board.is_heard(2));
    assert_eq!(world.woken(), [1, 2, 3].into());
    assert!(!world.begin_round(1));
}

#[test]
fn nobody_waits_for_a_connection_that_cannot_be_opened() {
    let mut world = World::new();
    world.expect(1, "news");
    world.next();
    world.board.not_opened("no room", world.now, &mut world.fx);
    assert!(world.board.is_heard(1));
    assert!(world.gets(1).is_empty(), "its LISTEN may still be rolled back");
    world.settle(1, &["news"]);
    assert_eq!(world.gets(1), [DEAF]);
    for pause in [200, 400, 800] {
        assert_eq!(world.next(), format!("wait {pause} ms"));
        world.pass(pause);
        assert_eq!(world.next(), "open");
        world.board.not_opened("no room", world.now, &mut world.fx);
        assert!(world.gets(1).is_empty(), "once is enough");
    }
    world.pass(15_000);
    assert_eq!(world.next(), "open");
    world.board.opened();
    world.serve();
    assert_eq!(world.gets(1), [AGAIN]);
}

#[test]
fn old_failures_are_forgotten_with_those_they_concerned() {
    let mut world = World::listening();
    world.lose();
    world.board.leave(1, &mut world.fx);
    assert_eq!(world.next(), "rest");
    world.expect(2, "news");
    assert!(!world.board.is_heard(2), "it waits, as nothing has failed for it");
    assert_eq!(world.next(), "open");
}

/// As on a standby; there the client's own LISTEN fails too.
#[test]
fn a_refused_channel_is_not_waited_for() {
    let mut world = World::new();
    world.expect(1, "news");
    world.expect(1, "other");
    world.next();
    world.board.opened();
    world.next();
    world.refuse("cannot execute LISTEN during recovery");
    world.answer();
    assert!(world.board.is_heard(1));
    assert!(world.gets(1).is_empty());
    world.settle(1, &["news", "other"]);
    assert_eq!(
        world.gets(1),
        [r#"WARNING: cannot listen to channel "news": cannot execute LISTEN during recovery"#]
    );
}

#[test]
fn a_channel_refused_after_its_client_was_told_is_told_late() {
    let mut world = World::listening();
    world.settle(2, &["other"]);
    world.next();
    world.refuse("no");
    assert_eq!(world.gets(2), [r#"WARNING: cannot listen to channel "other": no"#]);
    world.expect(3, "other");
    assert_eq!(world.next(), r#"LISTEN "other""#, "it is tried again for the next");
}

#[test]
fn a_server_that_talks_nonsense_is_not_listened_to() {
    for nonsense in [&b"A\0\0\0\x05x"[..], b"Z\0\0\0\x05I", b"D\xff\0\0\0x", b"A\x7f\xff\xff\xff"] {
        let mut world = World::listening();
        let said = world.board.read(nonsense, |pid| pid, &mut world.fx);
        assert_eq!(said, Err(Broken::Protocol), "{nonsense:?}");
    }
    let mut world = World::listening();
    let mut goodbye = Vec::new();
    ErrorResponse::new(Severity::Fatal, SqlState::ADMIN_SHUTDOWN, "terminated").write(&mut goodbye);
    assert!(matches!(world.read(&goodbye), Err(Broken::Said(_))));
}
