//! Whatever a writer writes, the view of the same name reads; and whatever bytes a view is given, it answers.

use howdah_wire::backend::{self, Authentication, Column, DataRow, RowDescription};
use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::{
    BodyError, CancelKey, CancelSecret, ErrorResponse, FrameHeader, ProtocolVersion, TransactionStatus,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes a C string can hold.
fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(1..=255_u8, 0..12)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

/// The body of the one message `write` appends, having checked its header.
fn body_of(tag: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = b"earlier".to_vec();
    write(&mut out);
    let message = out.split_off(7);
    assert_eq!(out, b"earlier");
    let header = FrameHeader::parse(&message).expect("a valid header").expect("a whole header");
    assert_eq!((header.tag, header.total()), (tag, message.len()));
    message[FrameHeader::SIZE..].to_vec()
}

/// That a body cut short anywhere is an error.
fn no_prefix<T>(body: &[u8], parse: impl Fn(&[u8]) -> Result<T, BodyError>) -> Result<(), TestCaseError> {
    for end in 0..body.len() {
        prop_assert!(parse(&body[..end]).is_err(), "cut at {}", end);
    }
    Ok(())
}

proptest! {
    #[test]
    fn queries(text in name()) {
        let body = body_of(frontend::tag::QUERY, |out| frontend::write_query(out, &text));
        prop_assert_eq!(frontend::Query::parse(&body), Ok(frontend::Query { text: &text }));
        no_prefix(&body, |body| frontend::Query::parse(body).map(drop))?;
    }

    #[test]
    fn parses(name in name(), text in name(), types in vec(any::<[u8; 4]>(), 0..5)) {
        let parameter_types = types.as_flattened();
        let body =
            body_of(frontend::tag::PARSE, |out| frontend::write_parse(out, &name, &text, parameter_types));
        let expected = frontend::Parse { name: &name, text: &text, parameter_types };
        prop_assert_eq!(frontend::Parse::parse(&body), Ok(expected));
        no_prefix(&body, |body| frontend::Parse::parse(body).map(drop))?;
    }

    #[test]
    fn binds(portal in name(), statement in name(), rest in bytes()) {
        let body = body_of(frontend::tag::BIND, |out| {
            frontend::write_bind_header(out, &portal, &statement, rest.len()).expect("not too long");
            out.extend_from_slice(&rest);
        });
        let expected = frontend::Bind { portal: &portal, statement: &statement, rest: &rest };
        prop_assert_eq!(frontend::Bind::parse(&body), Ok(expected));
        let names_len = body.len() - rest.len();
        for end in 0..=body.len() {
            let names = frontend::BindNames::parse(&body[..end]);
            prop_assert_eq!(names.is_some(), end >= names_len);
            prop_assert!(names.is_none_or(|names| names.portal == portal
                && names.statement == statement
                && names.rest_offset == names_len));
        }
    }

    #[test]
    fn describes_and_closes(name in name(), statement: bool) {
        let kind = if statement { TargetKind::Statement } else { TargetKind::Portal };
        let expected = frontend::Target { kind, name: &name };
        let describe =
            body_of(frontend::tag::DESCRIBE, |out| frontend::write_describe(out, kind, &name));
        let close = body_of(frontend::tag::CLOSE, |out| frontend::write_close(out, kind, &name));
        prop_assert_eq!(frontend::Target::parse(&describe), Ok(expected));
        prop_assert_eq!(frontend::Target::parse(&close), Ok(expected));
        no_prefix(&close, |body| frontend::Target::parse(body).map(drop))?;
    }

    #[test]
    fn executes(portal in name(), max_rows: i32) {
        let body = body_of(frontend::tag::EXECUTE, |out| frontend::write_execute(out, &portal, max_rows));
        let expected = frontend::Execute { portal: &portal, max_rows };
        prop_assert_eq!(frontend::Execute::parse(&body), Ok(expected));
        no_prefix(&body, |body| frontend::Execute::parse(body).map(drop))?;
    }

    #[test]
    fn answers_of_an_authentication(secret in name(), mechanism in name(), data in proptest::option::of(bytes())) {
        let tag = frontend::tag::PASSWORD;
        let body = body_of(tag, |out| frontend::write_password(out, &secret));
        prop_assert_eq!(frontend::password(&body), Ok(&secret[..]));
        no_prefix(&body, |body| frontend::password(body).map(drop))?;
        let body = body_of(tag, |out| {
            frontend::write_sasl_initial_response(out, &mechanism, data.as_deref());
        });
        let read = frontend::SaslInitialResponse::parse(&body).expect("what was written");
        prop_assert_eq!((read.mechanism, read.data), (&mechanism[..], data.as_deref()));
        no_prefix(&body, |body| frontend::SaslInitialResponse::parse(body).map(drop))?;
        prop_assert_eq!(body_of(tag, |out| frontend::write_sasl_response(out, &secret)), secret);
    }

    #[test]
    fn authentications(salt: [u8; 4], data in bytes(), mechanisms in vec("[A-Z0-9-]{1,20}", 0..4)) {
        let tag = backend::tag::AUTHENTICATION;
        let body = body_of(tag, backend::write_authentication_ok);
        prop_assert!(matches!(Authentication::parse(&body), Ok(Authentication::Ok)));
        let body = body_of(tag, backend::write_authentication_cleartext);
        prop_assert!(matches!(Authentication::parse(&body), Ok(Authentication::Cleartext)));
        let body = body_of(tag, |out| backend::write_authentication_md5(out, salt));
        let asks_md5 = matches!(Authentication::parse(&body), Ok(Authentication::Md5 { salt: read }) if read == salt);
        prop_assert!(asks_md5);
        let body = body_of(tag, |out| backend::write_authentication_sasl_continue(out, &data));
        prop_assert!(matches!(Authentication::parse(&body), Ok(Authentication::SaslContinue(read)) if read == data));
        let body = body_of(tag, |out| backend::write_authentication_sasl_final(out, &data));
        prop_assert!(matches!(Authentication::parse(&body), Ok(Authentication::SaslFinal(read)) if read == data));
        let names: Vec<&str> = mechanisms.iter().map(String::as_str).collect();
        let body = body_of(tag, |out| backend::write_authentication_sasl(out, &names));
        let Ok(Authentication::Sasl { mechanisms: read }) = Authentication::parse(&body) else {
            return Err(TestCaseError::fail("not a SASL request"));
        };
        prop_assert!(read.eq(mechanisms.iter().map(String::as_bytes)));
    }

    #[test]
    fn settings_and_commands(name in name(), value in name()) {
        let body = body_of(backend::tag::PARAMETER_STATUS, |out| {
            backend::write_parameter_status(out, &name, &value);
        });
        let expected = backend::ParameterStatus { name: &name, value: &value };
        prop_assert_eq!(backend::ParameterStatus::parse(&body), Ok(expected));
        no_prefix(&body, |body| backend::ParameterStatus::parse(body).map(drop))?;
        let body =
            body_of(backend::tag::COMMAND_COMPLETE, |out| backend::write_command_complete(out, &name));
        prop_assert_eq!(backend::CommandComplete::parse(&body), Ok(backend::CommandComplete { tag: &name }));
        no_prefix(&body, |body| backend::CommandComplete::parse(body).map(drop))?;
    }

    #[test]
    fn keys_and_versions(
        pid: u32,
        secret in vec(any::<u8>(), 4..=256),
        minor: u16,
        options in vec("_pq_\\.[a-z]{1,9}", 0..5),
    ) {
        let key = CancelKey { pid, secret: CancelSecret::new(&secret).expect("a valid length") };
        let body = body_of(backend::tag::BACKEND_KEY_DATA, |out| backend::write_backend_key_data(out, &key));
        prop_assert_eq!(CancelKey::parse(&body), Ok(key));
        let newest = ProtocolVersion { major: 3, minor };
        let body = body_of(backend::tag::NEGOTIATE_PROTOCOL_VERSION, |out| {
            backend::write_negotiate_protocol_version(out, newest, options.iter().map(String::as_str));
        });
        let read = backend::NegotiateProtocolVersion::parse(&body).expect("what was written");
        prop_assert_eq!(read.newest, newest);
        prop_assert!(read.unrecognized.eq(options.iter().map(String::as_bytes)));
        no_prefix(&body, |body| backend::NegotiateProtocolVersion::parse(body).map(drop))?;
    }

    #[test]
    fn results(
        columns in vec((name(), any::<u32>(), any::<i16>()), 0..6),
        values in vec(proptest::option::of(bytes()), 0..6),
    ) {
        let columns: Vec<Column<'_>> = columns
            .iter()
            .map(|(name, type_oid, type_len)| Column { name, type_oid: *type_oid, type_len: *type_len })
            .collect();
        let body =
            body_of(backend::tag::ROW_DESCRIPTION, |out| backend::write_row_description(out, &columns));
        let read = RowDescription::parse(&body).expect("what was written");
        prop_assert_eq!(read.columns(), &columns[..]);
        no_prefix(&body, |body| RowDescription::parse(body).map(drop))?;
        let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
        let body =
            body_of(backend::tag::DATA_ROW, |out| backend::write_data_row(out, values.iter().copied()));
        let read = DataRow::parse(&body).expect("what was written");
        prop_assert_eq!(read.values(), &values[..]);
        no_prefix(&body, |body| DataRow::parse(body).map(drop))?;
    }

    #[test]
    fn no_bytes_make_a_view_panic(body in vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()], 0..60)) {
        let _ = frontend::Query::parse(&body);
        let _ = frontend::Parse::parse(&body);
        let _ = frontend::Bind::parse(&body);
        let _ = frontend::BindNames::parse(&body);
        let _ = frontend::Target::parse(&body);
        let _ = frontend::Execute::parse(&body);
        let _ = frontend::SaslInitialResponse::parse(&body);
        let _ = frontend::password(&body);
        if let Ok(Authentication::Sasl { mechanisms }) = Authentication::parse(&body) {
            prop_assert!(mechanisms.count() <= body.len());
        }
        let _ = backend::ParameterStatus::parse(&body);
        let _ = backend::CommandComplete::parse(&body);
        let _ = backend::ReadyForQuery::parse(&body);
        let _ = backend::NegotiateProtocolVersion::parse(&body).map(|read| read.unrecognized.count());
        let _ = RowDescription::parse(&body);
        let _ = DataRow::parse(&body);
        let _ = CancelKey::parse(&body);
        let _ = ErrorResponse::parse(&body);
    }
}

#[test]
fn messages_without_a_body() {
    type Write = fn(&mut Vec<u8>);
    let cases: [(u8, Write); 9] = [
        (b'S', frontend::write_sync),
        (b'H', frontend::write_flush),
        (b'X', frontend::write_terminate),
        (b'1', backend::write_parse_complete),
        (b'2', backend::write_bind_complete),
        (b'3', backend::write_close_complete),
        (b'n', backend::write_no_data),
        (b'I', backend::write_empty_query_response),
        (b's', backend::write_portal_suspended),
    ];
    for (tag, write) in cases {
        assert_eq!(body_of(tag, write), b"", "{}", char::from(tag));
    }
}

#[test]
fn the_few_with_a_fixed_layout() {
    let ready = body_of(b'Z', |out| backend::write_ready_for_query(out, TransactionStatus::Failed));
    assert_eq!(ready, b"E");
    let types = body_of(b't', |out| backend::write_parameter_description(out, &[23, 25]));
    assert_eq!(types, b"\0\x02\0\0\0\x17\0\0\0\x19");
    assert_eq!(body_of(b'f', |out| frontend::write_copy_fail(out, b"client gone")), b"client gone\0");
    let columns = body_of(b'T', |out| backend::write_row_description(out, &[Column::text("ab")]));
    assert_eq!(columns, b"\0\x01ab\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
    let row = body_of(b'D', |out| backend::write_data_row(out, [Some(&b"x"[..]), None]));
    assert_eq!(row, b"\0\x02\0\0\0\x01x\xff\xff\xff\xff");
}

#[test]
fn a_bind_that_would_grow_too_long_is_refused() {
    let longest = usize::try_from(howdah_wire::frame::MAX_LEN).expect("64 bits") - 4 - 2;
    let mut out = Vec::new();
    assert!(frontend::write_bind_header(&mut out, b"", b"", longest).is_ok());
    out.clear();
    for too_long in [longest + 1, usize::MAX] {
        assert!(frontend::write_bind_header(&mut out, b"", b"", too_long).is_err());
        assert_eq!(out, b"", "nothing was appended");
    }
}
