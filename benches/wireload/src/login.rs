//! How does a client get in? With no password, or with SCRAM from keys that were derived beforehand: deriving
//! them costs a client milliseconds, and here the pooler is measured.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, bail, ensure};
use clap::Args;
use howdah_wire::backend::{Authentication, tag};
use howdah_wire::sasl::{ClientCredential, ClientKey, MECHANISM, Nonce, ScramClient, ServerKey};
use howdah_wire::{ErrorResponse, FrameHeader, ProtocolVersion, frontend, startup};

/// Where to, and as whom.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Where the pooler listens.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: String,
    #[arg(long, default_value = "bench")]
    user: String,
    #[arg(long, default_value = "bench")]
    database: String,
    /// SCRAM's ClientKey, in hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = key)]
    client_key: Option<[u8; 32]>,
    /// SCRAM's ServerKey, in hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = key, requires = "client_key")]
    server_key: Option<[u8; 32]>,
}

impl Options {
    /// Connects and logs in, blocking. Afterwards nothing is left unread.
    pub(crate) fn log_in(&self) -> anyhow::Result<TcpStream> {
        let mut socket = TcpStream::connect(&self.address).context("cannot connect")?;
        socket.set_nodelay(true)?;
        let mut hello = Vec::new();
        let parameters = [("user", self.user.as_str()), ("database", self.database.as_str())];
        startup::write_startup(&mut hello, ProtocolVersion::V3_0, parameters);
        socket.write_all(&hello)?;
        let mut reader = Messages { socket: &socket, bytes: Vec::new() };
        loop {
            let (tag, body) = reader.next()?;
            match tag {
                tag::READY_FOR_QUERY => break,
                tag::AUTHENTICATION => match Authentication::parse(&body)? {
                    Authentication::Ok => {}
                    Authentication::Sasl { .. } => self.prove(&mut reader)?,
                    _ => bail!("an authentication that was not agreed on"),
                },
                _ => {}
            }
        }
        ensure!(reader.bytes.is_empty(), "more than was asked for");
        Ok(socket)
    }

    fn prove(&self, reader: &mut Messages<'_>) -> anyhow::Result<()> {
        let (Some(client_key), Some(server_key)) = (self.client_key, self.server_key) else {
            bail!("SCRAM is asked for, and there are no keys");
        };
        let credential = ClientCredential::Keys {
            client_key: ClientKey::from_bytes(client_key),
            server_key: ServerKey::from_bytes(server_key),
        };
        // Nobody is to be kept out here.
        let (client, first) = ScramClient::start(credential, Nonce::from_random([7; 18]));
        let mut out = Vec::new();
        frontend::write_sasl_initial_response(&mut out, MECHANISM.as_bytes(), Some(&first));
        reader.socket.write_all(&out)?;
        let (_, body) = reader.next()?;
        let Authentication::SaslContinue(challenge) = Authentication::parse(&body)? else {
            bail!("SCRAM does not go on");
        };
        let (client, proof) = client.answer(challenge)?;
        out.clear();
        frontend::write_sasl_response(&mut out, &proof);
        reader.socket.write_all(&out)?;
        let (_, body) = reader.next()?;
        let Authentication::SaslFinal(signature) = Authentication::parse(&body)? else {
            bail!("SCRAM does not end");
        };
        client.verify(signature)?;
        Ok(())
    }
}

/// Messages one by one, blocking.
pub(crate) struct Messages<'a> {
    pub(crate) socket: &'a TcpStream,
    pub(crate) bytes: Vec<u8>,
}

impl Messages<'_> {
    /// The next message's tag and body. An ErrorResponse is an error.
    pub(crate) fn next(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        loop {
            let header = FrameHeader::parse(&self.bytes)?;
            if let Some(header) = header.filter(|header| header.total() <= self.bytes.len()) {
                let body = self.bytes[FrameHeader::SIZE..header.total()].to_vec();
                self.bytes.drain(..header.total());
                if header.tag == tag::ERROR_RESPONSE {
                    bail!("refused: {}", ErrorResponse::parse(&body).message);
                }
                return Ok((header.tag, body));
            }
            let mut scratch = [0; 4096];
            let n = self.socket.read(&mut scratch).context("cannot read")?;
            ensure!(n > 0, "the connection was closed");
            self.bytes.extend_from_slice(&scratch[..n]);
        }
    }
}

fn key(text: &str) -> Result<[u8; 32], String> {
    let digits = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digits).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "not 64 hexadecimal digits".to_owned())
}
