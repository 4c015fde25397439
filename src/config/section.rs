//! Typed reading of the tree. A component takes its keys from its [`Section`]; taking a key makes it known, and gives its value or, when it
//! is absent or wrong, the default. Wrong values and keys that nobody took are gathered in the [`Survey`] and reported together.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::problem::{ConfigurationError, Place, Problem};
use super::tree::{Node, Table, Value, variable_of};

/// What was found out while reading.
pub(super) struct Survey {
    problems: Vec<Problem>,
    /// Key paths that some component takes.
    known: Vec<String>,
    /// Key paths that were written and not taken.
    unknown: Vec<(Place, String)>,
}

impl Survey {
    pub fn new(problems: Vec<Problem>) -> Survey {
        Survey { problems, known: Vec::new(), unknown: Vec::new() }
    }

    /// The key paths that some component takes, with those of the sections.
    #[cfg(test)]
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(String::as_str)
    }

    pub fn conflict(&mut self, what_to_do: &str) {
        self.problems.push(Problem::Conflict(what_to_do.into()));
    }

    pub fn finish(mut self) -> Result<(), ConfigurationError> {
        for (place, key_path) in std::mem::take(&mut self.unknown) {
            let nearest = nearest(&key_path, &self.known);
            // Within a list of tables a variable holds TOML, where keys are written as in the file.
            let as_variable = matches!(&place, Place::Variable(name) if *name == variable_of(&key_path));
            let nearest = nearest.map(|known| if as_variable { variable_of(known) } else { known.to_owned() });
            self.problems.push(Problem::UnknownKey { place, key: key_path, nearest });
        }
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigurationError { problems: self.problems }) }
    }
}

/// The known key that was probably meant: a slip away in the same section, a part of a key there, the same name in another section, or
/// whatever is nearest, if anything is near.
fn nearest<'k>(key_path: &str, known: &'k [String]) -> Option<&'k str> {
    let (section, name) = split(key_path);
    let siblings = || known.iter().filter(|path| split(path).0 == section);
    let closest = |most: usize| {
        siblings()
            .map(|path| (slips(name, split(path).1), path))
            .min()
            .filter(|(distance, _)| *distance <= most)
            .map(|(_, path)| path)
    };
    closest(2)
        .or_else(|| siblings().find(|path| split(path).1.contains(name)))
        .or_else(|| known.iter().find(|path| split(path).1 == name))
        .or_else(|| closest(2 + name.len() / 4))
        .or_else(|| known.iter().min_by_key(|path| slips(key_path, path)).filter(|path| slips(key_path, path) <= 2))
        .map(String::as_str)
}

/// Section and name: `oauth` and `prefixes`; a key at the root is in no section.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// Letters to insert, remove or replace until one word is the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, letter) in one.chars().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        for (cell, there) in row.iter_mut().skip(1).zip(&other) {
            let replaced = diagonal + usize::from(letter != *there);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = done + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The keys of one component, or of one entry of a list of tables. Keys that are left when it is dropped are unknown.
pub(super) struct Section<'s> {
    /// Empty at the root, else for instance `oauth`.
    path: String,
    place: Place,
    table: Table,
    survey: &'s mut Survey,
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for (key, node) in std::mem::take(&mut self.table) {
            self.survey.unknown.push((node.place, self.path_of(&key)));
        }
    }
}

impl<'s> Section<'s> {
    pub fn root(node: Node, survey: &'s mut Survey) -> Section<'s> {
        Section::open(String::new(), node, survey)
    }

    fn open(path: String, node: Node, survey: &'s mut Survey) -> Section<'s> {
        let place = node.place;
        let table = match node.value {
            Value::Table(table) => table,
            other => {
                let reason = format!("should be a section with keys, not {}", describe(&other));
                survey.problems.push(Problem::Invalid { place: place.clone(), key: path.clone(), reason });
                Table::new()
            }
        };
        Section { path, place, table, survey }
    }

    /// A component's own section, read by `read`.
    pub fn component<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let node = self.take_node(key).unwrap_or_else(super::tree::empty);
        read(&mut Section::open(self.path_of(key), node, self.survey))
    }

    /// A list of tables such as `[[route]]`; entries for which `read` gives `None` have a problem that it noted.
    pub fn tables<T>(&mut self, key: &str, read: impl Fn(&mut Section<'_>) -> Option<T>) -> Vec<T> {
        let Some(node) = self.take_node(key) else { return Vec::new() };
        let entries = match self.list_of(key, node) {
            Some(entries) => entries,
            None => return Vec::new(),
        };
        entries
            .into_iter()
            .filter_map(|entry| read(&mut Section::open(self.path_of(key), entry, self.survey)))
            .collect()
    }

    /// A table whose keys are free, such as `titles = { de = "…" }`, in alphabetical order.
    pub fn named<T>(&mut self, key: &str, read: impl Fn(&mut Section<'_>, &str) -> Option<T>) -> Vec<(String, T)> {
        let Some(node) = self.take_node(key) else { return Vec::new() };
        let mut section = Section::open(self.path_of(key), node, self.survey);
        let names: Vec<String> = section.table.keys().cloned().collect();
        names.into_iter().filter_map(|name| read(&mut section, &name).map(|value| (name, value))).collect()
    }

    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        let Some(node) = self.take_node(key) else { return default };
        match &node.value {
            Value::Boolean(value) => *value,
            Value::Untyped(text) if text == "true" => true,
            Value::Untyped(text) if text == "false" => false,
            other => {
                let reason = format!("should be true or false, not {}", describe(other));
                self.invalid(key, node.place, reason);
                default
            }
        }
    }

    /// A whole number within `range`.
    pub fn number<N>(&mut self, key: &str, default: N, range: RangeInclusive<N>) -> N
    where
        N: TryFrom<i64> + PartialOrd + Copy + std::fmt::Display,
    {
        let Some(node) = self.take_node(key) else { return default };
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Untyped(text) => text.trim().parse().ok(),
            Value::Text(_) | Value::Boolean(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
        };
        match number.and_then(|number| N::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let (from, to) = (range.start(), range.end());
                let reason = format!("should be a whole number from {from} to {to}, not {}", describe(&node.value));
                self.invalid(key, node.place, reason);
                default
            }
        }
    }

    /// A text that means a `T`. The error must not repeat the text, which may be a secret.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Option<T> {
        let node = self.take_node(key)?;
        self.parse_node(key, node)
    }

    /// A list of texts that each mean a `T`; `None` when the key is absent or an entry is wrong.
    pub fn parsed_list<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Option<Vec<T>> {
        let node = self.take_node(key)?;
        let entries = self.list_of(key, node)?;
        let parsed: Vec<Option<T>> = entries.into_iter().map(|entry| self.parse_node(key, entry)).collect();
        parsed.into_iter().collect()
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes that a key must be there.
    pub fn missing(&mut self, key: &str, reason: &'static str) {
        let key = self.path_of(key);
        self.survey.problems.push(Problem::Missing { place: self.place.clone(), key, reason });
    }

    /// Notes that a value which could be read breaks a rule.
    pub fn refuse(&mut self, key: &str, reason: impl Into<String>) {
        self.invalid(key, self.place.clone(), reason.into());
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take_node(&mut self, key: &str) -> Option<Node> {
        let path = self.path_of(key);
        if !self.survey.known.contains(&path) {
            self.survey.known.push(path);
        }
        self.table.remove(key)
    }

    fn invalid(&mut self, key: &str, place: Place, reason: String) {
        let key = self.path_of(key);
        self.survey.problems.push(Problem::Invalid { place, key, reason });
    }

    fn list_of(&mut self, key: &str, node: Node) -> Option<Vec<Node>> {
        let list = match node.value {
            Value::List(list) => Ok(list),
            Value::Untyped(text) => Node::untyped_list(&text, &node.place),
            Value::Table(_) => Err(format!("should be a list, not a section: write [[{}]]", self.path_of(key))),
            other => Err(format!("should be a list, not {}", describe(&other))),
        };
        list.map_err(|reason| self.invalid(key, node.place, reason)).ok()
    }

    fn parse_node<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str, node: Node) -> Option<T> {
        let parsed = match &node.value {
            Value::Text(text) | Value::Untyped(text) => text.parse().map_err(|error: T::Err| error.to_string()),
            other => Err(format!("should be text in quotes, not {}", describe(other))),
        };
        parsed.map_err(|reason| self.invalid(key, node.place, reason)).ok()
    }
}

/// What stands there, without showing text: it may be a secret.
fn describe(value: &Value) -> String {
    match value {
        Value::Untyped(_) | Value::Text(_) => "text".into(),
        Value::Integer(number) => format!("the number {number}"),
        Value::Boolean(boolean) => format!("{boolean}"),
        Value::List(_) => "a list".into(),
        Value::Table(_) => "a section".into(),
        Value::Other(name) => (*name).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted_as_people_make_them() {
        assert_eq!(slips("listen", "listen"), 0);
        assert_eq!(slips("lisen", "listen"), 1);
        assert_eq!(slips("listne", "listen"), 2);
        assert_eq!(slips("", "abc"), 3);
    }

    #[test]
    fn the_nearest_key_is_a_slip_away_or_has_the_name_in_another_section() {
        let known: Vec<String> = [
            "server",
            "server.listen",
            "server.public_url",
            "http_auth",
            "http_auth.realm",
            "oauth",
            "oauth.timestamp_window_seconds",
        ]
        .map(String::from)
        .into();
        assert_eq!(nearest("server.lisen", &known), Some("server.listen"));
        assert_eq!(nearest("server.realm", &known), Some("http_auth.realm"));
        assert_eq!(nearest("realm", &known), Some("http_auth.realm"));
        assert_eq!(nearest("server.url", &known), Some("server.public_url"));
        assert_eq!(nearest("oauth.timestamp_window", &known), Some("oauth.timestamp_window_seconds"));
        assert_eq!(nearest("oauht", &known), Some("oauth"));
        assert_eq!(nearest("server.quite_another_thing", &known), None);
    }
}
