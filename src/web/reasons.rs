//! Why something that was typed is refused, in the page's language. What is good comes back parsed.

use crate::domain::client::{Callback, InvalidCallback, MOST_CALLBACKS, RsaPublicKey};
use crate::domain::credentials::{InvalidName, PASSWORD_LENGTH};
use crate::domain::scope::{InvalidScope, Scopes};
use crate::protocol::signature::RsaKeyError;
use crate::web::texts::Texts;

/// A name, an address, a reason: one line.
pub fn name(error: &InvalidName, text: &Texts) -> String {
    match error {
        InvalidName::Empty { .. } => text.reasons.empty.to_owned(),
        InvalidName::TooLong { limit, .. } => (text.reasons.too_long)(*limit),
        InvalidName::Character { character, .. } => (text.reasons.character)(&visible(*character)),
        InvalidName::Padded { .. } => text.reasons.padded.to_owned(),
        InvalidName::Shape { shape, .. } => (text.reasons.shape)(shape),
    }
}

/// Scopes.
pub fn scope(error: &InvalidScope, text: &Texts) -> String {
    match error {
        InvalidScope::Shape(scope) => (text.reasons.scope_shape)(scope),
        InvalidScope::Character { character, .. } => (text.reasons.character)(&visible(*character)),
        InvalidScope::TooLong => text.reasons.scope_too_long.to_owned(),
        InvalidScope::TooMany => text.reasons.scope_too_many.to_owned(),
    }
}

/// Scopes as they are typed: separated by spaces or commas.
///
/// # Errors
/// The sentence beside the field.
pub fn scopes(typed: &str, text: &Texts) -> Result<Scopes, String> {
    Scopes::parse(typed).map_err(|error| scope(&error, text))
}

/// Callbacks as they are typed: one a line; empty lines are none.
///
/// # Errors
/// The sentence beside the field, about the first that is refused.
pub fn callbacks(typed: &str, text: &Texts) -> Result<Vec<Callback>, String> {
    let lines = typed.lines().map(str::trim).filter(|line| !line.is_empty());
    let callbacks = lines
        .map(|line| Callback::parse(line).map_err(|error| callback(&error, line, text)))
        .collect::<Result<Vec<_>, _>>()?;
    if callbacks.len() > MOST_CALLBACKS {
        return Err(text.reasons.callback_too_many.to_owned());
    }
    Ok(callbacks)
}

fn callback(error: &InvalidCallback, line: &str, text: &Texts) -> String {
    let reasons = &text.reasons;
    match error {
        InvalidCallback::NotAbsolute => (reasons.callback_not_absolute)(line),
        InvalidCallback::TooLong => reasons.callback_too_long.to_owned(),
        InvalidCallback::Character(character) => (reasons.callback_character)(&visible(*character)),
        InvalidCallback::Scheme(scheme) => (reasons.callback_scheme)(scheme),
        InvalidCallback::Fragment => (reasons.callback_fragment)(line),
        InvalidCallback::UserInfo => (reasons.callback_user)(line),
        InvalidCallback::Host => (reasons.callback_host)(line),
    }
}

/// An RSA public key; nothing typed is none.
///
/// # Errors
/// The sentence beside the field.
pub fn rsa_key(typed: &str, text: &Texts) -> Result<Option<RsaPublicKey>, String> {
    if typed.trim().is_empty() {
        return Ok(None);
    }
    // Browsers send a form's line ends as CRLF.
    RsaPublicKey::parse(&typed.replace("\r\n", "\n")).map(Some).map_err(|error| {
        match error {
            RsaKeyError::Unreadable | RsaKeyError::UnreadablePrivate | RsaKeyError::Public => {
                text.reasons.rsa_unreadable
            }
            RsaKeyError::Private => text.reasons.rsa_private,
            RsaKeyError::Size(_) => text.reasons.rsa_small,
        }
        .to_owned()
    })
}

/// A new password.
///
/// # Errors
/// The sentence beside the field.
pub fn password(typed: &str, text: &Texts) -> Result<(), String> {
    match typed.chars().count() {
        length if PASSWORD_LENGTH.contains(&length) => Ok(()),
        length if length < *PASSWORD_LENGTH.start() => Err(text.account.password_short.to_owned()),
        _ => Err(text.account.password_long.to_owned()),
    }
}

/// Too many failures.
pub fn throttled(seconds: u32, text: &Texts) -> String {
    (text.login.throttled)(usize::try_from(seconds).unwrap_or(usize::MAX))
}

/// A character that can be seen, or its name.
fn visible(character: char) -> String {
    if character.is_control() || character.is_whitespace() {
        format!("U+{:04X}", u32::from(character))
    } else {
        character.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    #[test]
    fn callbacks_come_one_a_line() {
        let text = Language::English.texts();
        let read = callbacks("https://app.example.com/done\r\n\n  oob \n", text).unwrap();
        assert_eq!(read.iter().map(Callback::as_str).collect::<Vec<_>>(), ["https://app.example.com/done", "oob"]);
        assert!(callbacks("", text).unwrap().is_empty());
    }

    #[test]
    fn a_refused_callback_says_why_in_the_language_of_the_page() {
        let english = callbacks("javascript:alert(1)", Language::English.texts()).unwrap_err();
        assert_eq!(english, "Addresses with javascript: can't be used as callbacks.");
        let german = callbacks("https://a.example/#x", Language::German.texts()).unwrap_err();
        assert!(german.starts_with("https://a.example/#x hat einen Teil hinter #"), "{german}");
        assert!(callbacks(&"https://a.example/\n".repeat(33), Language::English.texts()).is_err());
    }

    #[test]
    fn a_password_has_eight_characters_of_any_script() {
        let text = Language::English.texts();
        assert!(password("пароль12", text).is_ok());
        assert!(password("short", text).is_err());
        assert!(password(&"x".repeat(1025), text).is_err());
    }

    #[test]
    fn what_can_not_be_seen_is_named() {
        assert_eq!(visible('\t'), "U+0009");
        assert_eq!(visible('"'), "\"");
    }
}
