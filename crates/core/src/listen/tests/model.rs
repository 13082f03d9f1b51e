//! Random events against what must always hold: nobody waits for ever, nobody hears what it does not listen to,
//! and who listens hears everything or is told that it has missed something.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Expect { client: u64, channel: usize, alone: bool },
    Settle { client: u64, commit: bool },
    Notify { channel: usize },
    Round { client: u64 },
    Leave { client: u64 },
    Next,
    Answer,
    Refuse,
    Lose,
    Pass { milliseconds: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let client = 1..4_u64;
    let channel = 0..CHANNELS.len();
    prop_oneof![
        3 => (client.clone(), channel.clone(), any::<bool>())
            .prop_map(|(client, channel, alone)| Event::Expect { client, channel, alone }),
        3 => (client.clone(), any::<bool>()).prop_map(|(client, commit)| Event::Settle { client, commit }),
        4 => channel.prop_map(|channel| Event::Notify { channel }),
        2 => client.clone().prop_map(|client| Event::Round { client }),
        1 => client.prop_map(|client| Event::Leave { client }),
        6 => Just(Event::Next),
        6 => Just(Event::Answer),
        1 => Just(Event::Refuse),
        1 => Just(Event::Lose),
        1 => (0..12_000_u64).prop_map(|milliseconds| Event::Pass { milliseconds }),
    ]
}

#[derive(Default)]
struct Client {
    confirmed: BTreeSet<String>,
    expected: BTreeSet<String>,
    /// Has been told that it may have missed something.
    told: bool,
    due: Vec<String>,
}

proptest! {
    #[test]
    fn who_listens_hears_everything_or_is_told(events in prop::collection::vec(event(), 0..200)) {
        let mut world = World::new();
        let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
        let (mut open, mut sent) = (false, 0);
        for event in events {
            match event {
                Event::Expect { client, channel, alone } => {
                    let entry = clients.entry(client).or_default();
                    if !entry.confirmed.contains(CHANNELS[channel]) {
                        entry.expected.insert(CHANNELS[channel].to_owned());
                    }
                    world.board.expect(client, &named(CHANNELS[channel]), alone, &mut world.fx);
                }
                Event::Settle { client, commit } => {
                    let entry = clients.entry(client).or_default();
                    let expected = std::mem::take(&mut entry.expected);
                    if commit {
                        entry.confirmed.extend(expected);
                    }
                    let confirmed: Vec<&str> = entry.confirmed.iter().map(String::as_str).collect();
                    world.settle(client, &confirmed);
                    // What came while it was expected may be its own or not.
                    check(&mut world, client, entry);
                }
                Event::Notify { channel } => {
                    sent += 1;
                    for (&number, client) in &mut clients {
                        if client.confirmed.contains(CHANNELS[channel]) && world.board.is_heard(number) {
                            client.due.push(format!("{}={sent} from 1", CHANNELS[channel]));
                        }
                    }
                    world.notify(1, CHANNELS[channel], &sent.to_string());
                }
                Event::Round { client } => {
                    world.begin_round(client);
                }
                Event::Leave { client } => {
                    clients.remove(&client);
                    world.rounds.remove(&client);
                    world.board.leave(client, &mut world.fx);
                }
                Event::Next => {
                    match world.next().as_str() {
                        "open" => {
                            open = true;
                            world.board.opened();
                        }
                        "close" => open = false,
                        _ => {}
                    }
                }
                Event::Answer if !world.asked.is_empty() => world.answer(),
                Event::Refuse if !world.asked.is_empty() => world.refuse("no"),
                Event::Lose if open => {
                    open = false;
                    world.lose();
                }
                Event::Answer | Event::Refuse | Event::Lose => {}
                Event::Pass { milliseconds } => world.pass(milliseconds),
            }
            if !open {
                world.heard.clear();
            }
            for (&client, entry) in &mut clients {
                check(&mut world, client, entry);
            }
        }
        // Left in peace, everything is settled.
        world.pass(20_000);
        if world.next() == "open" {
            world.board.opened();
        }
        loop {
            world.next();
            if world.asked.is_empty() {
                break;
            }
            world.answer();
        }
        for client in clients.keys() {
            prop_assert!(world.board.is_heard(*client));
        }
        prop_assert!(world.rounds.values().all(|&round| world.board.is_over(round)));
        let wanted: BTreeSet<String> =
            clients.values().flat_map(|c| c.confirmed.iter().chain(&c.expected)).cloned().collect();
        prop_assert_eq!(world.board.is_idle(), wanted.is_empty());
    }
}

/// Takes what the client gets, unless it is in a transaction. What was due once its channels were heard and has
/// not come, it must have been told of.
fn check(world: &mut World, client: u64, entry: &mut Client) {
    if !entry.expected.is_empty() {
        return;
    }
    let got = world.gets(client);
    entry.told |= got.iter().any(|text| text.starts_with("WARNING"));
    let notifications: Vec<&String> = got.iter().filter(|text| !text.starts_with("WARNING")).collect();
    for text in &notifications {
        let channel = text.split('=').next().unwrap();
        assert!(entry.confirmed.contains(channel), "{text} is not for client {client}");
    }
    let due = std::mem::take(&mut entry.due);
    let missed: Vec<_> = due.iter().filter(|text| !notifications.contains(text)).collect();
    assert!(missed.is_empty() || entry.told, "client {client} has missed {missed:?}");
    assert!(
        notifications.is_sorted_by(|a, b| number(a) < number(b)),
        "twice or in disorder: {notifications:?}"
    );
}

fn number(text: &str) -> u32 {
    text.split(['=', ' ']).nth(1).unwrap().parse().unwrap()
}

const CHANNELS: [&str; 3] = ["a", "b", "c"];
