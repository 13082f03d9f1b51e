//! Server connections whose session is the client's already are preferred: who comes back to one pays nothing.

use howdah_tests::{Database, Howdah, RawClient, message};

const THREE: [(&str, &str); 4] =
    [("pool_mode", "transaction"), ("default_pool_size", "3"), ("workers", "2"), ("server_round_robin", "0")];

#[test]
fn clients_find_the_server_connection_that_has_their_state() {
    let (database, howdah, role) = stage();
    let mut clients: Vec<RawClient> = (0..3).map(|_| howdah.client(&database)).collect();
    clients[0].run("set work_mem = '3MB'");
    clients[1].run(&format!("set role {role}"));
    let homes: Vec<String> = apart(&mut clients);
    for turn in [0, 1, 2, 2, 1, 0, 0, 2, 1, 1, 0, 2] {
        let client = &mut clients[turn];
        let (home, query) = (&homes[turn], format!("select pg_backend_pid() /* {turn} */"));
        assert_eq!(client.value(&query), *home, "client {turn}");
        assert_eq!(last_said(&database, home), query, "nothing was to be replayed");
    }
    assert_eq!(clients[0].value("show work_mem"), "3MB");
    assert_eq!(clients[1].value("select current_user"), role);
}

#[test]
fn clients_that_begin_with_equal_settings_share_server_connections() {
    let (database, howdah, role) = stage();
    let mut clients: Vec<RawClient> = (0..3).map(|_| howdah.client(&database)).collect();
    clients[0].run("set work_mem = '3MB'");
    clients[1].run(&format!("set role {role}"));
    let homes = apart(&mut clients);
    for (options, home, why) in [
        ("-c work_mem=3MB".to_owned(), &homes[0], "it has the setting"),
        (format!("-c role={role}"), &homes[1], "it has the role"),
        (format!("-c role={role} -c enable_sort=off"), &homes[1], "to change the role would cost more"),
    ] {
        for _ in 0..2 {
            clients[2].backend();
            let mut another = howdah.raw();
            let (name, options) = (database.name(), options.as_str());
            another.send(&message::startup(&[
                ("user", "postgres"),
                ("database", name),
                ("options", options),
            ]));
            another.welcome();
            assert_eq!(another.backend(), *home, "{why}");
        }
    }
}

/// The server connections of clients that are served at the same time and part then.
fn apart(clients: &mut [RawClient]) -> Vec<String> {
    clients.iter_mut().for_each(|client| drop(client.run("begin")));
    let homes = clients.iter_mut().map(RawClient::backend).collect();
    clients.iter_mut().for_each(|client| drop(client.run("commit")));
    homes
}

/// The last text that a backend has got.
fn last_said(database: &Database, backend: &str) -> String {
    database.psql(&format!("select query from pg_stat_activity where pid = {backend}")).trim().to_owned()
}

/// A database, Howdah before it, and a role of the test's own: roles are the cluster's.
fn stage() -> (Database, Howdah, String) {
    let database = Database::create();
    let role = format!("clerk_of_{}", database.name());
    database.psql(&format!("create role {role}"));
    let howdah = Howdah::before(&database, &THREE);
    (database, howdah, role)
}
