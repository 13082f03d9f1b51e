//! FunctionCall, the fast path: oid, arguments as text, result as text.

use howdah_tests::{Database, Howdah, RawClient, message, only_error, tags};

#[test]
fn a_function_call_is_answered_in_every_mode() {
    let database = Database::create();
    for (mode, size) in [("session", "2"), ("transaction", "1"), ("statement", "1")] {
        let howdah = Howdah::before(&database, &[("pool_mode", mode), ("default_pool_size", size)]);
        let (mut client, mut next) = (howdah.client(&database), howdah.client(&database));
        let oid = oid(&mut client, "int4pl(int4, int4)");
        client.send(&call(oid, &["40", "2"]));
        let answer = client.read_until_ready();
        assert_eq!((tags(&answer).as_str(), &answer[0].body[4..]), ("VZ", &b"42"[..]));
        assert_eq!(next.value("select 1"), "1", "others are served");
    }
}

#[test]
fn a_failing_function_call_ends_like_a_query() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let mut client = howdah.client(&database);
    let divide = oid(&mut client, "int4div(int4, int4)");
    client.send(&[call(divide, &["1", "0"]), message::query("select 1")].concat());
    assert_eq!(only_error(&client.read_until_ready()).0, "22012");
    assert_eq!(tags(&client.read_until_ready()), "TDCZ");
    client.run("begin");
    client.send(&call(divide, &["1", "0"]));
    let answer = client.read_until_ready();
    assert_eq!(answer.last().unwrap().body, b"E");
    client.run("rollback");
}

fn oid(client: &mut RawClient, function: &str) -> u32 {
    client.value(&format!("select '{function}'::regprocedure::oid")).parse().unwrap()
}

fn call(oid: u32, arguments: &[&str]) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    body.extend([0, 0]);
    body.extend(u16::try_from(arguments.len()).unwrap().to_be_bytes());
    for argument in arguments {
        body.extend(u32::try_from(argument.len()).unwrap().to_be_bytes());
        body.extend(argument.as_bytes());
    }
    body.extend([0, 0]);
    message::tagged(b'F', &body)
}
