//! The signature inspector: why a signature was refused, for the client's owner.
//!
//! It shows what was signed, never with what: no secret is on the page, and nothing here makes a request pass.

use askama::Template;

use crate::web::developer::{ClientHead, Tab};
use crate::web::page::{Frame, Moment, Section};
use crate::web::texts::Texts;

/// The inspector of one client.
#[derive(Template)]
#[template(path = "inspector/inspector.html", config = "src/web/askama.toml")]
pub struct InspectorPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub inspection: Option<Inspection>,
    pub refused: Vec<RefusedRow>,
    /// What was pasted.
    pub pasted: String,
}

/// A refused request of the list.
pub struct RefusedRow {
    pub id: String,
    pub when: Moment,
    pub method: String,
    pub path: String,
    pub verdict: String,
}

/// What came of looking at one request.
pub struct Inspection {
    pub when: Option<Moment>,
    pub verdict: String,
    pub remedy: String,
    /// The mistakes by their words.
    pub words: Vec<String>,
    pub comparison: Option<Comparison>,
}

/// Two base strings, taken apart.
pub struct Comparison {
    pub rows: Vec<ComparedRow>,
    pub client: MarkedText,
    pub server: MarkedText,
}

/// Method, URI or a parameter on both sides; nothing: absent there.
pub struct ComparedRow {
    pub name: String,
    pub client: Option<String>,
    pub server: Option<String>,
    pub differs: bool,
}

/// A text with the part where it differs.
pub struct MarkedText {
    pub before: String,
    pub differing: String,
    pub after: String,
}
