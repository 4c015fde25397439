//! Wiring for the replay branch (the founder's file replaces it at merge).
pub mod replay;
