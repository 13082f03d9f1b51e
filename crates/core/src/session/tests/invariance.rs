//! However the bytes are cut, and whether or not the session sees all of them, the same bytes come out; and no bytes at
//! all make anything panic.

use proptest::prelude::*;

use super::notation;
use super::stage::{Stage, rules};
use crate::settings::PoolMode;

/// What a client sends and a server answers, in turns.
const CONVERSATIONS: &[&[(&str, &str)]] = &[
    &[
        ("Q begin", "C BEGIN / Z T"),
        ("Q select 1 / Q select 2", "T / D 1 / C SELECT 1 / N hm / Z T / T / D 2 / C SELECT 1 / Z T"),
        ("Q commit", "C COMMIT / S TimeZone Europe/Rome / Z I"),
        ("S / H / d x", ""),
    ],
    &[
        ("P a select 1 / D a / B a / E / S", "1 / t / T / 2 / D 1 / C SELECT 1 / Z I"),
        ("P b select 1 / C a / P a select 2 / B a p / E p 1 / H", "1 / 2 / D 1 / s"),
        ("E p / C b / S", "C SELECT 0 / Z I"),
        ("P a other / B b / S", "E 42P05 prepared statement \"HOWDAH_2\" already exists / Z I"),
        ("P - select 3 / S", "1 / Z I"),
        ("B - / E / S / Q select 4", "2 / D 3 / C SELECT 1 / Z I / I / Z I"),
    ],
    &[
        ("Q copy in", "G"),
        ("d one / d two / c", "C COPY 2 / Z I"),
        ("P - copy in / B - / E / S", "1 / 2 / G"),
        ("d one / d two / c / S", "E 22P04 bad data / Z I"),
        ("", "I / Z I"),
        ("Q copy out", "H / d one / c / C COPY 1 / Z I"),
    ],
    &[
        ("Q set work_mem = '1MB'", "C SET / Z I"),
        (
            "Q begin / Q set search_path = 'a'",
            "row n work_mem 1MB / C SELECT 1 / Z I / C BEGIN / Z T / C SET / Z T",
        ),
        (
            "P a select pg_advisory_lock(1) / B a / E / S / Q rollback",
            "1 / 2 / C SELECT 1 / Z T / C ROLLBACK / Z I",
        ),
        ("Q listen x", "row n search_path public / row l 1 - / C SELECT 1 / Z I"),
        ("", "C LISTEN / Z I"),
        ("", "row h x - / C SELECT 1 / Z I"),
        ("Q select pg_advisory_unlock_all(); reset all", "C SELECT 1 / C RESET / Z I"),
        ("", "E 57014 canceled / Z I"),
        ("Q discard all", "C DISCARD ALL / Z I"),
    ],
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_nothing(
        conversation in proptest::sample::select(CONVERSATIONS),
        cuts in proptest::collection::vec(1..40_usize, 1..100),
        past in any::<bool>(),
    ) {
        let (mut whole, mut cut) = (Stage::transaction(1, 1), Stage::transaction(1, 1));
        cut.past = past;
        let mut sizes = cuts.iter().copied().cycle();
        for (question, answer) in conversation {
            let (question, answer) = (notation::from_client(question), notation::from_server(answer));
            whole.client_bytes(0, &question);
            in_pieces(&question, &mut sizes, |piece| cut.client_bytes(0, piece));
            whole.server_bytes(0, &answer);
            in_pieces(&answer, &mut sizes, |piece| cut.server_bytes(0, piece));
            prop_assert_eq!(whole.report(), cut.report());
        }
        let state = |stage: &Stage| {
            let server = &stage.servers[0].server;
            format!("{:?} {:?} {:?}", server.statements, server.parameters, server.held_by(&stage.clients[0].session))
        };
        prop_assert_eq!(state(&whole), state(&cut));
    }

    #[test]
    fn garbage_harms_nobody(
        mode in proptest::sample::select(vec![PoolMode::Session, PoolMode::Transaction, PoolMode::Statement]),
        pieces in proptest::collection::vec((any::<bool>(), piece()), 1..60),
        past in any::<bool>(),
    ) {
        let mut stage = Stage::new(rules(mode, 2), 1, 1);
        stage.past = past;
        for (from_client, bytes) in pieces {
            if from_client {
                stage.client_bytes(0, &bytes);
            } else {
                stage.server_bytes(0, &bytes);
            }
        }
        if stage.clients[0].left.is_none() {
            stage.abandon(0, false, Some("DISCARD ALL"));
        }
        stage.server_bytes(0, &notation::from_server("Z I"));
    }
}

fn in_pieces(mut bytes: &[u8], sizes: &mut impl Iterator<Item = usize>, mut take: impl FnMut(&[u8])) {
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(sizes.next().unwrap().min(bytes.len()));
        take(piece);
        bytes = rest;
    }
}

/// Messages in any order, whole, cut or with nonsense in them.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let any_message = (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20), 0..30_u32)
        .prop_map(|(tag, body, len)| [&[tag][..], &len.to_be_bytes(), &body].concat());
    let client = proptest::sample::select(vec![
        "P a x",
        "P - x",
        "B a",
        "B -",
        "D a",
        "Dp -",
        "C a",
        "C -",
        "E",
        "S",
        "H",
        "Q x",
        "Q discard all",
        "d x",
        "c",
        "f x",
        "F",
        "X",
        "P",
        "B",
        "D",
        "C",
        "P b y / B b / C b",
    ]);
    let server = proptest::sample::select(vec![
        "1",
        "2",
        "3",
        "n",
        "T",
        "t",
        "D x",
        "I",
        "s",
        "G",
        "H",
        "c",
        "d x",
        "V",
        "C SELECT 1",
        "C DISCARD ALL",
        "Z I",
        "Z T",
        "Z E",
        "E 42601 HOWDAH_1 HOWDAH_ HOWDAH_unnamed",
        "N x",
        "S TimeZone x",
        "1 / 2 / C x / Z I",
        "W",
    ]);
    prop_oneof![
        4 => client.prop_map(notation::from_client),
        4 => server.prop_map(notation::from_server),
        1 => any_message,
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}
