//! What time alone brings about.

use super::*;

#[test]
fn who_waits_too_long_is_told_who_holds_the_connections() {
    let (mut world, pool) = World::with(PoolConfig { query_wait: seconds(2), ..plain(2) });
    world.warm(pool, 2);
    world.checkout(pool, 0);
    world.pass(1_000);
    world.checkout(pool, 0);
    world.pass(1_300);
    assert_eq!(
        world.tick(),
        [
            "refuse 3: no server connection of pool shop/anna within 2.3 s: 2 in line, server connections: 2 active"
        ]
    );
    world.give_back(1, 0);
    assert_eq!(world.does(), ["grant 1 to 4"]);
}

#[test]
fn who_waits_long_is_notified_once() {
    let (mut world, pool) = World::with(PoolConfig { query_wait_notify: seconds(5), ..plain(1) });
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.pass(1_000);
    world.checkout(pool, 0);
    world.pass(4_000);
    assert_eq!(world.tick(), ["notify 2 after 5000 ms"]);
    world.pass(1_000);
    assert_eq!(world.tick(), ["notify 3 after 5000 ms"]);
    world.pass(1_000);
    assert!(world.tick().is_empty());
}

#[test]
fn idle_ones_are_closed_after_the_idle_timeout_down_to_the_minimum() {
    let config = PoolConfig { idle_timeout: seconds(60), min_size: 1, ..plain(3) };
    let (mut world, pool) = World::with(config);
    world.idle(pool, 2);
    world.pass(59_999);
    assert!(world.tick().is_empty());
    world.pass(1);
    assert_eq!(world.tick(), ["close 1: server_idle_timeout"]);
    world.pass(1_000_000);
    assert!(world.tick().is_empty());
}

#[test]
fn an_old_connection_is_closed_when_given_back() {
    let (mut world, pool) = World::with(PoolConfig { lifetime: seconds(100), ..plain(1) });
    world.warm(pool, 1);
    world.pass(106_000);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["close 1: server_lifetime"]);
}

#[test]
fn lifetimes_differ_by_up_to_five_per_cent() {
    let (mut world, pool) = World::with(PoolConfig { lifetime: seconds(1_000), ..plain(40) });
    world.idle(pool, 40);
    let mut closed = Vec::new();
    for second in 0..1_100_u32 {
        closed.extend(world.tick().iter().map(|_| second));
        world.pass(1_000);
    }
    assert_eq!(closed.len(), 40);
    assert!(closed[0] >= 950 && closed[39] <= 1_051);
    assert!(closed[39] - closed[0] > 50, "they do not all end together");
}

#[test]
fn connections_of_one_age_are_not_all_closed_at_once() {
    let (mut world, pool) = World::with(PoolConfig { lifetime: seconds(100), ..plain(10) });
    world.idle(pool, 10);
    world.pass(200_000);
    assert_eq!(world.tick().len(), 2);
    assert_eq!(world.tick().len(), 2);
}

#[test]
fn old_connections_are_replaced_one_at_a_time_while_somebody_waits() {
    let (mut world, pool) = World::with(PoolConfig { lifetime: seconds(100), ..plain(2) });
    world.warm(pool, 2);
    world.checkout(pool, 0);
    world.checkout(pool, 0);
    world.pass(200_000);
    world.give_back(1, 0);
    world.give_back(2, 0);
    assert_eq!(world.does(), ["close 1: server_lifetime", "open 3", "grant 2 to 3"]);
    world.give_back(2, 0);
    assert_eq!(world.does(), ["grant 2 to 4"], "its successor is not there yet");
    world.opened(3, 0);
    world.give_back(2, 0);
    assert_eq!(world.does(), ["park 3", "close 2: server_lifetime"]);
}

#[test]
fn an_old_connection_is_kept_while_the_server_refuses_new_ones() {
    let (mut world, pool) = World::with(PoolConfig { lifetime: seconds(100), ..plain(2) });
    world.warm(pool, 1);
    world.pass(200_000);
    world.checkout(pool, 0);
    world.open_failed(2);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["open 2", "grant 1 to 2"]);
}

#[test]
fn with_a_lifetime_of_zero_every_connection_is_used_once() {
    let (mut world, pool) = World::with(PoolConfig { lifetime: seconds(0), ..plain(2) });
    for _ in 0..3 {
        world.checkout(pool, 0);
    }
    world.opened(1, 0);
    world.opened(2, 0);
    assert_eq!(world.does(), ["open 1", "open 2", "grant 1 to 1", "grant 2 to 2"]);
    world.give_back(1, 0);
    world.give_back(2, 0);
    assert_eq!(world.does(), ["close 1: server_lifetime", "open 3", "close 2: server_lifetime"]);
}

#[test]
fn a_connection_for_a_single_use_waits_for_it() {
    let (mut world, pool) = World::with(PoolConfig { lifetime: seconds(0), min_size: 1, ..plain(1) });
    world.tick();
    world.opened(1, 0);
    assert_eq!(world.does(), ["park 1"]);
    world.pass(60_000);
    assert!(world.tick().is_empty());
    assert_eq!(world.checkout(pool, 0), "granted 1");
}

#[test]
fn a_changed_lifetime_holds_for_connections_already_open() {
    let (mut world, pool) = World::with(plain(1));
    world.idle(pool, 1);
    world.pass(200_000);
    assert!(world.tick().is_empty());
    world.pools.configure(pool, PoolConfig { lifetime: seconds(100), ..plain(1) });
    assert_eq!(world.tick(), ["close 1: server_lifetime"]);
    world.pools.configure(pool, PoolConfig { lifetime: Some(Duration::MAX), ..plain(1) });
    world.idle(pool, 1);
    assert!(world.tick().is_empty(), "a lifetime beyond all clocks never ends");
}

#[test]
fn the_minimum_is_kept_open_without_anybody_waiting() {
    let (mut world, pool) = World::with(PoolConfig { min_size: 3, ..plain(2) });
    assert_eq!(world.tick(), ["open 1", "open 2"], "but never more than the size");
    world.opened(1, 0);
    world.opened(2, 0);
    world.lost(1);
    assert_eq!(world.does(), ["park 1", "park 2"]);
    assert_eq!(world.tick(), ["open 3"]);
    assert_eq!(world.counts(pool), ServerCounts { idle: 1, login: 1, ..ServerCounts::default() });
}

#[test]
fn the_minimum_waits_for_the_back_off_and_then_tries_one() {
    let (mut world, _) = World::with(PoolConfig { min_size: 3, ..plain(3) });
    assert_eq!(world.tick(), ["open 1", "open 2", "open 3"]);
    for server in 1..=3 {
        world.open_failed(server);
    }
    assert!(world.tick().is_empty());
    world.pass(100);
    assert_eq!(world.tick(), ["open 4"]);
    assert!(world.tick().is_empty());
}

#[test]
fn the_minimum_is_not_opened_at_another_pools_cost() {
    let mut world = World::new();
    let limited = PoolConfig { max_db_connections: Some(1), ..plain(1) };
    let anna = world.pool("shop", "anna", limited.clone());
    world.idle(anna, 1);
    world.pool("shop", "bert", PoolConfig { min_size: 1, ..limited });
    assert!(world.tick().is_empty());
}

#[test]
fn a_smaller_pool_closes_its_idle_surplus() {
    let (mut world, pool) = World::with(plain(3));
    world.idle(pool, 3);
    world.pools.configure(pool, plain(1));
    assert_eq!(world.tick(), ["close 1: over limit", "close 2: over limit"]);
}
