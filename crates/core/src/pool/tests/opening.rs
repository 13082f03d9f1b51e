//! How many are opened, when the reserve is used, and what happens after failures.

use super::*;

#[test]
fn as_many_are_opened_as_there_are_waiters_and_no_more() {
    let (mut world, pool) = World::with(plain(10));
    for _ in 0..3 {
        world.checkout(pool, 0);
    }
    assert_eq!(world.does(), ["open 1", "open 2", "open 3"]);
    world.abandon(1);
    world.checkout(pool, 0);
    assert!(world.does().is_empty(), "the abandoned one's connection is already on its way");
}

#[test]
fn no_more_than_eight_are_opened_at_once() {
    let (mut world, pool) = World::with(plain(20));
    for _ in 0..12 {
        world.checkout(pool, 0);
    }
    assert_eq!(world.does().len(), 8);
    world.opened(1, 0);
    assert_eq!(world.does(), ["grant 1 to 1", "open 9"]);
}

#[test]
fn a_connection_nobody_waits_for_any_more_is_parked_when_open() {
    let (mut world, pool) = World::with(plain(1));
    world.checkout(pool, 0);
    world.abandon(1);
    world.opened(1, 0);
    assert_eq!(world.does(), ["open 1", "park 1"]);
}

#[test]
fn the_reserve_is_used_once_the_first_in_line_has_waited_for_its_timeout() {
    let config = PoolConfig { reserve_size: 1, reserve_timeout: seconds(5), ..plain(1) };
    let (mut world, pool) = World::with(config);
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.checkout(pool, 0);
    world.pass(4_999);
    assert!(world.tick().is_empty());
    world.pass(1);
    assert_eq!(world.tick(), ["open 2"]);
    assert!(world.tick().is_empty(), "the reserve is used up");
}

#[test]
fn without_a_reserve_timeout_the_reserve_is_never_used() {
    let (mut world, pool) = World::with(PoolConfig { reserve_size: 1, ..plain(1) });
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.pass(1_000_000);
    assert!(world.tick().is_empty());
}

#[test]
fn when_none_is_open_and_opening_fails_waiters_get_the_servers_own_error() {
    let (mut world, pool) = World::with(plain(2));
    world.checkout(pool, 0);
    world.checkout(pool, 0);
    world.open_failed(1);
    assert_eq!(world.does(), ["open 1", "open 2"], "the other try may still succeed");
    world.open_failed(2);
    assert_eq!(
        world.does(),
        ["refuse 1: connect failed: no such database", "refuse 2: connect failed: no such database"]
    );
}

#[test]
fn during_the_back_off_checkouts_are_refused_and_then_a_single_one_is_tried() {
    let (mut world, pool) = World::with(plain(5));
    world.checkout(pool, 0);
    world.open_failed(1);
    world.does();
    assert_eq!(world.checkout(pool, 0), "refused: connect failed: no such database");
    world.pass(100);
    assert_eq!(world.checkout(pool, 0), "waits as 2");
    assert_eq!(world.checkout(pool, 0), "waits as 3");
    assert_eq!(world.does(), ["open 2"], "one try says enough");
    world.opened(2, 0);
    assert_eq!(world.does(), ["grant 2 to 2", "open 3"], "trust is back");
}

#[test]
fn nothing_is_tried_again_that_nobody_needs() {
    let (mut world, pool) = World::with(plain(5));
    world.checkout(pool, 0);
    world.open_failed(1);
    world.does();
    for _ in 0..100 {
        world.pass(1_000);
        assert!(world.tick().is_empty());
    }
}

#[test]
fn with_another_one_open_waiters_wait_on_while_opening_fails() {
    let (mut world, pool) = World::with(plain(2));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.open_failed(2);
    assert_eq!(world.does(), ["open 2"]);
    world.pass(50);
    assert!(world.tick().is_empty(), "the back-off runs");
    world.pass(50);
    assert_eq!(world.tick(), ["open 3"]);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["grant 1 to 2"]);
}

#[test]
fn when_the_last_open_one_is_lost_during_the_back_off_waiters_are_refused() {
    let (mut world, pool) = World::with(plain(2));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.open_failed(2);
    world.lost(1);
    assert_eq!(world.does(), ["open 2", "refuse 2: connect failed: no such database"]);
}

#[test]
fn a_pool_of_no_size_opens_nothing() {
    let (mut world, pool) = World::with(plain(0));
    world.checkout(pool, 0);
    assert!(world.does().is_empty());
}
