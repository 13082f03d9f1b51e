//! `io_engine = auto` goes back and forth between sends at once and sends of a turn together, also amid what one client
//! is told.

use howdah_tests::{Database, Howdah, RawClient, message};

#[test]
fn alone_or_in_a_crowd_everybody_gets_its_own_answers() {
    let database = Database::create();
    let settings =
        [("io_engine", "auto"), ("pool_mode", "transaction"), ("workers", "1"), ("default_pool_size", "5")];
    let howdah = Howdah::before(&database, &settings);
    let mut clients: Vec<_> = (0..CROWD).map(|_| howdah.client(&database)).collect();
    for turn in 0..4 {
        // By now it is known what the last turn was like.
        let busy = if turn % 2 == 0 { 1 } else { CROWD };
        std::thread::scope(|scope| {
            for (number, client) in clients.iter_mut().take(busy).enumerate() {
                scope.spawn(move || (0..100).for_each(|n| ask(client, &format!("{turn}/{number}/{n}"), n)));
            }
        });
    }
}

/// Three questions at once; their answers may be queued, too long for that, or passed on by the kernel.
fn ask(client: &mut RawClient, name: &str, n: usize) {
    let long = if n.is_multiple_of(25) { 200_000 } else { 6_000 };
    let lengths = [10, long, 1_000];
    let question = |length| message::query(&format!("select '{name}', repeat('{n}', {length})"));
    client.send(&lengths.map(question).concat());
    for length in lengths {
        let answer = client.read_until_ready();
        let row = answer.iter().find(|message| message.tag == b'D').map(|row| row.columns());
        let expected = vec![Some(name.to_owned()), Some(n.to_string().repeat(length))];
        assert!(row.as_ref() == Some(&expected), "{name} was told {:.200}", format!("{row:?}"));
    }
}

const CROWD: usize = 16;
