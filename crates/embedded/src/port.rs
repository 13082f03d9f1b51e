//! A port that is free now and likely to stay so.
//!
//! Ports the kernel hands out to outgoing connections (32768 and up on Linux) are avoided: one of those could
//! be taken while a server restarts. Two processes may still find the same port; who binds second tries again.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::EmbeddedError;

/// A port on 127.0.0.1 nobody listens on; not the same one twice in a row.
///
/// # Errors
/// All candidates are taken.
pub fn free_port() -> Result<u16, EmbeddedError> {
    let first = std::process::id().wrapping_mul(STRIDE);
    (0..SPAN)
        .map(|_| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % SPAN)
        .filter_map(|offset| u16::try_from(LOWEST + offset).ok())
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or(EmbeddedError::NoPort)
}

static NEXT: AtomicU32 = AtomicU32::new(0);
const LOWEST: u32 = 20_000;
const SPAN: u32 = 12_000;
/// Processes with neighbouring ids start far apart.
const STRIDE: u32 = 97;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_offered() {
        let first = free_port().unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        for _ in 0..50 {
            assert_ne!(free_port().unwrap(), first);
        }
    }
}
