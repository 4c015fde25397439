//! The layers as one tree: the TOML file, over it the environment, over that the flags. Each value remembers its [`Place`].
//!
//! A variable's name is `COUNTERSIGN_` and the key path in upper case with `__` between levels. Its value is text; a list is written with
//! commas or as a TOML array, a list of tables as a TOML array of inline tables. An empty value counts as not set, because composed
//! environments pass empty variables on. What Kubernetes injects for a service that happens to be called `countersign`
//! (`COUNTERSIGN_SERVICE_HOST`, `COUNTERSIGN_PORT_8080_TCP_ADDR` …) is passed over; any other unknown name is an error.
//!
//! This file knows no key but the short forms; what a key means is for the components to say.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Sources;
use super::problem::{Place, Problem};

/// The key of the master key in the tree. The file may not hold it: a file with settings gets read, copied and committed.
pub(super) const MASTER_KEY: &str = "master_key";

const PREFIX: &str = "COUNTERSIGN_";

/// Short name → key path.
const SHORT_FORMS: [(&str, &str); 5] = [
    ("COUNTERSIGN_LISTEN", "server.listen"),
    ("COUNTERSIGN_PUBLIC_URL", "server.public_url"),
    ("COUNTERSIGN_DATABASE_URL", "database.url"),
    ("COUNTERSIGN_REDIS_URL", "redis.url"),
    ("COUNTERSIGN_MASTER_KEY", MASTER_KEY),
];

/// The variable that names the configuration file; the command line reads it, so it is no setting.
pub const FILE_VARIABLE: &str = "COUNTERSIGN_CONFIG";

/// The settings that are secret or may hold a secret; their variables may end in `_FILE` and then name a file that holds the value.
const SECRETS: [&str; 3] = ["database.url", "redis.url", MASTER_KEY];

pub(super) type Table = BTreeMap<String, Node>;

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub value: Value,
    pub place: Place,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    /// From the environment or a flag: its type is whatever the reader expects.
    Untyped(String),
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// A TOML type that no setting has, by its name.
    Other(&'static str),
}

impl Node {
    /// The list that an environment variable means: a TOML array, or words between commas.
    pub fn untyped_list(text: &str, place: &Place) -> Result<Vec<Node>, String> {
        if text.trim_start().starts_with('[') {
            let value = DeValue::parse(text).map_err(|error| format!("should be a TOML array: {}", error.message()))?;
            return match convert(value.get_ref(), &|_| place.clone()) {
                Value::List(list) => Ok(list),
                _ => Err("should be a TOML array".into()),
            };
        }
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        Ok(words.map(|word| Node { value: Value::Untyped(word.into()), place: place.clone() }).collect())
    }
}

pub(super) fn empty() -> Node {
    Node { value: Value::Table(Table::new()), place: Place::Default }
}

/// Lays the layers over each other. What can't be read becomes a problem, and the rest goes on.
pub(super) fn assemble(sources: Sources, problems: &mut Vec<Problem>) -> Node {
    let mut root = match &sources.file {
        Some(path) => read_file(path, problems),
        None => empty(),
    };
    for (key_path, name, text) in variables(sources.environment, problems) {
        insert(&mut root, &key_path, text, Place::Variable(name), problems);
    }
    let flags = sources.flags;
    for (name, key_path, text) in [
        ("--listen", "server.listen", flags.listen),
        ("--public-url", "server.public_url", flags.public_url),
        ("--database-url", "database.url", flags.database_url),
    ] {
        if let Some(text) = text {
            insert(&mut root, key_path, text, Place::Flag(name), problems);
        }
    }
    root
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Node {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::Unreadable { path: path.into(), reason: error.to_string() });
            return empty();
        }
    };
    let place = |offset: usize| Place::File { path: path.into(), line: line_of(&text, offset) };
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let place = place(error.span().map_or(0, |span| span.start));
        problems.push(Problem::Syntax { place, reason: format!("this is not TOML: {}", error.message()) });
    }
    let mut root = Node { value: Value::Table(convert_table(table.get_ref(), &place)), place: place(0) };
    if let Value::Table(table) = &mut root.value
        && let Some(node) = table.remove(MASTER_KEY)
    {
        problems.push(Problem::Invalid {
            place: node.place,
            key: MASTER_KEY.into(),
            reason: "it does not belong in the file: give it in COUNTERSIGN_MASTER_KEY or COUNTERSIGN_MASTER_KEY_FILE"
                .into(),
        });
    }
    root
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Table {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let node = Node { value: convert(value.get_ref(), place), place: place(key.span().start) };
        (key.get_ref().to_string(), node)
    };
    table.iter().map(entry).collect()
}

fn convert(value: &DeValue<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number that is too large"),
        },
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Array(list) => {
            let item = |item: &Spanned<DeValue<'_>>| Node {
                value: convert(item.get_ref(), place),
                place: place(item.span().start),
            };
            Value::List(list.iter().map(item).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(table, place)),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
    }
}

/// The variables that are ours, as (key path, name, value).
fn variables(environment: Vec<(OsString, OsString)>, problems: &mut Vec<Problem>) -> Vec<(String, String, String)> {
    let mut found: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut environment = environment;
    environment.sort();
    for (name, value) in environment {
        let Some(name) =
            name.to_str().filter(|name| name.starts_with(PREFIX) && *name != FILE_VARIABLE && !injected(name))
        else {
            continue;
        };
        let place = Place::Variable(name.into());
        let Some(value) = value.to_str() else {
            problems.push(Problem::Syntax { place, reason: "the value is not UTF-8".into() });
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let (key_path, from_file) = key_path_of(name);
        let value = match from_file {
            false => value.to_owned(),
            true => match std::fs::read_to_string(value) {
                Ok(text) => without_line_end(&text).to_owned(),
                Err(error) => {
                    problems.push(Problem::Syntax {
                        place,
                        reason: format!("cannot read the file {}: {error}", PathBuf::from(value).display()),
                    });
                    continue;
                }
            },
        };
        if let Some((first, _)) = found.get(&key_path) {
            problems.push(Problem::SetTwice { first: first.clone(), second: name.into() });
            continue;
        }
        found.insert(key_path, (name.into(), value));
    }
    found.into_iter().map(|(key_path, (name, value))| (key_path, name, value)).collect()
}

/// The key path that a variable means, and whether its value is the path of a file that holds the setting.
fn key_path_of(name: &str) -> (String, bool) {
    let direct = plain_key_path(name);
    match name.strip_suffix("_FILE").map(plain_key_path) {
        Some(key_path) if SECRETS.contains(&key_path.as_str()) => (key_path, true),
        _ => (direct, false),
    }
}

fn plain_key_path(name: &str) -> String {
    match SHORT_FORMS.iter().find(|(short, _)| *short == name) {
        Some((_, key_path)) => (*key_path).to_owned(),
        None => name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase().replace("__", "."),
    }
}

/// How a key path is written as a variable.
pub(super) fn variable_of(key_path: &str) -> String {
    match SHORT_FORMS.iter().find(|(_, path)| *path == key_path) {
        Some((short, _)) => (*short).to_owned(),
        None => format!("{PREFIX}{}", key_path.to_ascii_uppercase().replace('.', "__")),
    }
}

/// What Kubernetes sets for a service named `countersign` or `countersign-…`.
fn injected(name: &str) -> bool {
    let is_port = |rest: &str| {
        let mut parts = rest.split('_');
        let number =
            parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        number
            && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
            && matches!(parts.next(), None | Some("ADDR" | "PORT" | "PROTO"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, found)| name.get(at + found.len()..).is_some_and(is_port))
}

/// The text without one line end; a file made by `echo` has one, and no more than one is meant.
pub fn without_line_end(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

/// Puts a value from the environment or a flag at its place, over what the file says.
fn insert(root: &mut Node, key_path: &str, text: String, place: Place, problems: &mut Vec<Problem>) {
    let mut node = root;
    let mut segments = key_path.split('.').peekable();
    while let Some(segment) = segments.next() {
        let Value::Table(table) = &mut node.value else {
            let reason = format!("{} sets the whole of it already", node.place);
            problems.push(Problem::Invalid { place, key: key_path.into(), reason });
            return;
        };
        if segments.peek().is_none() {
            let is_section = matches!(table.get(segment), Some(Node { value: Value::Table(_), .. }));
            if is_section {
                problems.push(Problem::Invalid {
                    place,
                    key: key_path.into(),
                    reason: "it is a section: set the keys in it".into(),
                });
            } else {
                table.insert(segment.into(), Node { value: Value::Untyped(text), place });
            }
            return;
        }
        node = table
            .entry(segment.into())
            .or_insert_with(|| Node { value: Value::Table(Table::new()), place: place.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_its_key_path() {
        assert_eq!(
            key_path_of("COUNTERSIGN_OAUTH__TIMESTAMP_WINDOW_SECONDS"),
            ("oauth.timestamp_window_seconds".into(), false)
        );
        assert_eq!(key_path_of("COUNTERSIGN_LISTEN"), ("server.listen".into(), false));
        assert_eq!(key_path_of("COUNTERSIGN_DATABASE__URL_FILE"), ("database.url".into(), true));
        assert_eq!(key_path_of("COUNTERSIGN_MASTER_KEY_FILE"), ("master_key".into(), true));
        assert_eq!(key_path_of("COUNTERSIGN_UPSTREAM__URL_FILE"), ("upstream.url_file".into(), false));
    }

    #[test]
    fn every_short_form_is_written_back_as_itself() {
        for (short, key_path) in SHORT_FORMS {
            assert_eq!(variable_of(key_path), short);
        }
        assert_eq!(variable_of("jwt.ttl_seconds"), "COUNTERSIGN_JWT__TTL_SECONDS");
    }

    #[test]
    fn what_kubernetes_injects_is_passed_over_and_nothing_else() {
        for name in [
            "COUNTERSIGN_SERVICE_HOST",
            "COUNTERSIGN_SERVICE_PORT",
            "COUNTERSIGN_SERVICE_PORT_HTTP",
            "COUNTERSIGN_PORT",
            "COUNTERSIGN_PORT_8080_TCP",
            "COUNTERSIGN_PORT_8080_TCP_ADDR",
            "COUNTERSIGN_DB_PORT_5432_TCP_PROTO",
        ] {
            assert!(injected(name), "{name}");
        }
        for name in ["COUNTERSIGN_LISTEN", "COUNTERSIGN_PORTS", "COUNTERSIGN_PORT_HTTP", "COUNTERSIGN_SERVER__LISTEN"] {
            assert!(!injected(name), "{name}");
        }
    }

    #[test]
    fn one_line_end_is_taken_off_and_no_more() {
        assert_eq!(without_line_end("a\n"), "a");
        assert_eq!(without_line_end("a\r\n"), "a");
        assert_eq!(without_line_end("a\n\n"), "a\n");
        assert_eq!(without_line_end("a \r"), "a \r");
    }

    #[test]
    fn a_list_in_a_variable_has_commas_or_is_a_toml_array() {
        let place = Place::Variable("X".into());
        let words = |text| -> Vec<Value> {
            Node::untyped_list(text, &place).unwrap().into_iter().map(|node| node.value).collect()
        };
        assert_eq!(words("a, b,"), [Value::Untyped("a".into()), Value::Untyped("b".into())]);
        assert_eq!(words(r#"["a,b"]"#), [Value::Text("a,b".into())]);
        assert!(Node::untyped_list("[a", &place).is_err());
    }
}
