//! The way out to the terminal: data on stdout as a table or as JSON, messages on stderr.
//!
//! Both forms are made from the same JSON shape, so that they can't tell different things. A table of many shows chosen columns; of one
//! alone it shows all fields in their order, which `preserve_order` of `serde_json` keeps.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

/// How data are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// One JSON document for programs; a list is an array.
    Json,
}

/// `--format`, for every command that answers with data.
#[derive(Clone, Copy, Debug, Args)]
pub struct FormatArgs {
    /// How to write the answer [default: table on a terminal, else json]
    #[arg(long, value_enum, global = true, help_heading = "Settings")]
    format: Option<Format>,
}

impl FormatArgs {
    /// What was asked for, or what suits the reader.
    pub fn format(self) -> Format {
        self.format.unwrap_or_else(|| if io::stdout().is_terminal() { Format::Table } else { Format::Json })
    }

    /// Whether JSON was asked for by name: for what is text unless told.
    pub fn wants_json(self) -> bool {
        self.format == Some(Format::Json)
    }
}

/// Something with named fields.
pub trait Shape: Serialize {
    /// The fields that a table of many has, in order.
    const COLUMNS: &'static [&'static str];
}

/// Writes many.
///
/// # Errors
/// Stdout can't be written to.
pub fn list<S: Shape>(format: Format, items: &[S]) -> io::Result<()> {
    match format {
        Format::Json => json(items),
        Format::Table => print(&table(S::COLUMNS, items)?),
    }
}

/// Writes one.
///
/// # Errors
/// Stdout can't be written to.
pub fn one<S: Shape>(format: Format, item: &S) -> io::Result<()> {
    match format {
        Format::Json => json(item),
        Format::Table => print(&record(item)?),
    }
}

/// Writes any JSON.
///
/// # Errors
/// Stdout can't be written to.
pub fn json(value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Writes text as it is. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// Stdout can't be written to.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Tells the person something that is no data. If stderr is gone, there is nobody to tell.
pub fn say(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}

fn table<S: Serialize>(columns: &[&str], items: &[S]) -> serde_json::Result<String> {
    let mut rows = vec![columns.iter().map(|name| heading(name)).collect::<Vec<_>>()];
    for item in items {
        let item = serde_json::to_value(item)?;
        rows.push(columns.iter().map(|name| cell(item.get(name))).collect());
    }
    Ok(align(&rows))
}

fn record(item: &impl Serialize) -> serde_json::Result<String> {
    let item = serde_json::to_value(item)?;
    let fields = item.as_object().into_iter().flatten();
    Ok(align(&fields.map(|(name, value)| vec![name.clone(), cell(Some(value))]).collect::<Vec<_>>()))
}

fn heading(name: &str) -> String {
    name.to_uppercase().replace('_', " ")
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        // A name that somebody chose must not move the cursor of whoever lists it.
        Some(Value::String(text)) => {
            text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
        }
        Some(Value::Array(list)) if list.is_empty() => "-".to_owned(),
        Some(Value::Array(list)) => list.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(" "),
        Some(other @ (Value::Number(_) | Value::Object(_))) => other.to_string(),
    }
}

/// Pads each column but the last to its widest cell.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Thing {
        name: &'static str,
        scopes: Vec<&'static str>,
        company: Option<&'static str>,
        on: bool,
    }

    const THINGS: [Thing; 2] = [
        Thing { name: "a\u{1b}[2Jb", scopes: Vec::new(), company: Some("acme"), on: true },
        Thing { name: "longer name", scopes: Vec::new(), company: None, on: false },
    ];

    #[test]
    fn a_table_is_aligned_and_has_no_space_at_its_line_ends() {
        let text = table(&["name", "company", "scopes"], &THINGS).unwrap();
        assert_eq!(text, "NAME         COMPANY  SCOPES\na [2Jb       acme     -\nlonger name  -        -\n");
    }

    #[test]
    fn one_thing_has_a_line_for_each_field_that_it_has() {
        let thing = Thing { name: "x", scopes: vec!["a:read", "b:read"], company: None, on: true };
        assert_eq!(record(&thing).unwrap(), "name     x\nscopes   a:read b:read\ncompany  -\non       yes\n");
    }
}
