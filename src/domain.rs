//! Floor 1: who owns what, and which states are legal. No I/O, no clock, no randomness of its own.

pub mod credentials;
pub mod scope;
pub mod account;
pub mod client;
pub mod api_key;
pub mod delegation;
