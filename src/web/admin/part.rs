//! The pages of the administration, and what their lists have in common.

/// One of them.
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
