//! What holds for every input: nothing panics, and what is shown can be set again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// Lines that look like configuration, so that the generator gets past the first syntax error.
fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("pgbouncer".to_owned()),
        Just("databases".to_owned()),
        Just("users".to_owned()),
        proptest::sample::select(settings::all().map(|s| s.name.to_owned()).collect::<Vec<_>>()),
        proptest::sample::select(vec![
            "host",
            "port",
            "password",
            "pool_size",
            "server_lifetime",
            "pool_mode"
        ])
        .prop_map(str::to_owned),
    ];
    let text = "[-0-9a-z '\"=,.%;#/é]{0,12}";
    prop_oneof![
        word.clone().prop_map(|w| format!("[{w}]")),
        (word.clone(), text).prop_map(|(w, t)| format!("{w} = {t}")),
        (word.clone(), word, text).prop_map(|(a, b, t)| format!("{a} = {b}={t} {b}='{t}'")),
        text.prop_map(|t| format!("%include {t}")),
        "\\PC{0,20}",
    ]
}

proptest! {
    #[test]
    fn no_text_panics(lines in proptest::collection::vec(line(), 0..20)) {
        let loaded = parse_str(&lines.join("\n"));
        for problem in &loaded.problems {
            prop_assert!(!problem.to_string().is_empty());
        }
        prop_assert_eq!(show(&loaded.settings).len(), settings::all().count());
    }

    #[test]
    fn no_bytes_panic(ini in proptest::collection::vec(any::<u8>(), 0..200), users in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = b"[pgbouncer]\nauth_file=u\n".to_vec();
        bytes.extend(ini);
        let source = BTreeMap::from([(PathBuf::from("i"), bytes), (PathBuf::from("u"), users)]);
        let _ = load_from(Path::new("i"), &source);
    }

    #[test]
    fn no_url_panics(url in "postgres://[a-z%:@,/\\[\\]?&=0-9é]{0,40}") {
        let _ = for_url(&url);
    }

    #[test]
    fn what_is_shown_can_be_set(name in proptest::sample::select(settings::all().map(|s| s.name).collect::<Vec<_>>()), text in "[0-9]{1,6}(\\.[0-9]{1,6})?|[a-z,<>/ ]{0,9}") {
        let setting = settings::find(name).unwrap();
        let mut once = Settings::default();
        if setting.value.set(&mut once, &text).is_ok() {
            let mut twice = Settings::default();
            prop_assert!(setting.value.set(&mut twice, &setting.show(&once)).is_ok());
            prop_assert_eq!(once, twice);
        }
    }
}
