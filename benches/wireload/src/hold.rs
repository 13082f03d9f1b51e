//! Clients that are logged in, have asked one thing, and then are silent: what do they weigh?

use std::io::{BufRead, Write};
use std::net::TcpStream;

use anyhow::Context;
use clap::Args;
use howdah_wire::backend::tag;
use howdah_wire::frontend;

use crate::load::report;
use crate::login::{self, Messages};

/// What `hold` is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    login: login::Options,
}

/// Each line of the input is a number of clients to grow to; each is answered when they are there.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut held: Vec<TcpStream> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let goal: usize = line?.trim().parse().context("not a number of clients")?;
        while held.len() < goal {
            held.push(one(&options.login).with_context(|| format!("client {}", held.len() + 1))?);
        }
        report(&[("clients", held.len() as f64)]);
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn one(login: &login::Options) -> anyhow::Result<TcpStream> {
    let mut socket = login.log_in()?;
    let mut out = Vec::new();
    frontend::write_query(&mut out, b"SELECT 1");
    socket.write_all(&out)?;
    let mut messages = Messages { socket: &socket, bytes: Vec::new() };
    while messages.next()?.0 != tag::READY_FOR_QUERY {}
    Ok(socket)
}
