//! Administration (`/admin/…`): accounts, companies, everybody's clients, the audit log, the state of the server.

pub mod part;
pub mod accounts;
pub mod account_form;
pub mod account;
pub mod companies;
pub mod clients;
pub mod audit;
pub mod system;
