//! Limits that pools share: whose idle connection goes, whose turn it is.

use super::*;

fn database_limit(size: u32, limit: u32) -> PoolConfig {
    PoolConfig { max_db_connections: Some(limit), ..plain(size) }
}

#[test]
fn a_database_never_has_more_than_its_limit_and_the_next_waiter_gets_the_free_slot() {
    let mut world = World::new();
    let anna = world.pool("shop", "anna", database_limit(2, 2));
    let bert = world.pool("shop", "bert", database_limit(2, 2));
    world.warm(anna, 2);
    world.checkout(bert, 0);
    assert!(world.does().is_empty());
    world.poisoned(1);
    assert_eq!(world.does(), ["close 1: unclean server", "open 3"]);
}

#[test]
fn a_user_never_has_more_than_their_limit_over_all_databases() {
    let mut world = World::new();
    let config = PoolConfig { max_user_connections: Some(1), ..plain(2) };
    let shop = world.pool("shop", "anna", config.clone());
    let stock = world.pool("stock", "anna", config.clone());
    let other = world.pool("stock", "bert", config);
    world.warm(shop, 1);
    world.checkout(stock, 0);
    assert!(world.does().is_empty());
    world.checkout(other, 0);
    assert_eq!(world.does(), ["open 2"], "another user's limit is another's");
    world.lost(1);
    assert_eq!(world.does(), ["open 3"]);
}

#[test]
fn the_longest_idle_connection_of_a_pool_above_its_minimum_makes_room() {
    let mut world = World::new();
    let kept = world.pool("shop", "kept", PoolConfig { min_size: 1, ..database_limit(5, 4) });
    let rich = world.pool("shop", "rich", database_limit(5, 4));
    let needy = world.pool("shop", "needy", database_limit(5, 4));
    world.idle(kept, 1);
    world.pass(1);
    world.idle(rich, 3);
    for expected in [
        ["close 2: over limit", "open 5"],
        ["close 3: over limit", "open 6"],
        ["close 4: over limit", "open 7"],
        ["close 1: over limit", "open 8"],
    ] {
        world.checkout(needy, 0);
        assert_eq!(world.does(), expected);
    }
    world.checkout(needy, 0);
    assert!(world.does().is_empty(), "all four are its own now");
}

#[test]
fn nothing_is_closed_in_vain_when_the_other_limit_stands_in_the_way() {
    let mut world = World::new();
    let both = |size| PoolConfig { max_user_connections: Some(1), ..database_limit(size, 1) };
    let elsewhere = world.pool("stock", "anna", both(1));
    let idle = world.pool("shop", "bert", both(1));
    let needy = world.pool("shop", "anna", both(1));
    world.warm(elsewhere, 1);
    world.idle(idle, 1);
    world.checkout(needy, 0);
    assert!(world.does().is_empty(), "bert's could be closed, but anna's in stock is in use");
    world.give_back(1, 0);
    assert_eq!(world.does(), ["close 1: over limit", "close 2: over limit", "open 3"]);
}

#[test]
fn what_becomes_unused_goes_to_the_pool_whose_first_waiter_is_oldest() {
    let mut world = World::new();
    let busy = world.pool("shop", "busy", database_limit(2, 2));
    let late = world.pool("shop", "late", database_limit(2, 2));
    let early = world.pool("shop", "early", database_limit(2, 2));
    world.warm(busy, 2);
    world.checkout(early, 0);
    world.checkout(late, 0);
    world.give_back(1, 0);
    assert_eq!(world.does(), ["close 1: over limit", "open 3"]);
    world.opened(3, 0);
    assert_eq!(world.does(), ["grant 3 to 3"]);
    world.give_back(3, 0);
    assert_eq!(world.does(), ["close 3: over limit", "open 4"], "not parked while the other pool waits");
    world.opened(4, 0);
    assert_eq!(world.does(), ["grant 4 to 4"]);
}

#[test]
fn a_pool_that_keeps_its_connections_busy_gives_one_up_for_who_has_waited_far_longer() {
    let mut world = World::new();
    let busy = world.pool("shop", "busy", database_limit(1, 1));
    let needy = world.pool("shop", "needy", database_limit(1, 1));
    world.warm(busy, 1);
    world.checkout(needy, 0);
    let mut served = 0;
    loop {
        world.checkout(busy, 0);
        world.pass(10);
        world.give_back(1, 0);
        let does = world.does();
        if does == ["close 1: over limit", "open 2"] {
            break;
        }
        assert!(does[0].starts_with("grant 1 to"));
        served += 1;
        assert!(served < 20, "the other pool starves");
    }
    assert!(served > 8, "not for every small difference: opening costs time");
}

#[test]
fn who_waits_no_longer_takes_no_connection_from_another_pool() {
    let mut world = World::new();
    let anna = world.pool("shop", "anna", database_limit(1, 1));
    let bert = world.pool("shop", "bert", database_limit(1, 1));
    world.warm(anna, 1);
    world.checkout(bert, 0);
    assert!(world.abandon(2));
    world.give_back(1, 0);
    assert_eq!(world.does(), ["park 1"]);
}

#[test]
fn a_raised_limit_serves_the_line_at_the_next_tick() {
    let mut world = World::new();
    let anna = world.pool("shop", "anna", database_limit(2, 1));
    world.warm(anna, 1);
    world.checkout(anna, 0);
    assert!(world.tick().is_empty());
    world.pools.configure(anna, database_limit(2, 2));
    assert_eq!(world.tick(), ["open 2"]);
}

#[test]
fn a_lowered_limit_closes_idle_ones_at_the_next_tick_and_others_when_given_back() {
    let mut world = World::new();
    let anna = world.pool("shop", "anna", database_limit(3, 3));
    world.warm(anna, 3);
    world.give_back(1, 0);
    world.does();
    world.pools.configure(anna, database_limit(3, 1));
    assert_eq!(world.tick(), ["close 1: over limit"]);
    world.give_back(2, 0);
    world.give_back(3, 0);
    assert_eq!(world.does(), ["close 2: over limit", "park 3"]);
}

#[test]
fn a_limit_lowered_by_far_still_serves_who_waits_from_what_is_idle() {
    let mut world = World::new();
    let anna = world.pool("shop", "anna", database_limit(3, 3));
    let bert = world.pool("shop", "bert", database_limit(3, 3));
    world.idle(anna, 3);
    world.pools.configure(anna, database_limit(3, 1));
    world.pools.configure(bert, database_limit(3, 1));
    world.checkout(bert, 0);
    assert_eq!(world.does(), ["close 1: over limit", "close 2: over limit", "close 3: over limit", "open 4"]);
}
