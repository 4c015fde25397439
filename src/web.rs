//! Floor 4: HTTP. Endpoints and pages, each beside its template.

pub mod texts;
pub mod page;
pub mod errors;
pub mod login;
pub mod consent;
pub mod apps;
pub mod account;
pub mod samples;
pub mod developer;
pub mod inspector;
pub mod admin;

#[cfg(test)]
mod gallery;
