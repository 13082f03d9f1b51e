//! PostgreSQL's frontend/backend protocol, bytes ⇄ messages: no I/O, no clock.

pub mod frame;
pub mod md5;
pub mod sasl;
pub mod secret;

pub use frame::{FrameError, FrameHeader};
