//! Floor 2: the store. diesel, transactions, sealed secrets, and a cache of what the hot path looks up.

pub mod schema;
pub mod changes;
pub mod connection;
pub mod vault;
pub mod audit;
pub mod accounts;
pub mod clients;
pub mod api_keys;
pub mod delegations;
pub mod replay;
