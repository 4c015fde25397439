//! Pages about what went wrong, and pages that say one thing: what happened, and what to do next.

use askama::Template;

use crate::web::page::{Frame, Section};
use crate::web::texts::Texts;

/// A page with one message.
#[derive(Template)]
#[template(path = "message.html", config = "src/web/askama.toml")]
pub struct MessagePage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub title: String,
    pub what: String,
    pub advice: String,
    /// The word that an app's developer would look for.
    pub word: Option<&'static str>,
    /// Where to go: address and label.
    pub onward: Option<(String, &'static str)>,
}

impl MessagePage {
    /// From title, what happened and what to do.
    pub fn new(frame: Frame, (title, what, advice): (&str, &str, &str)) -> Self {
        Self {
            text: frame.text,
            frame,
            title: title.to_owned(),
            what: what.to_owned(),
            advice: advice.to_owned(),
            word: None,
            onward: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::web::page::tests::{NASTY, assert_escaped, frame};

    #[test]
    fn a_message_is_shown_as_text() {
        let page = MessagePage::new(frame(Section::None), (NASTY, NASTY, NASTY)).render().unwrap();
        assert_escaped(&page);
        assert_eq!(page.matches("<h1").count(), 1);
    }
}
