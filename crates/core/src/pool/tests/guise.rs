//! Who gets which of several idle connections.

use super::*;

const ANN: u32 = 1;
const BOB: u32 = 2;

fn guise(role: u32, rest: u32) -> Guise {
    Guise::new((role > 0).then_some(role), rest)
}

/// Connections given back with these looks, by these workers, the last of them last.
fn idle(looks: &[(u16, Guise)]) -> (World, PoolId) {
    let (mut world, pool) = World::with(plain(20));
    let open = world.warm(pool, looks.len());
    for (server, &(worker, guise)) in open.into_iter().zip(looks) {
        world.give_back_as(server, worker, guise);
    }
    world.does();
    (world, pool)
}

#[test]
fn a_client_gets_one_that_looks_like_its_session() {
    let (mut world, pool) = idle(&[(0, guise(0, 7)), (0, Guise::PLAIN), (0, guise(0, 8))]);
    assert_eq!(world.checkout_as(pool, 0, guise(0, 7)), "granted 1");
    assert_eq!(world.checkout(pool, 0), "granted 2");
    assert_eq!(world.checkout(pool, 0), "granted 3", "any is better than none");
}

#[test]
fn if_there_is_none_it_gets_one_of_its_role() {
    let (mut world, pool) = idle(&[
        (0, guise(ANN, 1)),
        (0, guise(BOB, 1)),
        (0, guise(ANN, 2)),
        (0, guise(0, 3)),
        (0, guise(BOB, 4)),
    ]);
    assert_eq!(world.checkout_as(pool, 0, guise(ANN, 1)), "granted 1");
    assert_eq!(world.checkout_as(pool, 0, guise(ANN, 1)), "granted 3");
    assert_eq!(world.checkout(pool, 0), "granted 4");
    assert_eq!(world.checkout_as(pool, 0, guise(ANN, 1)), "granted 5", "then the last used");
}

#[test]
fn another_workers_is_taken_if_it_suits_better() {
    let (mut world, pool) = idle(&[(1, guise(0, 7)), (0, guise(0, 8)), (0, guise(0, 7)), (0, guise(0, 8))]);
    assert_eq!(world.checkout_as(pool, 0, guise(0, 7)), "granted 3", "the own one first");
    assert_eq!(world.checkout_as(pool, 0, guise(0, 7)), "granted 1");
    assert_eq!(world.checkout_as(pool, 0, guise(0, 7)), "granted 4");
}

#[test]
fn only_a_few_are_looked_at() {
    let mut looks = vec![(0, guise(0, 7)); 12];
    looks[0].1 = guise(0, 9);
    looks[4].1 = guise(0, 9);
    let (mut world, pool) = idle(&looks);
    assert_eq!(world.checkout_as(pool, 0, guise(0, 9)), "granted 5", "the eighth from the end");
    assert_eq!(world.checkout_as(pool, 0, guise(0, 9)), "granted 12");
}

#[test]
fn in_turn_means_in_turn() {
    let (mut world, pool) = World::with(PoolConfig { round_robin: true, ..plain(2) });
    for (server, guise) in world.warm(pool, 2).into_iter().zip([guise(0, 7), Guise::PLAIN]) {
        world.give_back_as(server, 0, guise);
    }
    assert_eq!(world.checkout(pool, 0), "granted 1");
}
