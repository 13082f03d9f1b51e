//! What a client sends, as bytes.

/// Any message with a tag.
#[must_use]
pub fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(untagged(body));
    bytes
}

/// The first packet: protocol 3.0 and `parameters`.
#[must_use]
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    startup_with(3 << 16, parameters)
}

/// The first packet with any version number.
#[must_use]
pub fn startup_with(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    untagged(&body)
}

/// SSLRequest.
#[must_use]
pub fn ssl_request() -> Vec<u8> {
    untagged(&80_877_103_u32.to_be_bytes())
}

/// GSSENCRequest.
#[must_use]
pub fn gss_enc_request() -> Vec<u8> {
    untagged(&80_877_104_u32.to_be_bytes())
}

/// CancelRequest for the process and secret of a BackendKeyData's body.
#[must_use]
pub fn cancel_request(key: &[u8]) -> Vec<u8> {
    untagged(&[&80_877_102_u32.to_be_bytes(), key].concat())
}

/// A password in clear text.
#[must_use]
pub fn password(password: &str) -> Vec<u8> {
    tagged(b'p', &text(password))
}

/// A simple query.
#[must_use]
pub fn query(sql: &str) -> Vec<u8> {
    tagged(b'Q', &text(sql))
}

/// Parse, with no parameter types.
#[must_use]
pub fn parse(statement: &str, sql: &str) -> Vec<u8> {
    parse_typed(statement, sql, &[])
}

/// Parse, with the OIDs of the first parameters' types.
#[must_use]
pub fn parse_typed(statement: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let count = u16::try_from(types.len()).expect("few parameters").to_be_bytes().to_vec();
    let types = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    tagged(b'P', &[text(statement), text(sql), count, types].concat())
}

/// Bind with parameters and results as text.
#[must_use]
pub fn bind(portal: &str, statement: &str, parameters: &[&str]) -> Vec<u8> {
    let mut body = [text(portal), text(statement), vec![0, 0]].concat();
    body.extend(u16::try_from(parameters.len()).expect("few parameters").to_be_bytes());
    for value in parameters {
        body.extend(u32::try_from(value.len()).expect("short values").to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend([0, 0]);
    tagged(b'B', &body)
}

/// Describe a statement (`b'S'`) or portal (`b'P'`).
#[must_use]
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    tagged(b'D', &[vec![kind], text(name)].concat())
}

/// Execute a portal; no limit of rows is 0.
#[must_use]
pub fn execute(portal: &str, rows: u32) -> Vec<u8> {
    tagged(b'E', &[text(portal), rows.to_be_bytes().to_vec()].concat())
}

/// Close a statement (`b'S'`) or portal (`b'P'`).
#[must_use]
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    tagged(b'C', &[vec![kind], text(name)].concat())
}

/// Sync.
#[must_use]
pub fn sync() -> Vec<u8> {
    tagged(b'S', b"")
}

/// Flush.
#[must_use]
pub fn flush() -> Vec<u8> {
    tagged(b'H', b"")
}

/// CopyData.
#[must_use]
pub fn copy_data(data: &[u8]) -> Vec<u8> {
    tagged(b'd', data)
}

/// CopyDone.
#[must_use]
pub fn copy_done() -> Vec<u8> {
    tagged(b'c', b"")
}

/// CopyFail.
#[must_use]
pub fn copy_fail(why: &str) -> Vec<u8> {
    tagged(b'f', &text(why))
}

/// Terminate.
#[must_use]
pub fn terminate() -> Vec<u8> {
    tagged(b'X', b"")
}

/// Length and body, as the first packet has them.
fn untagged(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).expect("a message of a test is short");
    [&len.to_be_bytes(), body].concat()
}

fn text(value: &str) -> Vec<u8> {
    [value.as_bytes(), b"\0"].concat()
}
