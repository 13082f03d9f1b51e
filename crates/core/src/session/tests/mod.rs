//! Sessions and server connections driven as the engine drives them, without sockets.
//!
//! `stage` is the engine's part, `notation` writes messages as short text, `model` is a PostgreSQL that knows
//! its main loop and a few statements. Then, by subject: transcripts, each step a line of what goes in and
//! what comes out on either side; `invariance` and `differential` (what its clients say: `scripts`) try what nobody has
//! thought of.

mod batches;
mod channels;
mod cleanup;
mod copying;
mod differential;
mod follow;
mod invariance;
mod model;
mod names;
mod notation;
mod parameters;
mod pinned;
mod policy;
mod prepared;
mod refusals;
mod scripts;
mod simple;
mod stage;
mod stale;
mod unnamed;
