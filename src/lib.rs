//! Countersign answers one question for any HTTP API: who is calling, for which account, with which scopes?
//!
//! The modules below stand in reading order; each imports only from those above it.

pub mod time;
pub mod protocol;
pub mod store;
