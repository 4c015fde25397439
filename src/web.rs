//! Floor 4, the rim towards browsers and apps: the way in, the way out, and our own pages and endpoints.

pub mod request;
pub mod response;
pub mod metrics;
pub mod judge;
pub mod tls;
pub mod health;
pub mod me;
pub mod oauth;
pub mod tokens;
pub mod texts;
pub mod page;
pub mod reasons;
pub mod samples;
pub mod errors;
pub mod visit;
pub mod assets;
pub mod login;
pub mod consent;
pub mod apps;
pub mod account;
pub mod developer;
pub mod inspector;
pub mod admin;

#[cfg(test)]
mod gallery;
