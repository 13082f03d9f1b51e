//! Checking out, giving back, cancelling, losing.

use super::*;

#[test]
fn the_first_checkout_opens_a_connection_and_waits_for_it() {
    let (mut world, pool) = World::with(plain(2));
    assert_eq!(world.checkout(pool, 0), "waits as 1");
    assert_eq!(world.does(), ["open 1"]);
    world.opened(1, 0);
    assert_eq!(world.does(), ["grant 1 to 1"]);
}

#[test]
fn a_connection_given_back_is_parked_and_granted_without_waiting() {
    let (mut world, pool) = World::with(plain(2));
    world.warm(pool, 1);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["park 1"]);
    assert_eq!(world.checkout(pool, 0), "granted 1");
    assert!(world.does().is_empty());
}

#[test]
fn the_last_one_used_is_reused_first_and_with_round_robin_the_longest_idle() {
    let (mut world, pool) = World::with(plain(3));
    world.idle(pool, 3);
    assert_eq!(world.checkout(pool, 0), "granted 3");
    let (mut world, pool) = World::with(PoolConfig { round_robin: true, ..plain(3) });
    world.idle(pool, 3);
    assert_eq!(world.checkout(pool, 0), "granted 1");
}

#[test]
fn a_worker_takes_its_own_idle_connection_before_another_workers() {
    let (mut world, pool) = World::with(plain(3));
    world.warm(pool, 3);
    for (server, worker) in [(1, 0), (2, 1), (3, 1)] {
        world.give_back(server, worker);
    }
    assert_eq!(world.checkout(pool, 0), "granted 1");
    assert_eq!(world.checkout(pool, 0), "granted 3", "then the other worker's most recent");
    assert_eq!(world.checkout(pool, 2), "granted 2");
}

#[test]
fn a_full_pools_waiters_are_served_in_order_of_arrival() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    assert_eq!(
        (world.checkout(pool, 0), world.checkout(pool, 0)),
        ("waits as 2".into(), "waits as 3".into())
    );
    assert!(world.does().is_empty(), "there is no room for another");
    world.give_back(1, 0);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["grant 1 to 2", "grant 1 to 3"]);
}

#[test]
fn the_own_workers_waiter_comes_first_and_another_workers_if_there_is_none() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 1);
    world.checkout(pool, 0);
    world.give_back(1, 0);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["grant 1 to 3", "grant 1 to 2"]);
}

#[test]
fn another_workers_waiter_comes_first_once_it_has_waited_two_milliseconds_longer() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 1);
    world.pass(2);
    world.checkout(pool, 0);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["grant 1 to 2"]);
}

#[test]
fn nobody_is_overtaken_by_more_than_twice_the_pools_size() {
    let (mut world, pool) = World::with(plain(2));
    world.warm(pool, 2);
    world.checkout(pool, 1);
    for _ in 0..20 {
        world.checkout(pool, 0);
    }
    world.does();
    let mut overtakers = 0;
    loop {
        world.give_back(1, 0);
        if world.does() == ["grant 1 to 3"] {
            break;
        }
        overtakers += 1;
    }
    assert_eq!(overtakers, 4);
}

#[test]
fn who_gives_up_waiting_is_granted_nothing() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.checkout(pool, 0);
    assert!(world.abandon(2));
    assert!(!world.abandon(2), "it does not wait any more");
    world.give_back(1, 0);
    assert_eq!(world.does(), ["grant 1 to 3"]);
    assert!(!world.abandon(3), "it has been granted one");
}

#[test]
fn a_poisoned_connection_is_closed_and_a_new_one_opened_for_who_waits() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.poisoned(1);
    assert_eq!(world.does(), ["close 1: unclean server", "open 2"]);
    world.opened(2, 0);
    assert_eq!(world.does(), ["grant 2 to 2"]);
}

#[test]
fn a_lost_connection_frees_its_slot_in_whatever_state() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.lost(1);
    assert_eq!(world.does(), ["open 2"], "linked");
    world.lost(2);
    assert_eq!(world.does(), ["open 3"], "being opened");
    world.opened(3, 0);
    world.give_back(3, 0);
    world.lost(3);
    assert_eq!(world.does(), ["grant 3 to 2", "park 3"]);
    assert_eq!(world.checkout(pool, 0), "waits as 3", "parked");
    assert_eq!(world.does(), ["open 4"]);
}

#[test]
fn what_is_gone_is_ignored() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.poisoned(1);
    world.does();
    world.warm(pool, 1);
    for gone in [1, 1] {
        world.opened(gone, 0);
        world.open_failed(gone);
        world.give_back(gone, 0);
        world.lost(gone);
        world.cancel_ended(gone);
    }
    world.opened(2, 0);
    assert!(world.does().is_empty());
    assert_eq!(world.counts(pool), ServerCounts { active: 1, ..ServerCounts::default() });
}

#[test]
fn a_connection_given_back_twice_is_parked_once() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.give_back(1, 0);
    world.give_back(1, 0);
    world.poisoned(1);
    assert_eq!(world.does(), ["park 1"]);
}

#[test]
fn an_idle_one_is_checked_before_use_once_it_has_been_idle_for_the_check_delay() {
    let (mut world, pool) = World::with(PoolConfig { check_delay: seconds(30), ..plain(1) });
    world.idle(pool, 1);
    world.pass(29_999);
    assert_eq!(world.counts(pool).idle, 1);
    assert_eq!(world.checkout(pool, 0), "granted 1");
    world.give_back(1, 0);
    world.pass(30_000);
    assert_eq!((world.counts(pool).idle, world.counts(pool).used), (0, 1));
    assert_eq!(world.checkout(pool, 0), "granted 1 with check");
}

#[test]
fn while_a_cancel_request_is_in_flight_nobody_gets_the_connection() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    let server = world.servers[&1];
    world.pools.cancel_started(server);
    world.pools.cancel_started(server);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["park 1"]);
    assert_eq!(world.counts(pool).being_canceled, 1);
    world.cancel_ended(1);
    assert!(world.does().is_empty(), "one of the two is still in flight");
    world.cancel_ended(1);
    assert_eq!(world.does(), ["grant 1 to 2"]);
}

#[test]
fn a_cancelled_connection_nobody_waits_for_becomes_idle_without_being_parked_again() {
    let (mut world, pool) = World::with(plain(1));
    world.idle(pool, 1);
    world.pools.cancel_started(world.servers[&1]);
    assert_eq!(world.checkout(pool, 0), "waits as 2", "the cancel overtook the check-in");
    assert!(world.abandon(2));
    world.cancel_ended(1);
    assert!(world.does().is_empty());
    assert_eq!(world.checkout(pool, 0), "granted 1");
}

#[test]
fn a_connection_being_checked_or_cleaned_shows_as_tested() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.pools.set_testing(world.servers[&1], true);
    world.pools.set_testing(world.servers[&1], true);
    assert_eq!(world.counts(pool), ServerCounts { tested: 1, ..ServerCounts::default() });
    world.give_back(1, 0);
    assert_eq!(world.counts(pool), ServerCounts { idle: 1, ..ServerCounts::default() });
}
