//! What the pages say, in every language that they speak, and how a page's language is chosen.
//!
//! A language is one [`Texts`] value in a file of its own under `texts/`: the compiler refuses one that lacks a sentence
//! or takes other values than the rest. To add one: copy `texts/en.rs`, translate it, and name it in [`Language`].
//! Not here: what machines read (JSON, `oauth_problem`), which is English for everybody.

mod de;
mod en;

use chrono::{DateTime, Utc};

use crate::protocol::oauth::ProtocolError;
use crate::time::Timestamp;

/// A sentence around one text.
pub type With = fn(&str) -> String;
/// A sentence around two texts.
pub type WithBoth = fn(&str, &str) -> String;
/// A sentence around one number, which knows singular and plural.
pub type Count = fn(usize) -> String;
/// What happened, and what to change.
pub type Advice = (&'static str, &'static str);
/// Title, what happened, what to do.
pub type Notice = (&'static str, &'static str, &'static str);

/// A language that the pages speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    English,
    German,
}

impl Language {
    /// All of them; the first is spoken when nobody asks for another.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// RFC 5646: `en`, `de`.
    pub const fn code(self) -> &'static str {
        self.texts().code
    }

    /// As its speakers call it.
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Everything that the pages say in this language.
    pub const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::German => &de::TEXTS,
        }
    }

    /// The first language of the list that the pages speak; `de-AT` is `de`. Tags are separated by spaces, as
    /// `ui_locales` separates them.
    pub fn of_tags(tags: &str) -> Option<Self> {
        tags.split(' ').find_map(Self::of_tag)
    }

    /// The language that an `Accept-Language` header likes best (RFC 9110 §12.5.4).
    pub fn of_accept_language(header: &str) -> Option<Self> {
        let mut best: Option<(u16, Self)> = None;
        for part in header.split(',') {
            let (tag, weight) = part.split_once(';').unwrap_or((part, "q=1"));
            let Some(language) = Self::of_tag(tag.trim()) else { continue };
            let weight = weight_of(weight);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }

    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next()?;
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(primary))
    }
}

/// `q=0.8` in thousandths; what can't be read is 0, so it is not chosen.
fn weight_of(text: &str) -> u16 {
    let Some(value) = text.trim().strip_prefix("q=") else { return 0 };
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let digits = format!("{whole}{decimals:0<3}");
    digits.get(..4).and_then(|digits| digits.parse().ok()).unwrap_or(0).min(1000)
}

impl Texts {
    /// A moment as people write it in this language: date, time and UTC.
    pub fn moment(&self, at: Timestamp) -> String {
        written(at, self.moment_pattern)
    }

    /// Its date alone.
    pub fn day(&self, at: Timestamp) -> String {
        written(at, self.day_pattern)
    }
}

fn written(at: Timestamp, pattern: &str) -> String {
    DateTime::<Utc>::from_timestamp(at.unix(), 0)
        .map_or_else(|| at.to_rfc3339(), |moment| moment.format(pattern).to_string())
}

/// Everything that the pages say in one language, page by page.
pub struct Texts {
    /// RFC 5646.
    pub code: &'static str,
    /// For chrono's `format`.
    pub moment_pattern: &'static str,
    pub day_pattern: &'static str,
    pub frame: Frame,
    pub words: Words,
    pub login: Login,
    pub consent: Consent,
    pub verifier: Verifier,
    pub apps: Apps,
    pub account: Account,
    pub developer: Developer,
    pub secret: Secret,
    pub keys: Keys,
    pub inspector: Inspector,
    pub mistakes: Mistakes,
    pub admin: Admin,
    pub explorer: Explorer,
    pub errors: Errors,
    pub reasons: Reasons,
}

/// Around every page.
pub struct Frame {
    pub skip: &'static str,
    pub navigation: &'static str,
    pub problems: Count,
    pub copy: &'static str,
    pub copied: &'static str,
    pub api: &'static str,
}

/// Words that many pages use.
pub struct Words {
    pub newest_only: &'static str,
    pub account: &'static str,
    pub actions: &'static str,
    pub active: &'static str,
    pub address: &'static str,
    pub admin: &'static str,
    pub app: &'static str,
    pub cancel: &'static str,
    pub company: &'static str,
    pub created: &'static str,
    pub delete: &'static str,
    pub disable: &'static str,
    pub disabled: &'static str,
    pub suspended: &'static str,
    pub email: &'static str,
    pub enable: &'static str,
    pub expired: &'static str,
    pub expires: &'static str,
    pub identity_only: &'static str,
    pub integrator: &'static str,
    pub last_used: &'static str,
    pub locked: &'static str,
    pub member: &'static str,
    pub more: &'static str,
    pub name: &'static str,
    pub never: &'static str,
    pub no: &'static str,
    pub none: &'static str,
    pub revoke: &'static str,
    pub role: &'static str,
    pub save: &'static str,
    pub saved: &'static str,
    pub scopes: &'static str,
    pub search: &'static str,
    pub status: &'static str,
    pub unknown: &'static str,
    pub when: &'static str,
    pub yes: &'static str,
}

/// Log in and log out.
pub struct Login {
    pub title: &'static str,
    pub to_continue: With,
    pub username: &'static str,
    pub password: &'static str,
    pub submit: &'static str,
    pub wrong: &'static str,
    pub username_missing: &'static str,
    pub password_missing: &'static str,
    pub throttled: Count,
    pub log_out: &'static str,
    pub log_out_title: &'static str,
    pub log_out_note: &'static str,
    pub logged_out: &'static str,
}

/// The question whether an app may act for the account.
pub struct Consent {
    pub title: With,
    pub signed_in: &'static str,
    pub signed_in_as: With,
    pub not_you: &'static str,
    pub registered_on: &'static str,
    pub unverified: &'static str,
    pub unverified_note: &'static str,
    pub wants: With,
    pub untick: &'static str,
    pub identity_only: &'static str,
    pub always_identity: &'static str,
    pub sent_to: &'static str,
    pub code: With,
    pub allow: &'static str,
    pub deny: &'static str,
    pub rests: With,
    pub revoke_later: &'static str,
    pub denied_title: &'static str,
    pub denied: With,
}

/// The page with the verifier.
pub struct Verifier {
    pub title: &'static str,
    pub enter: With,
    pub copy: &'static str,
    pub expires: &'static str,
    pub once: &'static str,
    pub warning: &'static str,
}

/// Connected apps.
pub struct Apps {
    pub title: &'static str,
    pub about: &'static str,
    pub may: &'static str,
    pub granted: &'static str,
    pub identity_only: &'static str,
    pub revoke_all: &'static str,
    pub revoke_all_note: Count,
    pub none: &'static str,
    pub none_note: &'static str,
    pub revoked: &'static str,
    pub all_revoked: &'static str,
    pub already_revoked: &'static str,
}

/// My account.
pub struct Account {
    pub title: &'static str,
    pub about_you: &'static str,
    pub id: &'static str,
    pub keys: Count,
    pub more: &'static str,
    pub locked: &'static str,
    pub locked_why: &'static str,
    pub disabled: &'static str,
    pub disabled_why: &'static str,
    pub change_password: &'static str,
    pub current_password: &'static str,
    pub new_password: &'static str,
    pub repeated_password: &'static str,
    pub password_rule: &'static str,
    pub password_changed: &'static str,
    pub password_wrong: &'static str,
    pub password_short: &'static str,
    pub password_long: &'static str,
    pub password_differs: &'static str,
    pub sessions: &'static str,
    pub sessions_note: &'static str,
    pub browser: &'static str,
    pub browser_on: WithBoth,
    pub since: &'static str,
    pub this_one: &'static str,
    pub end: &'static str,
    pub end_others: &'static str,
    pub ended: &'static str,
}

/// The developer's clients.
pub struct Developer {
    pub title: &'static str,
    pub clients: &'static str,
    pub clients_about: &'static str,
    pub keys: &'static str,
    pub new_client: &'static str,
    pub new_client_about: &'static str,
    pub no_clients: &'static str,
    pub no_clients_note: &'static str,
    pub overview: &'static str,
    pub settings: &'static str,
    pub samples: &'static str,
    pub samples_filled: &'static str,
    pub samples_placeholders: &'static str,
    pub samples_secret_missing: &'static str,
    pub samples_rsa: &'static str,
    pub samples_plaintext: &'static str,
    pub save_and_run: With,
    pub client_key: &'static str,
    pub client_secret: &'static str,
    pub callbacks: &'static str,
    pub callbacks_hint: &'static str,
    pub code_only: &'static str,
    pub token: &'static str,
    pub token_secret: &'static str,
    pub tokens: &'static str,
    pub no_tokens: &'static str,
    pub token_revoked: &'static str,
    pub about_client: &'static str,
    pub app_name: &'static str,
    pub app_name_hint: &'static str,
    pub scopes_hint: &'static str,
    pub other_scopes: &'static str,
    pub other_scopes_hint: &'static str,
    pub signature_methods: &'static str,
    pub signature_methods_hint: &'static str,
    pub no_rsa_key: &'static str,
    pub rsa_key: &'static str,
    pub rsa_key_hint: &'static str,
    pub rsa_file: &'static str,
    pub rsa_bits: Count,
    pub http_auth: &'static str,
    pub http_auth_hint: &'static str,
    pub own_token: &'static str,
    pub own_token_hint: &'static str,
    pub own_access_token: &'static str,
    pub own_access_token_note: &'static str,
    pub make_own_token: &'static str,
    pub create_client: &'static str,
    pub created: With,
    pub rotate: &'static str,
    pub rotate_note: &'static str,
    pub rotated: &'static str,
    pub old_secret_until: &'static str,
    pub grace: &'static str,
    pub grace_none: &'static str,
    pub grace_hour: &'static str,
    pub grace_day: &'static str,
    pub grace_week: &'static str,
    pub ending: &'static str,
    pub disable_note: &'static str,
    pub suspended_note: &'static str,
    pub delete_note: &'static str,
    pub delete_client: &'static str,
    pub deleted: &'static str,
}

/// What is shown once.
pub struct Secret {
    pub once: &'static str,
    pub download: With,
    pub saved: &'static str,
}

/// API keys.
pub struct Keys {
    pub about: &'static str,
    pub new: &'static str,
    pub none: &'static str,
    pub none_note: &'static str,
    pub public_key: &'static str,
    pub private_key: &'static str,
    pub as_account: &'static str,
    pub made_by: With,
    pub for_account: With,
    pub name_hint: &'static str,
    pub scopes_hint: &'static str,
    pub create: &'static str,
    pub created: With,
    pub regenerate: &'static str,
    pub regenerate_note: &'static str,
    pub regenerated: With,
    pub delete_note: &'static str,
    pub deleted: &'static str,
    pub days: Count,
}

/// The signature inspector.
pub struct Inspector {
    pub title: &'static str,
    pub about: &'static str,
    pub result: &'static str,
    pub refused: &'static str,
    pub refused_note: &'static str,
    pub none: &'static str,
    pub gone: &'static str,
    pub request: &'static str,
    pub verdict: &'static str,
    pub paste: &'static str,
    pub paste_note: &'static str,
    pub request_hint: &'static str,
    pub request_missing: &'static str,
    pub request_unreadable: &'static str,
    pub url_missing: &'static str,
    /// What makes the parameters of a request unreadable.
    pub unreadable: fn(&ProtocolError) -> String,
    pub token_secret: &'static str,
    pub token_secret_hint: &'static str,
    pub inspect: &'static str,
    pub part: &'static str,
    pub yours: &'static str,
    pub ours: &'static str,
    pub absent: &'static str,
    pub differs: &'static str,
    pub your_base_string: &'static str,
    pub our_base_string: &'static str,
    pub method: &'static str,
    pub uri: &'static str,
    pub matches: &'static str,
    pub unexplained: &'static str,
    pub unexplained_remedy: &'static str,
    /// The RSA key is right; the token is unknown, with its secret and without.
    pub unexplained_rsa: Advice,
    pub token_unknown: Advice,
    pub matches_but_token_unknown: Advice,
    /// The body was not there to look at; there is no key to this method.
    pub body_unseen: Advice,
    pub no_rsa_key: Advice,
    pub no_secret: Advice,
    pub method_not_chosen: (With, &'static str),
    pub other_client: With,
    pub busy: &'static str,
    pub off: &'static str,
}

/// One sentence for each known mistake, and what to change.
pub struct Mistakes {
    pub query_parameters_left_out: Advice,
    pub body_parameters_left_out: Advice,
    pub body_wrongly_included: Advice,
    pub double_encoded: Advice,
    pub space_as_plus: Advice,
    pub http_scheme: Advice,
    /// In place of the first sentence, where the base string that was signed is known: its scheme or address, and the right one.
    pub signed_scheme: WithBoth,
    pub signed_address: WithBoth,
    pub port_included: Advice,
    pub port_left_out: Advice,
    pub host_case: Advice,
    pub token_secret_missing: Advice,
    pub secret_not_encoded: Advice,
    pub secrets_swapped: Advice,
    pub method_lower_case: Advice,
    pub parameters_unsorted: Advice,
    pub parameters_repeated_in_header: Advice,
    pub realm_included: Advice,
    pub path_reencoded: Advice,
    pub parameters_not_encoded: Advice,
    pub signature_not_encoded: Advice,
    pub body_hash_wrong: Advice,
    pub characters_wrongly_encoded: Advice,
    pub escapes_lower_case: Advice,
    pub not_utf_8: Advice,
    pub repeated_parameters_merged: Advice,
    pub empty_parameters_left_out: Advice,
    pub protocol_parameters_differ: Advice,
    pub base_string_not_encoded: Advice,
    pub other_method: Advice,
    pub trailing_slash: Advice,
    pub path_prefix: Advice,
    pub other_origin: Advice,
    pub secret_not_trimmed: Advice,
    pub ampersand_missing: Advice,
    pub signature_in_hex: Advice,
    pub signature_not_base64: Advice,
    pub signature_length_wrong: Advice,
    pub other_signature_method: Advice,
    pub other_rsa_key: Advice,
    /// What follows the first sentence: the fingerprint of the public key that is here.
    pub rsa_key_here: With,
}

/// Administration.
pub struct Admin {
    pub title: &'static str,
    pub accounts: &'static str,
    pub companies: &'static str,
    pub clients: &'static str,
    pub audit: &'static str,
    pub system: &'static str,
    pub new_account: &'static str,
    pub create_account: &'static str,
    pub account_created: &'static str,
    pub search_accounts: &'static str,
    pub no_accounts: &'static str,
    pub username_hint: &'static str,
    pub username_taken: &'static str,
    pub password_hint: &'static str,
    pub company_hint: &'static str,
    pub external_id: &'static str,
    pub external_id_hint: &'static str,
    pub scopes_hint: &'static str,
    pub details: &'static str,
    pub standing: &'static str,
    pub standing_note: &'static str,
    pub reason: &'static str,
    pub reason_hint: &'static str,
    pub lock: &'static str,
    pub unlock: &'static str,
    pub standing_changed: &'static str,
    pub not_yourself: &'static str,
    pub set_password: &'static str,
    pub delete_account: &'static str,
    pub delete_note: &'static str,
    pub account_deleted: &'static str,
    pub company_id: &'static str,
    pub company_id_hint: &'static str,
    pub company_taken: &'static str,
    pub new_company: &'static str,
    pub create_company: &'static str,
    pub company_created: &'static str,
    pub no_companies: &'static str,
    pub no_clients: &'static str,
    pub owner: &'static str,
    pub suspend: &'static str,
    pub event: &'static str,
    pub any_event: &'static str,
    pub actor: &'static str,
    pub subject: &'static str,
    pub detail: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    pub filter: &'static str,
    pub no_events: &'static str,
    pub older: &'static str,
    pub version: &'static str,
    pub database: &'static str,
    pub migrations: &'static str,
    pub migrated: &'static str,
    pub migrations_pending: &'static str,
    pub sealing: &'static str,
    pub sealing_note: &'static str,
    pub sealing_key: &'static str,
    pub sealing_active: &'static str,
    pub sealing_older: &'static str,
    pub throttled: &'static str,
    pub throttled_note: &'static str,
    pub none_throttled: &'static str,
}

/// The API explorer.
pub struct Explorer {
    pub title: &'static str,
    pub which: &'static str,
    pub own: &'static str,
    pub upstream: &'static str,
    pub as_you: With,
    pub as_nobody: &'static str,
    pub plain: &'static str,
}

/// Pages about what went wrong.
pub struct Errors {
    pub for_developers: &'static str,
    pub to_apps: &'static str,
    pub to_login: &'static str,
    pub form: Notice,
    pub logged_out: Notice,
    pub sent_before: Notice,
    pub token_missing: Notice,
    pub token_unknown: Notice,
    pub token_expired: Notice,
    pub token_decided: Notice,
    pub client_rests: Notice,
    pub callback_withdrawn: Notice,
    pub account_rests: Notice,
    pub not_found: Notice,
    pub forbidden: Notice,
    pub method: Notice,
    pub too_large: Notice,
    pub bad_request: Notice,
    pub throttled: Notice,
    pub unavailable: Notice,
}

/// Why something that was typed is refused.
pub struct Reasons {
    pub empty: &'static str,
    pub too_long: Count,
    pub character: With,
    pub padded: &'static str,
    pub shape: With,
    pub scope_shape: With,
    pub scope_too_long: &'static str,
    pub scope_too_many: &'static str,
    pub scope_not_yours: With,
    pub callback_not_absolute: With,
    pub callback_too_long: &'static str,
    pub callback_character: With,
    pub callback_scheme: With,
    pub callback_fragment: With,
    pub callback_user: With,
    pub callback_host: With,
    pub callback_too_many: &'static str,
    pub rsa_unreadable: &'static str,
    pub rsa_private: &'static str,
    pub rsa_small: &'static str,
    pub rsa_missing: &'static str,
    pub choice: &'static str,
    pub moment: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_language_that_the_pages_speak_is_chosen() {
        assert_eq!(Language::of_accept_language("de-AT,de;q=0.9,en;q=0.8"), Some(Language::German));
        assert_eq!(Language::of_accept_language("fr, en;q=0.3, de;q=0.7"), Some(Language::German));
        assert_eq!(Language::of_accept_language("de;q=0, en;q=0.1"), Some(Language::English));
        assert_eq!(Language::of_accept_language("fr"), None);
        assert_eq!(Language::of_accept_language(";;q=,,de;q=x"), None);
    }

    #[test]
    fn ui_locales_are_taken_in_their_order() {
        assert_eq!(Language::of_tags("fr de-CH en"), Some(Language::German));
        assert_eq!(Language::of_tags(""), None);
    }

    #[test]
    fn a_moment_is_written_as_people_write_it() {
        let moment = Timestamp::from_unix(1_795_300_000);
        assert_eq!(Language::English.texts().moment(moment), "21 Nov 2026, 22:26 UTC");
        assert_eq!(Language::German.texts().moment(moment), "21.11.2026, 22:26 UTC");
        assert_eq!(Language::English.texts().day(moment), "21 Nov 2026");
    }

    #[test]
    fn numbers_know_singular_and_plural() {
        let german = Language::German.texts();
        assert_eq!((german.account.keys)(1), "1 API-Schlüssel");
        let english = Language::English.texts();
        assert_eq!((english.account.keys)(1), "1 API key");
        assert_eq!((english.account.keys)(2), "2 API keys");
    }
}
