//! Countersign answers one question for any HTTP API: who is calling, for which account, with which scopes?
//!
//! The modules below stand in reading order; each imports only from those above it.

// 0 core
pub mod time;
pub mod protocol;
// 1 domain
pub mod domain;
pub mod config;
// 2 store
pub mod store;
// 3 pipeline
pub mod auth;
pub mod policy;
pub mod provider;
// 4 rim
pub mod logging;
pub mod opening;
pub mod shape;
pub mod web;
pub mod api;
pub mod gateway;
pub mod explorer;
pub mod app;
pub mod demo;
pub mod cli;
