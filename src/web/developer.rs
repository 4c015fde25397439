//! The developer console (`/developer/…`): one's own clients with their secrets, samples and tokens, and one's own API keys.

pub mod own;
pub mod client_samples;
pub mod shown_once;
pub mod clients;
pub mod client_form;
pub mod client;
pub mod key_form;
pub mod keys;
