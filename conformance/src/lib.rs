//! A conformance suite for OAuth 1.0a providers (RFC 5849) and what usually stands beside them.
//!
//! It knows a provider by HTTP alone. The modules stand in reading order, and each imports only from those above it; but a
//! step of [`play`] runs in a [`run`], which plays the cases.

// Text
pub mod encoding;
pub mod html;
pub mod variables;
pub mod redact;
// The line, and what is written on it
pub mod http;
pub mod challenge;
pub mod signer;
pub mod wire;
pub mod line;
// The data
pub mod target;
pub mod case;
// What clients, people and attackers do
pub mod digest;
pub mod forge;
pub mod browser;
pub mod consent;
// The verdict
pub mod judge;
pub mod catalogue;
pub mod play;
pub mod run;
// The command
pub mod start;
pub mod expectations;
pub mod report;
