//! The pages of the administration.

/// The pages of the administration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Accounts,
    Companies,
    Clients,
    Audit,
    System,
}

/// Rows of a list on one page.
pub const ROWS: u16 = 50;
