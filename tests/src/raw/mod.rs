//! The protocol byte by byte, on blocking sockets of the standard library.
//!
//! [`message`] builds what a client sends, [`reply`] is what comes back, [`client`] sends and reads,
//! [`slowly`] byte by byte.

pub(crate) mod client;
pub mod message;
pub(crate) mod reply;
mod slowly;
