//! What every page has: its frame, its language, the problems of its form, and small things that many pages show.
//!
//! Plain data for templates. Nothing in here asks the store or judges anything.

use crate::domain::account::{AccountStatus, Role};
use crate::domain::client::ClientStatus;
use crate::domain::scope::Scopes;
use crate::protocol::encoding::encode;
use crate::time::Timestamp;
use crate::web::texts::{Language, Texts};

/// Around every page.
pub struct Frame {
    pub text: &'static Texts,
    /// What our paths begin with: empty, or the reserved prefix.
    pub base: String,
    /// What people know this server as.
    pub service: String,
    /// Changes with the stylesheet and the script, so that no browser keeps an old one.
    pub version: &'static str,
    /// Path and query of this page; empty where it answers a form.
    pub here: String,
    /// Who is logged in, where the page shows it.
    pub visitor: Option<Visitor>,
    pub csrf_token: String,
    pub section: Section,
    /// What was just done.
    pub notice: Option<String>,
    pub problems: Problems,
}

impl Frame {
    /// Whether the page belongs to this part of the navigation.
    pub fn is(&self, section: Section) -> bool {
        self.section == section
    }

    /// Whether the visitor administers the whole server.
    pub fn sees_everything(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.everything)
    }

    /// What a visitor is told whose account is locked or disabled.
    pub fn standing(&self) -> Option<&Standing> {
        self.visitor.as_ref().and_then(|visitor| visitor.standing.as_ref())
    }

    /// The languages that the page could also be in.
    pub fn other_languages(&self) -> impl Iterator<Item = Language> {
        let code = self.text.code;
        Language::ALL.into_iter().filter(move |language| language.code() != code)
    }

    /// The address of this page in another language.
    pub fn here_in(&self, language: &Language) -> String {
        let (path, query) = self.here.split_once('?').unwrap_or((&self.here, ""));
        let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("ui_locales="));
        let pairs: Vec<String> = kept.map(str::to_owned).chain([format!("ui_locales={}", language.code())]).collect();
        format!("{path}?{}", pairs.join("&"))
    }
}

/// Who is logged in.
pub struct Visitor {
    pub username: String,
    /// Whether there is anything to administer.
    pub administers: bool,
    /// Whether that is everything.
    pub everything: bool,
    /// Why the API refuses the account, if it does.
    pub standing: Option<Standing>,
}

/// A locked or disabled account.
pub struct Standing {
    pub title: &'static str,
    pub reason: String,
    pub link: Option<String>,
}

/// The parts of the navigation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    None,
    Apps,
    Account,
    Developer,
    Admin,
}

/// What is wrong with a form that came back, field by field.
#[derive(Default)]
pub struct Problems(Vec<FieldProblem>);

/// One of them.
pub struct FieldProblem {
    /// The field's name and id; empty for the form as a whole.
    pub field: &'static str,
    pub reason: String,
}

impl Problems {
    /// Adds one.
    pub fn add(&mut self, field: &'static str, reason: impl Into<String>) {
        self.0.push(FieldProblem { field, reason: reason.into() });
    }

    /// Adds one and goes on with nothing, so that every field is looked at.
    pub fn skip<T: Default>(&mut self, field: &'static str, reason: impl Into<String>) -> T {
        self.add(field, reason);
        T::default()
    }

    /// Whether there is one.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &FieldProblem> {
        self.0.iter()
    }

    /// Whether the field has one.
    pub fn has(&self, field: &str) -> bool {
        self.of(field).is_some()
    }

    /// The first of this field.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|problem| problem.field == field).map(|problem| problem.reason.as_str())
    }
}

/// A moment, for machines and for people.
pub struct Moment {
    pub iso: String,
    pub text: String,
}

impl Moment {
    /// In the page's language.
    pub fn of(at: Timestamp, text: &Texts) -> Self {
        Self { iso: at.to_rfc3339(), text: text.moment(at) }
    }

    /// The same, of which people are shown the date alone.
    pub fn day_of(at: Timestamp, text: &Texts) -> Self {
        Self { iso: at.to_rfc3339(), text: text.day(at) }
    }
}

/// A coloured word.
#[derive(Clone, Copy)]
pub struct Badge {
    /// `good`, `warn`, `bad` or nothing.
    pub tone: &'static str,
    pub text: &'static str,
}

impl Badge {
    /// The state of an account.
    pub fn of_account(status: &AccountStatus, text: &Texts) -> Self {
        match status {
            AccountStatus::Active => Self { tone: "good", text: text.words.active },
            AccountStatus::Locked { .. } => Self { tone: "warn", text: text.words.locked },
            AccountStatus::Disabled { .. } => Self { tone: "bad", text: text.words.disabled },
        }
    }

    /// The state of a client.
    pub const fn of_client(status: ClientStatus, text: &Texts) -> Self {
        match status {
            ClientStatus::Active => Self { tone: "good", text: text.words.active },
            ClientStatus::Disabled => Self { tone: "bad", text: text.words.disabled },
            ClientStatus::Suspended | ClientStatus::Barred => Self { tone: "bad", text: text.words.suspended },
        }
    }
}

/// What an account may do for others, for people.
pub const fn role_name(role: Role, text: &Texts) -> &'static str {
    match role {
        Role::Member => text.words.member,
        Role::Integrator => text.words.integrator,
        Role::Admin => text.words.admin,
    }
}

/// Scopes by their names.
pub fn scope_names(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

/// One of several values of a field.
pub struct Choice {
    pub value: String,
    pub label: String,
}

/// A scope with its sentence, perhaps with a box to tick.
pub struct ScopeChoice {
    pub name: String,
    pub title: String,
    pub ticked: bool,
}

/// A `data:` address that downloads this text without another request.
pub fn text_to_download(text: &str) -> String {
    format!("data:text/plain;charset=utf-8,{}", encode(text))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Something that must never reach a page as it is.
    pub(crate) const NASTY: &str = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";

    /// A frame for tests, in English.
    pub(crate) fn frame(section: Section) -> Frame {
        frame_in(Language::English, section)
    }

    pub(crate) fn frame_in(language: Language, section: Section) -> Frame {
        Frame {
            text: language.texts(),
            base: String::new(),
            service: "Countersign".to_owned(),
            version: "test",
            here: "/developer/clients/show?key=dpf43f3p2l4k3l03".to_owned(),
            visitor: Some(Visitor {
                username: "jane@example.com".to_owned(),
                administers: true,
                everything: true,
                standing: None,
            }),
            csrf_token: "csrf".to_owned(),
            section,
            notice: None,
            problems: Problems::default(),
        }
    }

    /// Fails if a page shows [`NASTY`] as markup anywhere, or doesn't show it at all.
    pub(crate) fn assert_escaped(page: &str) {
        assert!(page.contains("&#60;script&#62;alert(1)") || page.contains("&lt;script&gt;alert(1)"), "{page}");
        for markup in ["<script>alert", "<img src=x", "\"'&"] {
            assert!(!page.contains(markup), "{page}");
        }
    }

    #[test]
    fn another_language_keeps_the_rest_of_the_address() {
        let mut frame = frame(Section::None);
        assert_eq!(frame.here_in(&Language::German), "/developer/clients/show?key=dpf43f3p2l4k3l03&ui_locales=de");
        frame.here = "/apps?ui_locales=en".to_owned();
        assert_eq!(frame.here_in(&Language::German), "/apps?ui_locales=de");
        assert_eq!(frame.other_languages().collect::<Vec<_>>(), [Language::German]);
    }

    #[test]
    fn a_download_is_one_address_whatever_it_holds() {
        assert_eq!(text_to_download("A='é'\n#"), "data:text/plain;charset=utf-8,A%3D%27%C3%A9%27%0A%23");
    }
}
