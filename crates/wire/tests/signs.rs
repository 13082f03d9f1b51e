//! What must hold of signs whatever the text is.

use howdah_wire::sql::{Hints, HintsBuilder, Sign, Signs, StatementNames, ends_transaction, prepare_text};
use proptest::prelude::*;

/// Texts made of what the lexer and the signs care about.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(vec![
        "'",
        "\"",
        "$$",
        "--",
        "/*",
        "*/",
        "\\",
        ";",
        "(",
        ")",
        ",",
        ".",
        "=",
        "\n",
        " ",
        " ",
        " ",
        "e'",
        "U&\"",
        "set ",
        "reset ",
        "local ",
        "session ",
        "transaction ",
        "set_config",
        "'a'",
        "true",
        "false",
        "temp ",
        "into ",
        "create ",
        "table ",
        "pg_temp",
        "nextval(",
        "currval(",
        "setseed(",
        "pg_advisory_lock(",
        "execute ",
        "explain ",
        "prepare ",
        "deallocate ",
        "discard all",
        "declare ",
        "with ",
        "hold ",
        "update ",
        "pg_settings",
        "select ",
        "insert ",
        "f",
        "begin atomic ",
        "end",
        "query_to_xml(",
        "set_limit(",
        "as ",
        "time zone ",
        "é",
        "1",
        "\0",
    ]);
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat().into_bytes())
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![nasty(), proptest::collection::vec(any::<u8>(), 0..80)]
}

/// Texts that end where they seem to.
fn complete() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "select 1",
        "set a = 1",
        "select set_config('b', 'c', false)",
        "create temp table t (a int)",
        "discard all",
        "listen x",
        "select pg_advisory_lock(1)",
        "select ';'",
        "select $$;$$ -- ;\n",
        "declare c cursor with hold for select 1",
        "explain execute p",
        "select 1 into temp t",
        "update t set a = 2",
        "select currval('x')",
        "do $$ $$",
        "insert into f values (1)",
    ])
}

/// Hints of one name.
fn hints() -> Hints {
    let mut builder = HintsBuilder::default();
    builder.row(b"sql", b"hinted", b"select setseed(1)");
    builder.build()
}

fn includes(more: &Signs, less: &Signs) -> bool {
    let mut both = more.clone();
    both.merge(less);
    both == *more
}

proptest! {
    #[test]
    fn nothing_panics(text in any_text()) {
        let hints = hints();
        for end in 0..=text.len() {
            let text = &text[..end];
            let _ = Signs::of(text, &hints);
            let _ = prepare_text(text, b"a");
            prop_assert!(StatementNames::of(text).count() <= text.len());
        }
    }

    #[test]
    fn commits_is_what_ends_a_transaction(text in any_text()) {
        for hints in [Hints::default(), hints()] {
            prop_assert_eq!(Signs::of(&text, &hints).has(Sign::Commits), ends_transaction(&text));
        }
    }

    #[test]
    fn a_statement_more_takes_no_sign_away(
        before in proptest::collection::vec(complete(), 0..6),
        more in complete(),
        last in any_text(),
    ) {
        let hints = Hints::default();
        let less = before.join(";");
        let signs = Signs::of(less.as_bytes(), &hints);
        let with_more = Signs::of(format!("{less};{more}").as_bytes(), &hints);
        prop_assert!(includes(&with_more, &signs) && includes(&with_more, &Signs::of(more.as_bytes(), &hints)));
        let with_last = Signs::of(&[less.as_bytes(), b";", &last].concat(), &hints);
        prop_assert!(includes(&with_last, &signs));
    }

    #[test]
    fn a_hinted_name_is_found_wherever_it_stands(before in complete(), quoted: bool) {
        let name = if quoted { "\"hinted\"" } else { "Hinted" };
        let text = format!("{before}; select {name}(1)");
        prop_assert!(Signs::of(text.as_bytes(), &hints()).has(Sign::Seed));
    }
}
