//! Does a client of Howdah see the PostgreSQL session that it would see without Howdah?
//!
//! A file of `tests/parity` holds scripts for a few clients. Each is played twice: on direct connections, and through
//! Howdah in transaction mode with a pool that is smaller than the number of its clients, where a crowd of others,
//! with sessions of their own, uses the server connections between any two transactions and sees to it that the next
//! one lands on another. Both times must bring the same replies, message by message.
//!
//! - [`script`] is what a file says, [`text`] how it is read, [`batch`] what a client sends at once.
//! - [`play`] plays a script, [`seat`] is a scripted client, [`stage`] where it plays, [`crowd`] who else is there.
//! - [`reply`] is a message as it is compared, [`report`] the difference as it is shown.
//! - [`theatre`] has the PostgreSQL and the Howdah for the scripts of a file.
//!
//! `tests/parity/README.md` tells how scripts are written.

mod batch;
mod crowd;
mod play;
mod reply;
mod report;
mod script;
mod seat;
mod stage;
mod text;
mod theatre;

pub use script::Script;
pub use theatre::{check, check_direct, check_exceptions, check_in_session_mode, files, scatters};
