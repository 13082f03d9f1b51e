//! The protocol byte by byte, on blocking sockets of the standard library.
//!
//! [`message`] builds what a client sends, [`reply`] is what comes back, [`client`] sends and reads.

pub(crate) mod client;
pub mod message;
pub(crate) mod reply;
