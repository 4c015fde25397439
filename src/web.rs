//! Floor 4: HTTP. Endpoints and pages, each beside its template.

pub mod texts;
pub mod page;
