//! The integration suite: one test binary, one file for each part of the server.

mod api;
mod cli;
mod replay;
mod servers;
mod store;
mod vectors;
