//! The fake PostgreSQL: one thread, as many sessions as come.

use std::net::TcpListener;

use clap::Args;

use crate::conn::Conn;
use crate::poll::Poll;
use crate::session::Session;

/// What `serve` is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&options.listen)?;
    listener.set_nonblocking(true)?;
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER)?;
    let mut sessions: Vec<Option<Session>> = Vec::new();
    let mut scratch = vec![0; 64 * 1024];
    loop {
        let mut ready: Vec<usize> = poll.wait(FOR_EVER)?.collect();
        if ready.contains(&LISTENER) {
            ready.retain(|number| *number != LISTENER);
            while let Ok((socket, _)) = listener.accept() {
                let conn = Conn::new(socket)?;
                let free = sessions.iter().position(Option::is_none).unwrap_or(sessions.len());
                if free == sessions.len() {
                    sessions.push(None);
                }
                poll.add(&conn.socket, free)?;
                sessions[free] = Some(Session::new(conn));
            }
        }
        for number in ready {
            let place = &mut sessions[number];
            if place.as_mut().is_some_and(|session| session.serve(&mut scratch).is_err()) {
                *place = None;
            }
        }
    }
}

const LISTENER: usize = usize::MAX;
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(3600);
