//! PostgreSQL's frontend/backend protocol, bytes ⇄ messages: no I/O, no clock.

pub mod frame;
pub mod secret;

pub use frame::{FrameError, FrameHeader};
