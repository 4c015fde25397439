//! `[[alias]]`: another path for an endpoint of ours, and other names for what it answers.
//!
//! For clients that were written for another API and know its paths only. Here an alias is data; `web::alias` serves it.

use std::collections::BTreeSet;

use super::section::Section;
use super::values::{InvalidValue, Words, checked_text, is_plain_segment, words};

words! {
    /// The endpoint that an alias leads to, by its own path.
    AliasTarget {
        Identity = "/v2/me",
        MemberTokens = "/api/v1/members/{username}/tokens",
    }
}

/// The one variable that a path can hold.
const USERNAME: &str = "{username}";

checked_text!(
    /// A path without pattern but for one segment `{username}`. A slash at its end is always taken besides.
    AliasPath,
    |text| {
        let clean = |segment: &str| segment == USERNAME || is_plain_segment(segment);
        text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(clean)) && text.matches(USERNAME).count() <= 1
    },
    InvalidValue::AliasPath
);

/// One `[[alias]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AliasSettings {
    pub path: AliasPath,
    pub to: AliasTarget,
    /// The names in the answer, each with the name of our field; empty: the answer as it is.
    pub fields: Vec<(String, Words)>,
}

impl AliasSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<AliasSettings> {
        let (has_path, has_target) = (section.has("path"), section.has("to"));
        let path: Option<AliasPath> = section.parsed("path");
        if !has_path {
            section.missing(
                "path",
                "an alias needs the path that clients use, such as path = \"/members/{username}/tokens\"",
            );
        }
        let to: Option<AliasTarget> = section.parsed("to");
        if !has_target {
            section.missing("to", "say which endpoint it leads to, such as to = \"/v2/me\"");
        }
        let fields = section.named("fields", |fields, name| fields.parsed(name));
        let (path, to) = (path?, to?);
        if path.contains(USERNAME) != to.as_str().contains(USERNAME) {
            section.refuse("path", "a path and the endpoint that it leads to both hold {username}, or neither does");
            return None;
        }
        Some(AliasSettings { path, to, fields })
    }
}

/// The first path that two aliases have.
pub(super) fn repeated(aliases: &[AliasSettings]) -> Option<&str> {
    let mut seen = BTreeSet::new();
    aliases.iter().map(|alias| alias.path.as_str()).find(|path| !seen.insert(*path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_holds_one_variable_at_most_and_no_pattern() {
        for text in ["/whoami", "/a/b", "/members/{username}/tokens"] {
            assert!(text.parse::<AliasPath>().is_ok(), "{text}");
        }
        for text in
            ["", "a", "/", "/a/", "/a//b", "/a/*", "/{id}", "/x{username}", "/{username}/{username}", "/a?b", "/../b"]
        {
            assert!(text.parse::<AliasPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_target_reads_back_as_itself() {
        assert!(AliasTarget::ALL.iter().all(|word| word.as_str().parse() == Ok(*word)));
    }
}
