//! The connection kept for those who listen: first in line, counted, and no burden to a full pool.

use super::*;

#[test]
fn it_goes_before_all_others_in_line() {
    let (mut world, pool) = World::with(plain(2));
    world.warm(pool, 2);
    world.checkout(pool, 0);
    world.listener(pool);
    world.checkout(pool, 0);
    assert_eq!(world.does(), ["open 3"], "one more than the pool's size, for clients may wait for it");
    world.opened(3, 0);
    assert_eq!(world.does(), ["grant 3 to 4"]);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["close 1: over limit"], "from then on it counts");
    world.give_back(2, 0);
    assert_eq!(world.does(), ["grant 2 to 3"]);
}

#[test]
fn an_idle_connection_serves_at_once_and_counts() {
    let (mut world, pool) = World::with(plain(2));
    world.idle(pool, 1);
    assert_eq!(world.listener(pool), "granted 1");
    world.checkout(pool, 0);
    world.checkout(pool, 0);
    assert_eq!(world.does(), ["open 2"]);
}

#[test]
fn a_pool_of_one_has_two_while_somebody_listens() {
    let (mut world, pool) = World::with(plain(1));
    world.idle(pool, 1);
    assert_eq!(world.listener(pool), "granted 1");
    world.checkout(pool, 0);
    assert_eq!(world.does(), ["open 2"]);
    world.opened(2, 0);
    world.does();
    world.checkout(pool, 0);
    assert!(world.does().is_empty());
    world.poisoned(1);
    world.give_back(2, 0);
    assert_eq!(world.does()[0], "close 1: unclean server");
    world.checkout(pool, 0);
    world.checkout(pool, 0);
    assert!(
        world.does().iter().all(|does| !does.starts_with("open")),
        "the exception ends with the listener"
    );
}

#[test]
fn who_gives_up_leaves_no_exception_behind() {
    let (mut world, pool) = World::with(PoolConfig { max_db_connections: Some(2), ..plain(2) });
    world.warm(pool, 2);
    world.listener(pool);
    assert!(world.does().is_empty(), "the limits of databases and users are kept");
    assert!(world.abandon(3));
    world.give_back(1, 0);
    world.give_back(2, 0);
    assert_eq!(world.does(), ["park 1", "park 2"]);
    assert_eq!(world.counts(pool).total(), 2);
}

/// It would be the only one for as long as anybody listens.
#[test]
fn where_a_limit_is_one_there_is_no_listener() {
    for (limit, config) in [
        ("max_db_connections", PoolConfig { max_db_connections: Some(1), ..plain(5) }),
        ("max_user_connections", PoolConfig { max_user_connections: Some(1), ..plain(5) }),
    ] {
        let (mut world, pool) = World::with(config);
        world.idle(pool, 1);
        assert_eq!(
            world.listener(pool),
            format!("refused: {limit} = 1 leaves no server connection to listen on")
        );
        assert!(world.checkout(pool, 0).starts_with("granted"));
    }
}

#[test]
fn it_is_wanted_back_by_whoever_closes_connections() {
    let orders: [fn(&mut World); 4] = [
        |world| world.pools.pause(None, world.now, &mut world.fx),
        |world| world.pools.reconnect(Some("shop"), world.now, &mut world.fx),
        |world| world.pools.kill(Some("shop"), world.now, &mut world.fx),
        |world| world.pools.drain_servers(world.now, &mut world.fx),
    ];
    for order in orders {
        let (mut world, pool) = World::with(plain(2));
        world.idle(pool, 1);
        world.listener(pool);
        let server = world.servers[&1];
        assert_eq!(world.pools.is_wanted_back(server), None);
        order(&mut world);
        assert!(world.pools.is_wanted_back(server).is_some());
    }
}

/// PostgreSQL allows no other connection: those who wait come first.
#[test]
fn it_is_wanted_back_when_it_is_all_that_can_be_had() {
    let (mut world, pool) = World::with(plain(2));
    world.idle(pool, 1);
    world.listener(pool);
    let server = world.servers[&1];
    world.checkout(pool, 0);
    assert_eq!(world.does(), ["open 2"]);
    assert_eq!(world.pools.is_wanted_back(server), None, "another is being opened");
    world.open_failed(2);
    assert_eq!(world.pools.is_wanted_back(server), Some(CloseReason::OverLimit));
}
