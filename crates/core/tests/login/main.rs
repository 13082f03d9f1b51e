//! Logins, both sides: Howdah's door for clients, and Howdah before PostgreSQL's door.
//!
//! The two machines speak the same protocol, so they are also set against each other.

mod client;
mod door;
mod hostile;
mod pass_through;
mod server;
