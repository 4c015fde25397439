//! Where the stores are: SQLite, PostgreSQL, Redis. No address shows its password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::values::InvalidValue;

/// Where the data live. Silent: `Display` and `Debug` leave a password out.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A throw-away database in memory: `sqlite::memory:`.
    Memory,
    /// A SQLite file, as given (relative to the working directory): `sqlite://relative.db` or `sqlite:///absolute/path.db`.
    File(PathBuf),
    /// `postgres://…` or `postgresql://…`, as libpq reads it, with its password.
    Postgres(String),
}

impl DatabaseUrl {
    pub const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The SQLite file; `None` for `sqlite::memory:` and PostgreSQL.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Memory | Self::Postgres(_) => None,
        }
    }

    /// `sqlite://countersign.db`, the default.
    pub fn usual() -> Self {
        Self::File("countersign.db".into())
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<DatabaseUrl, InvalidValue> {
        if text == "sqlite::memory:" || text == "sqlite://:memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite://") {
            // SQLite would read `file:` and `?` as an address of its own.
            let is_file =
                !path.is_empty() && !path.ends_with('/') && !path.starts_with("file:") && !path.contains(['\0', '?']);
            return if is_file { Ok(Self::File(path.into())) } else { Err(InvalidValue::DatabaseUrl) };
        }
        let is_postgres = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if is_postgres { Ok(Self::Postgres(text.into())) } else { Err(InvalidValue::DatabaseUrl) }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("sqlite::memory:"),
            Self::File(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Where Redis is. Silent: `Display` and `Debug` leave a password out.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The address as it was given, with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<RedisUrl, InvalidValue> {
        let known = ["redis://", "rediss://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if known { Ok(RedisUrl(text.into())) } else { Err(InvalidValue::RedisUrl) }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// Leaves out everything that may hold a password: what stands between the user name and the last `@`, and the query (libpq takes
/// `?password=` too).
fn without_password(url: &str) -> String {
    let (shown, query) = match url.split_once('?') {
        Some((shown, _)) => (shown, "?…"),
        None => (url, ""),
    };
    let Some((scheme, rest)) = shown.split_once("://") else { return url.to_owned() };
    // A password may itself hold an unescaped `@` or `/`; only what follows the last `@` is certain to be the address.
    let rest = match rest.rsplit_once('@') {
        Some((user, address)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:…@{address}"),
            None => format!("{user}@{address}"),
        },
        None => rest.to_owned(),
    };
    format!("{scheme}://{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_address_tells_its_kind_and_its_file() {
        assert_eq!("sqlite://a/b.db".parse::<DatabaseUrl>().unwrap().sqlite_path(), Some(Path::new("a/b.db")));
        assert_eq!("sqlite:///a/b.db".parse::<DatabaseUrl>().unwrap().sqlite_path(), Some(Path::new("/a/b.db")));
        assert_eq!("sqlite::memory:".parse::<DatabaseUrl>().unwrap().sqlite_path(), None);
        assert!("postgres://u@h/d".parse::<DatabaseUrl>().unwrap().is_postgres());
        for text in
            ["", "countersign.db", "sqlite://", "sqlite:a.db", "sqlite://file:a?mode=ro", "mysql://h/d", "postgres://"]
        {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for text in
            ["postgres://u:hunter2@h/d", "postgres://u:hun/ter2@x@h/d", "postgres://h/d?user=u&password=hunter2"]
        {
            let url: DatabaseUrl = text.parse().unwrap();
            assert!(!format!("{url} {url:?}").contains("ter2"), "{url}");
        }
        let redis: RedisUrl = "redis://:hunter2@h:6379/0".parse().unwrap();
        assert_eq!(redis.to_string(), "redis://:…@h:6379/0");
    }
}
