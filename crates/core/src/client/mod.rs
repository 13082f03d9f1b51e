//! Who are you?
//!
//! A client at the door is a [`Login`]: it is fed bytes and ends as an [`Identity`], a cancel request or a
//! refusal. [`Credentials`] is what all doors know of passwords, [`Admission`] counts who is inside.
//!
//! `startup` reads the wishes in the startup packet, `options` the command line in it, `proof` asks for the password and checks the answer.

pub mod admission;
mod credentials;
mod ident;
mod login;
mod options;
mod proof;
mod startup;

pub use admission::{Admission, Place};
pub use credentials::Credentials;
pub use ident::{Identity, LoginSeeds, Peer};
pub use login::{Claim, Login, LoginNext, MAX_LOGIN_BYTES};
