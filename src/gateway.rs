//! In front of the operator's API: the built-in reverse proxy, and the answers to other proxies that ask first.
//!
//! In reading order: what never reaches the upstream (`withheld`), what it is told about the caller (`identity_headers`,
//! `assertion`), the connections to it (`upstream`, `tunnel`) and the proxy over them; then what other proxies ask
//! (`metadata`), how one client request gets one verdict (`shared_verdicts`), and the endpoints. Who is calling is
//! judged elsewhere; here it is passed on.

pub mod withheld;
pub mod identity_headers;
pub mod assertion;
pub mod upstream;
pub mod tunnel;
pub mod proxy;
