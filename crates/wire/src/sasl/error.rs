//! What can be wrong with a SCRAM message.

use thiserror::Error;

/// Why an exchange ended without a login. Holds no byte of what the other side sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScramError {
    /// The message as a whole is too long.
    #[error("SCRAM message of {0} bytes is too long")]
    MessageTooLong(usize),
    /// The message is not UTF-8, or holds a NUL.
    #[error("SCRAM message is not text")]
    NotText,
    /// An attribute is missing, out of place or not of its form.
    #[error("malformed SCRAM message: {0} expected")]
    Malformed(Attribute),
    /// An attribute is longer than anyone needs.
    #[error("SCRAM {attribute} of {len} bytes is too long")]
    TooLong {
        /// Which one.
        attribute: Attribute,
        /// Its length as sent.
        len: usize,
    },
    /// The client insists on channel binding (`p=`), which was not offered.
    #[error("client requires SCRAM channel binding, but it was not offered")]
    ChannelBindingRequired,
    /// The client wants to act as somebody else (`a=`).
    #[error("client uses a SCRAM authorization identity, but it is not supported")]
    AuthorizationIdentity,
    /// The client demands an extension (`m=`).
    #[error("client requires an unsupported SCRAM extension")]
    MandatoryExtension,
    /// The nonce is not the one agreed on.
    #[error("SCRAM nonce does not match")]
    NonceMismatch,
    /// A server asks for more rounds of key derivation than we are ready to spend.
    #[error("{0} SCRAM iterations are more than is allowed")]
    TooManyIterations(u32),
    /// The client does not know the password, or the user does not exist.
    #[error("SCRAM proof is wrong")]
    WrongProof,
    /// The server does not know the password's secret: it is not who it should be.
    #[error("SCRAM server signature is wrong")]
    WrongServerSignature,
    /// The server answered with a SCRAM error (`e=`).
    #[error("server refused the SCRAM exchange")]
    Refused,
}

/// A part of a SCRAM message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Attribute {
    /// `n,` `y,` or `p=`, at the start of the client's first message.
    #[error("GS2 header")]
    Gs2Header,
    /// `n=`.
    #[error("user name")]
    User,
    /// `r=`.
    #[error("nonce")]
    Nonce,
    /// `s=`.
    #[error("salt")]
    Salt,
    /// `i=`.
    #[error("iteration count")]
    Iterations,
    /// `c=`.
    #[error("channel binding")]
    ChannelBinding,
    /// `p=`.
    #[error("proof")]
    Proof,
    /// `v=`.
    #[error("server signature")]
    ServerSignature,
    /// Nothing more.
    #[error("end of message")]
    End,
}
