//! `tcp_defer_accept`: the kernel keeps a client back until it says something.

use howdah_tests::{Database, Howdah, eventually};

#[test]
fn who_says_nothing_is_not_seen_and_is_served_as_soon_as_it_speaks() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("tcp_defer_accept", "60")]);
    nobody_is_at_the_door(&howdah);
    let mut silent = howdah.raw();
    assert_eq!(howdah.client(&database).value("select 'served'"), "served");
    assert_eq!(at_the_door(&howdah), 0);
    silent.login(database.name(), "postgres");
    assert_eq!(silent.value("select 'served too'"), "served too");
}

#[test]
fn who_says_nothing_is_let_in_after_about_that_time() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("tcp_defer_accept", "1")]);
    nobody_is_at_the_door(&howdah);
    let _silent = howdah.raw();
    eventually("it is let in", || (at_the_door(&howdah) == 1).then_some(()));
}

#[test]
fn a_reload_changes_it_for_those_who_come_next() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("tcp_defer_accept", "60")]);
    nobody_is_at_the_door(&howdah);
    let mut client = howdah.client(&database);
    howdah.reconfigure(|builder| builder.setting("tcp_defer_accept", 0));
    eventually("it is read", || {
        howdah
            .show("CONFIG")
            .into_iter()
            .find(|row| row.get("key") == "tcp_defer_accept" && row.get("value") == "0")
    });
    // One may be accepted as before.
    let _next = howdah.client(&database);
    let _silent = howdah.raw();
    eventually("who says nothing is let in", || (at_the_door(&howdah) == 1).then_some(()));
    assert_eq!(client.value("select 1"), "1");
}

/// Whoever looked whether Howdah is up has gone.
fn nobody_is_at_the_door(howdah: &Howdah) {
    eventually("nobody is at the door", || (at_the_door(howdah) == 0).then_some(()));
}

fn at_the_door(howdah: &Howdah) -> u64 {
    let lists = howdah.show("LISTS");
    lists.iter().find(|row| row.get("list") == "login_clients").map_or(0, |row| row.number("items"))
}
