//! What clients see: when their LISTEN takes effect, what they are given, and when.

use super::*;

#[test]
fn a_listen_waits_until_the_connection_has_the_channel() {
    let mut world = World::new();
    world.expect(1, "news");
    assert!(!world.board.is_heard(1));
    assert_eq!(world.next(), "open");
    assert_eq!(world.next(), "wait");
    world.board.opened();
    assert_eq!(world.next(), r#"LISTEN "news""#);
    assert!(!world.board.is_heard(1));
    world.answer();
    assert!(world.board.is_heard(1));
    assert_eq!(world.woken(), [1].into());
}

#[test]
fn a_second_listener_of_a_channel_waits_for_nothing() {
    let mut world = World::listening();
    world.expect(2, "news");
    assert!(world.board.is_heard(2));
    assert_eq!(world.next(), "wait");
}

#[test]
fn a_notification_goes_to_all_who_listen_and_says_who_sent_it() {
    let mut world = World::listening();
    for (client, channels) in [(2, &["news", "other"][..]), (3, &["other"][..])] {
        world.settle(client, channels);
        world.serve();
    }
    world.woken();
    world.notify(997, "news", "by client 7");
    world.notify(70_001, "news", "by a stranger");
    assert_eq!(world.woken(), [1, 2].into());
    let expected = ["news=by client 7 from 7", "news=by a stranger from 70001"];
    assert_eq!(world.gets(1), expected);
    assert_eq!(world.gets(2), expected);
    assert!(world.gets(3).is_empty());
    assert!(world.gets(1).is_empty());
    assert_eq!(world.board.delivered(), 4);
}

#[test]
fn what_is_sent_before_the_commit_is_not_for_who_listens_with_it() {
    let mut world = World::listening();
    world.expect_in_block(2, "news");
    world.notify(901, "news", "before");
    world.board.commits(2);
    world.notify(902, "news", "with the commit");
    assert!(world.gets(2).is_empty(), "nothing is given inside a transaction's doubt");
    world.settle(2, &["news"]);
    assert_eq!(world.gets(2), ["news=with the commit from 2"]);
    assert_eq!(world.gets(1).len(), 2);
}

/// It comes on its server connection and on the listener connection, which others had listen to that channel.
#[test]
fn what_a_client_has_overheard_it_is_not_given_twice() {
    let mut world = World::listening();
    let news = named("news");
    world.board.overheard(2, 2, &news, b"own");
    world.settle(2, &["news"]);
    assert!(world.begin_round(2));
    world.next();
    world.notify(902, "news", "own");
    world.notify(903, "news", "another's");
    assert_eq!(world.gets(2), ["news=own from 2", "news=another's from 3"]);
    assert_eq!(world.gets(1).len(), 2);
    world.answer();
    assert!(world.is_over(2));
    world.notify(902, "news", "own");
    assert_eq!(world.gets(2), ["news=own from 2"], "from now on it is the listener connection's");
}

#[test]
fn a_listen_that_was_rolled_back_never_was() {
    let mut world = World::listening();
    world.expect(2, "other");
    world.serve();
    world.notify(902, "other", "x");
    world.settle(2, &[]);
    assert!(world.gets(2).is_empty());
    assert_eq!(world.next(), r#"UNLISTEN "other""#);
    world.answer();
    world.notify(902, "news", "x");
    assert!(world.gets(2).is_empty());
}

#[test]
fn a_rolled_back_listen_leaves_what_was_listened_to_before() {
    let mut world = World::listening();
    world.expect_in_block(1, "other");
    world.expect_in_block(1, "news");
    world.serve();
    world.notify(902, "news", "meanwhile");
    world.settle(1, &["news"]);
    assert_eq!(world.gets(1), ["news=meanwhile from 2"]);
}

/// PostgreSQL looks at what has come when the transaction is over, and the UNLISTEN with it.
#[test]
fn what_came_before_an_unlisten_took_effect_is_not_given_after_it() {
    let mut world = World::listening();
    world.settle(1, &["news", "other"]);
    world.serve();
    world.notify(902, "news", "x");
    world.notify(902, "other", "y");
    world.settle(1, &["other"]);
    assert_eq!(world.gets(1), ["other=y from 2"]);
}

#[test]
fn a_channel_no_text_named_is_listened_to_before_the_client_is_ready() {
    let mut world = World::listening();
    world.settle(2, &["from a function"]);
    assert!(!world.board.is_heard(2));
    assert_eq!(world.next(), r#"LISTEN "from a function""#);
    world.answer();
    assert!(world.board.is_heard(2));
}

#[test]
fn who_leaves_is_unlistened_when_it_was_the_last() {
    let mut world = World::listening();
    world.settle(2, &["news"]);
    world.board.leave(1, &mut world.fx);
    assert_eq!(world.next(), "wait");
    world.board.leave(2, &mut world.fx);
    assert_eq!(world.next(), r#"UNLISTEN "news""#);
    assert!(world.board.is_idle());
}

#[test]
fn a_channel_given_up_and_wanted_again_is_listened_to_again() {
    let mut world = World::listening();
    world.settle(1, &[]);
    world.settle(1, &["news"]);
    world.serve();
    assert_eq!(world.heard, [r#""news""#.to_owned()].into());
    assert!(world.board.is_heard(1));
    world.notify(902, "news", "x");
    assert_eq!(world.gets(1), ["news=x from 2"]);
}

#[test]
fn a_round_brings_what_was_committed_before_it() {
    let mut world = World::listening();
    assert!(world.begin_round(1));
    assert_eq!(world.next(), "");
    assert!(!world.is_over(1));
    world.notify(901, "news", "own");
    world.answer();
    assert!(world.is_over(1));
    assert_eq!(world.woken(), [1].into());
    assert_eq!(world.gets(1), ["news=own from 1"]);
}

/// What has been asked may have been answered before the client's transaction ended.
#[test]
fn a_round_under_way_does_not_count_and_those_that_wait_share_the_next() {
    let mut world = World::listening();
    world.begin_round(1);
    assert_eq!(world.next(), "");
    world.begin_round(2);
    world.begin_round(3);
    assert_eq!(world.next(), "wait");
    world.answer();
    assert!(world.is_over(1) && !world.is_over(2) && !world.is_over(3));
    assert_eq!(world.next(), "");
    world.answer();
    assert!(world.is_over(2) && world.is_over(3));
    assert_eq!(world.next(), "wait");
}

#[test]
fn who_takes_nothing_is_told_and_gets_nothing_more() {
    let mut world = World::listening();
    let payload = "x".repeat(7999);
    for _ in 0..600 {
        world.notify(902, "news", &payload);
    }
    assert!(world.board.has_news(1));
    let overflow = world.board.take(1, &mut Vec::new()).unwrap_err();
    assert!(overflow.messages < 600, "{overflow}");
    assert!(world.board.take(1, &mut Vec::new()).is_err());
}

#[test]
fn much_that_waits_is_given_in_portions() {
    let mut world = World::listening();
    let payload = "x".repeat(7999);
    for _ in 0..20 {
        world.notify(902, "news", &payload);
    }
    assert_eq!((world.gets(1).len(), world.gets(1).len(), world.gets(1).len()), (9, 9, 2));
    assert!(!world.board.has_news(1));
}
