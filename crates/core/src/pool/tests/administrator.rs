//! What the operator orders.

use super::*;

#[test]
fn pause_closes_idle_ones_queues_checkouts_and_is_complete_when_the_last_is_given_back() {
    let (mut world, pool) = World::with(plain(2));
    world.warm(pool, 2);
    world.give_back(1, 0);
    world.does();
    world.pools.pause(Some("shop"), world.now, &mut world.fx);
    assert_eq!(world.does(), ["close 1: closed by administrator"]);
    assert!(world.pools.is_paused(Some("shop")) && !world.pools.is_quiet(Some("shop")));
    assert_eq!(world.checkout(pool, 0), "waits as 3");
    world.give_back(2, 0);
    assert_eq!(world.does(), ["close 2: closed by administrator"]);
    assert!(world.pools.is_quiet(Some("shop")));
    assert!(world.tick().is_empty());
    world.pools.resume(Some("shop"), world.now, &mut world.fx);
    assert_eq!(world.does(), ["open 3"]);
}

#[test]
fn a_connection_opened_during_pause_is_closed() {
    let (mut world, pool) = World::with(plain(1));
    world.checkout(pool, 0);
    world.pools.pause(None, world.now, &mut world.fx);
    world.opened(1, 0);
    assert_eq!(world.does(), ["open 1", "close 1: closed by administrator"]);
}

#[test]
fn query_wait_timeout_holds_during_pause() {
    let (mut world, pool) = World::with(PoolConfig { query_wait: seconds(1), ..plain(1) });
    world.pools.pause(None, world.now, &mut world.fx);
    world.checkout(pool, 0);
    world.pass(1_000);
    let [refused] = &world.tick()[..] else { panic!("one is refused") };
    assert!(refused.ends_with("it is paused"), "{refused}");
}

#[test]
fn resume_of_all_leaves_a_single_databases_pause_in_force_and_new_pools_obey() {
    let mut world = World::new();
    world.pools.pause(Some("shop"), world.now, &mut world.fx);
    world.pools.pause(None, world.now, &mut world.fx);
    let shop = world.pool("shop", "anna", plain(1));
    let stock = world.pool("stock", "anna", plain(1));
    world.checkout(shop, 0);
    world.checkout(stock, 0);
    assert!(world.does().is_empty());
    world.pools.resume(None, world.now, &mut world.fx);
    assert_eq!(world.does(), ["open 1"]);
    assert!(world.pools.is_paused(Some("shop")) && !world.pools.is_paused(None));
}

#[test]
fn after_pause_and_a_failed_opening_waiters_are_not_refused_before_resume() {
    let (mut world, pool) = World::with(plain(1));
    world.checkout(pool, 0);
    world.pools.pause(None, world.now, &mut world.fx);
    world.open_failed(1);
    assert_eq!(world.does(), ["open 1"]);
    world.pass(1_000);
    world.pools.resume(None, world.now, &mut world.fx);
    assert_eq!(world.does(), ["open 2"]);
}

#[test]
fn reconnect_closes_idle_ones_now_and_others_when_given_back_or_open() {
    let (mut world, pool) = World::with(plain(3));
    world.warm(pool, 2);
    world.give_back(1, 0);
    world.does();
    world.pools.reconnect(Some("shop"), world.now, &mut world.fx);
    assert_eq!(world.does(), ["close 1: connect string changed"]);
    assert_eq!(world.pools.obsolete_open(Some("shop")), 1);
    assert_eq!(world.pools.obsolete_open(Some("stock")), 0);
    world.checkout(pool, 0);
    world.give_back(2, 0);
    assert_eq!(world.does(), ["open 3", "close 2: connect string changed"]);
    assert_eq!(world.pools.obsolete_open(None), 0);
    world.pools.reconnect(None, world.now, &mut world.fx);
    world.opened(3, 0);
    assert_eq!(world.does(), ["close 3: connect string changed", "open 4"], "it began with the old settings");
}

#[test]
fn reconnect_ends_the_pause_after_a_failed_opening() {
    let (mut world, pool) = World::with(plain(1));
    world.checkout(pool, 0);
    world.open_failed(1);
    assert!(world.checkout(pool, 0).starts_with("refused"), "too early to try again");
    world.does();
    world.pools.reconnect(Some("stock"), world.now, &mut world.fx);
    assert!(world.checkout(pool, 0).starts_with("refused"), "another database");
    world.pools.reconnect(Some("shop"), world.now, &mut world.fx);
    assert!(world.checkout(pool, 0).starts_with("waits"));
    assert_eq!(world.does(), ["open 2"]);
}

#[test]
fn a_condemned_connection_waits_for_its_cancel_request() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.pools.cancel_started(world.servers[&1]);
    world.give_back(1, 0);
    world.pools.reconnect(None, world.now, &mut world.fx);
    assert_eq!(world.does(), ["park 1"]);
    world.cancel_ended(1);
    assert_eq!(world.does(), ["close 1: connect string changed"]);
}

#[test]
fn kill_refuses_the_line_closes_everything_unused_and_pauses() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.pools.kill(Some("shop"), world.now, &mut world.fx);
    assert_eq!(world.does(), ["refuse 2: closed by administrator"]);
    world.pools.resume(Some("shop"), world.now, &mut world.fx);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["close 1: closed by administrator"], "even after an early resume");
}

#[test]
fn draining_refuses_everybody_and_closes_every_connection() {
    let (mut world, pool) = World::with(PoolConfig { min_size: 2, ..plain(2) });
    world.warm(pool, 2);
    world.checkout(pool, 0);
    world.pools.drain_servers(world.now, &mut world.fx);
    assert_eq!(world.does(), ["refuse 3: shutting down"]);
    assert_eq!(world.checkout(pool, 0), "refused: shutting down");
    world.give_back(1, 0);
    world.give_back(2, 0);
    assert_eq!(world.does(), ["close 1: shutting down", "close 2: shutting down"]);
    assert!(world.tick().is_empty() && world.pools.is_quiet(None));
}

#[test]
fn disable_is_remembered_until_enable() {
    let mut world = World::new();
    world.pools.disable("shop");
    assert!(world.pools.is_disabled("shop") && !world.pools.is_disabled("stock"));
    world.pools.enable("shop");
    assert!(!world.pools.is_disabled("shop"));
}

#[test]
fn views_show_every_pool_and_connection() {
    let (mut world, pool) = World::with(plain(1));
    world.warm(pool, 1);
    world.checkout(pool, 0);
    world.pass(1_500);
    let view = world.pools.pool_views(world.now).next().unwrap();
    assert_eq!((view.key.to_string(), view.waiting), ("shop/anna".to_owned(), 1));
    assert_eq!(view.maxwait, Duration::from_millis(1_500));
    let server = world.pools.server_views(world.now).next().unwrap();
    assert_eq!((server.id, server.state), (world.servers[&1], crate::facts::ServerState::Active));
    assert_eq!(world.pools.obsolete_open(None), 0);
}
