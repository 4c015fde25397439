//! The store, on each database: SQLite in memory, SQLite in a file, PostgreSQL where it is installed.
//!
//! Only the public interface is used. What belongs to one file alone is tested at the bottom of that file.

mod accounts;
mod api_keys;
mod clients;
mod delegations;
mod kit;
mod nodes;
mod records;
