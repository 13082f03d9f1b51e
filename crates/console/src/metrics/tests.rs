use std::collections::BTreeSet;

use howdah_core::session::PinReason;
use howdah_core::settings::StateKind;

use super::text::{Kind, Value};
use super::*;
use crate::sample::sample;

fn process() -> Process {
    Process {
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_197_600_250),
        cpu: Duration::from_micros(1_500_001),
        resident: Some(12_345_678),
        open_files: Some(31),
        max_files: None,
    }
}

/// The samples of one family, without its name.
fn samples<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let of_family = |line: &'a str| line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
    page.lines().filter_map(of_family).map(str::trim_start).collect()
}

#[test]
fn pins_are_told_by_pool_and_reason() {
    let page = render(&sample(), &process());
    let lock = r#"{database="shop",user="ann",reason="session-level advisory lock"}"#;
    let temp = r#"{database="shop",user="ann",reason="temporary object"}"#;
    let pool = r#"{database="shop",user="ann"}"#;
    for (name, expected) in [
        ("howdah_pinned_clients", vec![format!("{temp} 1"), format!("{lock} 0")]),
        ("howdah_pins_total", vec![format!("{temp} 3"), format!("{lock} 7")]),
        ("howdah_pinned_seconds_total", vec![format!("{temp} 44.9"), format!("{lock} 0.001")]),
        ("howdah_longest_pin_seconds", vec![format!("{pool} 34.9")]),
        ("howdah_pins_refused_total", vec![format!("{pool} 2")]),
        ("howdah_max_pinned", vec![format!("{pool} 19")]),
    ] {
        assert_eq!(samples(&page, name), expected, "{name}");
    }
    assert!(
        !page.contains("create temp table") && !page.contains("\"till\""),
        "who it is stands in SHOW PINS"
    );
}

#[test]
fn the_numbers_are_those_of_show() {
    let page = render(&sample(), &process());
    let pool = r#"{database="shop",user="ann""#;
    for (name, expected) in [
        (
            "howdah_pool_clients",
            vec![
                format!(r#"{pool},state="active"}} 1"#),
                format!(r#"{pool},state="waiting"}} 2"#),
                format!(r#"{pool},state="active_cancel_req"}} 3"#),
                format!(r#"{pool},state="waiting_cancel_req"}} 4"#),
            ],
        ),
        (
            "howdah_pool_servers",
            vec![
                format!(r#"{pool},state="active"}} 5"#),
                format!(r#"{pool},state="active_cancel"}} 6"#),
                format!(r#"{pool},state="being_canceled"}} 7"#),
                format!(r#"{pool},state="idle"}} 8"#),
                format!(r#"{pool},state="used"}} 9"#),
                format!(r#"{pool},state="tested"}} 10"#),
                format!(r#"{pool},state="login"}} 11"#),
            ],
        ),
        ("howdah_pool_oldest_wait_seconds", vec![format!("{pool}}} 2.000345")]),
        ("howdah_client_prepared_statements", vec![format!("{pool}}} 9")]),
        ("howdah_server_prepared_statements", vec![format!("{pool}}} 0")]),
        (
            "howdah_queries_total",
            vec![r#"{database="shop"} 3600"#.to_owned(), r#"{database="stock"} 3600"#.to_owned()],
        ),
        (
            "howdah_wait_seconds_total",
            vec![r#"{database="shop"} 0.6"#.to_owned(), r#"{database="stock"} 0.6"#.to_owned()],
        ),
        ("howdah_database_pool_size", vec![r#"{database="shop"} 20"#.to_owned()]),
        ("howdah_database_max_servers", vec![r#"{database="shop"} 30"#.to_owned()]),
        ("howdah_database_max_clients", vec![r#"{database="shop"} +Inf"#.to_owned()]),
        ("howdah_database_paused", vec![r#"{database="shop"} 1"#.to_owned()]),
        ("howdah_user_max_servers", vec![r#"{user="ann"} +Inf"#.to_owned()]),
        ("howdah_user_pool_size", vec![r#"{user="ann"} 5"#.to_owned()]),
        ("howdah_user_reserve_pool_size", vec![]),
        (
            "howdah_client_closes_total",
            vec![
                r#"{reason="client close request"} 2"#.to_owned(),
                r#"{reason="client unexpected eof"} 1"#.to_owned(),
            ],
        ),
        ("howdah_server_closes_total", vec![r#"{reason="server_lifetime"} 1"#.to_owned()]),
        ("howdah_clients", vec!["3".to_owned()]),
        ("howdah_max_clients", vec!["100".to_owned()]),
        ("howdah_panics_total", vec!["4".to_owned()]),
        ("howdah_paused", vec!["1".to_owned()]),
        ("howdah_io_engine_info", vec![r#"{io_engine="plain"} 1"#.to_owned()]),
        ("process_start_time_seconds", vec!["1795197600.25".to_owned()]),
        ("process_cpu_seconds_total", vec!["1.500001".to_owned()]),
        ("process_resident_memory_bytes", vec!["12345678".to_owned()]),
        ("process_open_fds", vec!["31".to_owned()]),
        ("process_max_fds", vec!["+Inf".to_owned()]),
    ] {
        assert_eq!(samples(&page, name), expected, "{name}");
    }
}

#[test]
fn each_family_has_one_head_and_its_samples_below_it() {
    let page = render(&sample(), &process());
    let (mut seen, mut series) = (BTreeSet::new(), BTreeSet::new());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        assert!(help.ends_with('.'), "{line}");
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{name}");
        assert!(seen.insert(name), "{name} comes twice");
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (labelled, value) = sample.rsplit_once(' ').unwrap();
            assert_eq!(labelled.split('{').next(), Some(name));
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{sample}");
            assert!(series.insert(labelled), "{labelled} comes twice");
        }
    }
    assert_eq!(seen.len(), families::all().count());
    assert!(page.ends_with('\n'));
}

#[test]
fn names_and_reasons_are_escaped() {
    let mut snapshot = sample();
    let pins = &mut snapshot.pins[0];
    pins.database = "a\"b\\c\nd\re}".into();
    pins.user = "ä,=\u{fffd}".into();
    pins.tally.by_reason.clear();
    pins.tally.by_reason.entry(PinReason::Policy(StateKind::Listen)).or_default().begun = 1;
    let page = render(&snapshot, &process());
    let pool = "database=\"a\\\"b\\\\c\\nd\re}\",user=\"ä,=\u{fffd}\"";
    let expected = format!("\nhowdah_pins_total{{{pool},reason=\"LISTEN, pinned by session_state\"}} 1\n");
    assert!(page.contains(&expected), "{page}");
    assert!(page.contains(&format!("\nhowdah_max_pinned{{{pool}}} 19\n")));
    let mut text = Page::default();
    text.begin("a_total", Kind::Counter, "a \"b\" \\ c\nd");
    assert_eq!(text.text, "# HELP a_total a \"b\" \\\\ c\\nd\n# TYPE a_total counter\n");
}

#[test]
fn values_are_exact() {
    for (value, expected) in [
        (Value::Count(u64::MAX), "18446744073709551615"),
        (Value::microseconds(u64::MAX), "18446744073709.551615"),
        (Value::Time(Duration::ZERO), "0"),
        (Value::Time(Duration::new(7, 0)), "7"),
        (Value::Time(Duration::new(7, 1)), "7.000000001"),
        (Value::Time(Duration::new(0, 120_000_000)), "0.12"),
        (Value::limit(0), "+Inf"),
        (Value::limit(1), "1"),
        (Value::size(0), "0"),
        (Value::size(u32::MAX), "+Inf"),
        (Value::size(u32::MAX - 1), "+Inf"),
        (Value::size(u32::MAX - 2), "4294967293"),
        (true.into(), "1"),
    ] {
        assert_eq!(value.to_string(), expected);
    }
}
