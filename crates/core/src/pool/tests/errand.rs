//! Connections lent for errands.

use super::*;

#[test]
fn an_idle_connection_is_lent_and_comes_back() {
    let (mut world, pool) = World::with(plain(2));
    assert!(world.pools.borrow(pool, None, world.now).is_none(), "none is opened for it");
    world.idle(pool, 2);
    let (server, check) = world.pools.borrow(pool, None, world.now).unwrap();
    assert_eq!((number(server), check), (2, false));
    assert_eq!(world.checkout(pool, 0), "granted 1");
    assert_eq!(world.checkout(pool, 0), "waits as 3");
    world.give_back(2, 0);
    assert_eq!(world.does(), ["grant 2 to 3"]);
}

#[test]
fn one_that_nobody_has_used_since_is_left_alone() {
    let (mut world, pool) = World::with(plain(2));
    world.idle(pool, 1);
    let before = world.now;
    assert!(world.pools.borrow(pool, Some(before), world.now).is_none());
    world.pass(5);
    world.checkout(pool, 0);
    world.give_back(1, 0);
    assert!(world.pools.borrow(pool, Some(before), world.now).is_some());
}

#[test]
fn during_pause_none_is_lent() {
    let (mut world, pool) = World::with(plain(1));
    world.idle(pool, 1);
    world.pools.pause(Some("shop"), world.now, &mut world.fx);
    assert!(world.pools.borrow(pool, None, world.now).is_none());
}
