//! Any cut, any bytes: the same answers, no panic, nobody let in.

use howdah_core::client::{LoginNext, MAX_LOGIN_BYTES};
use howdah_core::server::{ServerLogin, ServerLoginNext, ServerLoginPlan};
use howdah_core::settings::AuthMethod;
use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::startup::write_ssl_request;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::door::{Door, ending, pencil, startup};

const METHODS: [AuthMethod; 4] =
    [AuthMethod::Trust, AuthMethod::Plain, AuthMethod::Md5, AuthMethod::ScramSha256];

/// All that a client sends in a login that succeeds.
fn conversation(method: AuthMethod) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_ssl_request(&mut bytes);
    bytes.extend(Door::new(method).knock("scram", "shop", pencil()).sent);
    bytes
}

#[test]
fn a_byte_at_a_time_is_the_same_as_all_at_once() {
    for method in METHODS {
        let user = if method == AuthMethod::Trust { "plain" } else { "scram" };
        let bytes = Door::new(method).knock(user, "shop", pencil()).sent;
        let whole = Door::new(method).hear(&bytes, []);
        let drops = Door::new(method).hear(&bytes, 1..bytes.len());
        assert!(matches!(whole.next, LoginNext::Welcome(_)));
        assert_eq!(
            (&whole.out, whole.eaten, ending(&whole.next)),
            (&drops.out, drops.eaten, ending(&drops.next))
        );
    }
}

#[test]
fn a_flood_is_refused_before_it_is_kept() {
    // What the machine wants to be shown again is never more than a packet it accepts.
    for method in METHODS {
        let door = Door::new(method);
        let flood = [startup(0, &[("user", "ghost")]), vec![b'p'; 2 * MAX_LOGIN_BYTES]].concat();
        assert!(matches!(door.hear(&flood, []).next, LoginNext::Close(_)));
        let unfinished = [b"\0\0\x27\x10".to_vec(), vec![0; MAX_LOGIN_BYTES]].concat();
        assert!(matches!(door.hear(&unfinished, []).next, LoginNext::Close(_)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_gives_the_same_answers(method in 0..4_usize, mut cuts in vec(0..400_usize, 0..12)) {
        let method = METHODS[method];
        let bytes = conversation(method);
        cuts.sort_unstable();
        let whole = Door::new(method).hear(&bytes, []);
        let pieces = Door::new(method).hear(&bytes, cuts);
        prop_assert!(matches!(whole.next, LoginNext::Welcome(_)));
        prop_assert_eq!(whole.out, pieces.out);
        prop_assert_eq!(whole.eaten, pieces.eaten);
        prop_assert_eq!(ending(&whole.next), ending(&pieces.next));
    }

    #[test]
    fn any_changed_byte_of_a_proof_keeps_the_door_shut(at in 0..1000_usize, change in 1..=255_u8) {
        let mut bytes = Door::new(AuthMethod::ScramSha256).knock("scram", "shop", pencil()).sent;
        let proof = startup(0, &[("user", "scram"), ("database", "shop")]).len();
        let at = proof + at % (bytes.len() - proof);
        bytes[at] ^= change;
        let heard = Door::new(AuthMethod::ScramSha256).hear(&bytes, []);
        prop_assert!(!matches!(heard.next, LoginNext::Welcome(_)), "byte {at}");
    }

    #[test]
    fn no_bytes_panic_at_the_door(
        method in 0..4_usize,
        opening: bool,
        mut bytes in vec(prop_oneof![Just(0_u8), Just(b'p'), any::<u8>()], 0..120),
        length in any::<u32>(),
    ) {
        if opening {
            let mut all = startup(0, &[("user", "scram"), ("database", "shop")]);
            all.push(b'p');
            all.extend((length % 200).to_be_bytes());
            all.append(&mut bytes);
            bytes = all;
        }
        let heard = Door::new(METHODS[method]).hear(&bytes, []);
        prop_assert!(heard.eaten <= bytes.len());
        let trust = METHODS[method] == AuthMethod::Trust;
        prop_assert!(trust || !matches!(heard.next, LoginNext::Welcome(_)));
    }

    #[test]
    fn no_bytes_of_a_server_panic(
        bytes in vec(prop_oneof![Just(0_u8), any::<u8>()], 0..120),
        tags in vec((prop_oneof![Just(b'R'), Just(b'S'), Just(b'K'), Just(b'Z'), Just(b'E'), Just(b'v')], vec(any::<u8>(), 0..30)), 0..8),
        trusted: bool,
    ) {
        let mut input = Vec::new();
        if trusted {
            backend::write_authentication_ok(&mut input);
        }
        for (tag, body) in tags {
            howdah_wire::write_message(&mut input, tag, &body);
        }
        input.extend(bytes);
        let whole = serve(&input, []);
        let drops = serve(&input, 1..input.len());
        prop_assert_eq!(whole, drops);
    }
}

/// Shows bytes of a server to a login in pieces that end at `cuts`: what was sent, eaten, and became of it.
fn serve(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> (Vec<u8>, usize, String) {
    let plan = ServerLoginPlan {
        user: "ann".to_owned(),
        database: "shop".to_owned(),
        parameters: Vec::new(),
        secret: pencil(),
        nonce: [1; 18],
    };
    let mut out = Vec::new();
    let mut login = ServerLogin::new(plan, &mut out);
    let (mut eaten, mut end) = (0, String::new());
    for cut in cuts.into_iter().chain([bytes.len()]) {
        let (n, next) = login.on_bytes(&bytes[eaten..cut.clamp(eaten, bytes.len())], &mut out);
        eaten += n;
        if !matches!(next, ServerLoginNext::More) {
            end = format!("{next:?}");
            break;
        }
    }
    (out, eaten, end)
}

#[test]
fn a_servers_welcome_in_drops() {
    let mut input = Vec::new();
    backend::write_authentication_ok(&mut input);
    backend::write_parameter_status(&mut input, b"TimeZone", b"UTC");
    backend::write_ready_for_query(&mut input, TransactionStatus::Idle);
    let whole = serve(&input, []);
    assert!(whole.2.starts_with("Ready("), "{}", whole.2);
    assert_eq!(whole, serve(&input, 1..input.len()));
}
