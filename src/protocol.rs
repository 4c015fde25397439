//! Floor 0: the text of the RFCs as functions. No I/O, no clock, no store; every file can be read beside its section.
//!
//! In reading order: how text is encoded, how headers are written, what cookies are, what was received, which parameters it carries,
//! what was signed, how it was signed, what becomes of other bodies, what the protocol calls its parameters, what went
//! wrong with a signature, how people paste a request, how a client signs; and then Basic, and Digest with the nonces that it needs.

pub mod encoding;
pub mod header;
pub mod cookies;
pub mod request;
pub mod parameters;
pub mod base_string;
pub mod signature;
pub mod body_hash;
pub mod oauth;
pub mod diagnosis;
pub mod pasted;
pub mod client;
pub mod basic;
pub mod digest_nonce;
pub mod digest;
