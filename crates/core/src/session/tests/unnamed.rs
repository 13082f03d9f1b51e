//! The unnamed statement, which follows its client from server connection to server connection.

use super::stage::Stage;

#[test]
fn parsed_in_one_transaction_and_bound_in_others_elsewhere() {
    let mut stage = Stage::transaction(2, 2);
    stage.client(0, "P - select 1 / S");
    stage.server(0, "1 / Z I");
    stage.client(1, "Q begin");
    assert_eq!(stage.report(), "1-0");
    assert_eq!(stage.client(0, "D - / S / B - / E / S"), "server 1: P - select 1 / D - / S | 1-0 | 0-1");
    // Whether it is there is known only when the first batch has been answered.
    assert_eq!(
        stage.server(1, "1 / t / T / Z I"),
        "server 1: B - / E / S | client 0: t / T / Z I | 1-0 | 0-1"
    );
    assert_eq!(stage.server(1, "2 / C SELECT 1 / Z I"), "client 0: 2 / C SELECT 1 / Z I | 1-0");
    assert_eq!(stage.client(0, "B - / E / S"), "server 1: B - / E / S | 1-0 | 0-1");
}

#[test]
fn somebody_elses_is_never_used() {
    let mut stage = Stage::transaction(2, 1);
    stage.client(0, "P - select 1 / S");
    stage.server(0, "1 / Z I");
    assert_eq!(stage.client(1, "B - / E / S"), "server 0: B HOWDAH_unnamed / E / S | 1-0");
    assert_eq!(
        stage.server(0, "E 26000 prepared statement \"HOWDAH_unnamed\" does not exist / Z I"),
        "client 1: E 26000 unnamed prepared statement does not exist / Z I"
    );
}

#[test]
fn an_older_one_of_its_own_is_never_used() {
    let mut stage = Stage::transaction(2, 2);
    stage.client(0, "P - select 1 / S");
    stage.server(0, "1 / Z I");
    stage.client(1, "Q begin");
    stage.client(0, "P - select 2 / B - / E / S");
    stage.server(1, "1 / 2 / C SELECT 1 / Z I");
    stage.server(0, "C BEGIN / Z T");
    stage.client(1, "Q commit");
    stage.server(0, "C COMMIT / Z I");
    stage.report();
    assert_eq!(stage.client(0, "B - / E / S"), "server 0: P - select 2 / B - / E / S | 0-0");
}

#[test]
fn queries_close_and_failed_parses_end_it() {
    for ending in ["Q select 1", "C - / S", "P - bad / S"] {
        let mut stage = Stage::transaction(1, 1);
        stage.client(0, "P - select 1 / S");
        stage.server(0, "1 / Z I");
        stage.client(0, ending);
        stage.server(
            0,
            match ending {
                "Q select 1" => "C SELECT 1 / Z I",
                "C - / S" => "3 / Z I",
                _ => "E 42601 syntax / Z I",
            },
        );
        stage.report();
        assert_eq!(stage.client(0, "B - / S"), "server 0: B HOWDAH_unnamed / S | 0-0", "{ending}");
    }
}

#[test]
fn a_long_one_pins_until_it_is_bound() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, &format!("P - select '{}' / S", "x".repeat(70_000)));
    stage.report();
    assert_eq!(stage.server(0, "1 / Z I"), "client 0: 1 / Z I | 0-0");
    assert_eq!(stage.client(0, "B - / E / S"), "server 0: B - / E / S | 0-0");
    assert_eq!(stage.server(0, "2 / C SELECT 1 / Z I"), "client 0: 2 / C SELECT 1 / Z I");
}

#[test]
fn what_a_very_long_one_does_is_asked() {
    let mut stage = Stage::transaction(1, 1);
    let text = "x".repeat(1_100_000);
    let messages = super::notation::from_client(&format!("P - select '{text}' / B - / E / S"));
    let (begin, rest) = messages.split_at(10_000);
    stage.client_bytes(0, begin);
    stage.client_bytes(0, rest);
    stage.report();
    assert_eq!(
        stage.server(0, "1 / 2 / C SELECT 1 / Z I"),
        "server 0: Q look everything | client 0: 1 / 2 / C SELECT 1 | 0-0"
    );
    assert_eq!(stage.server(0, "C SELECT 0 / Z I"), "client 0: Z I");
}
