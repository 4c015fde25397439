//! The integration suite: one test binary, one file for each part of the server.

mod cli;
