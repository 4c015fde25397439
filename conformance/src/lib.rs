//! A conformance suite for OAuth 1.0a providers (RFC 5849) and what usually stands beside them.
//!
//! It knows a provider by HTTP alone. In reading order: text ([`encoding`], [`signer`], [`wire`], [`challenge`], [`digest`],
//! [`forge`], [`html`]), the line ([`http`], [`mod@line`], [`browser`], [`consent`]), the data ([`target`], [`case`], [`catalogue`],
//! [`variables`]), the verdict ([`judge`], [`play`], [`run`]) and what is told about it ([`report`]).

pub mod browser;
pub mod case;
pub mod catalogue;
pub mod challenge;
pub mod consent;
pub mod digest;
pub mod encoding;
pub mod expectations;
pub mod forge;
pub mod html;
pub mod http;
pub mod judge;
pub mod line;
pub mod play;
pub mod redact;
pub mod report;
pub mod run;
pub mod signer;
pub mod start;
pub mod target;
pub mod variables;
pub mod wire;
