//! `${…}` in texts: filled in from a lookup, with filters behind a bar, as in `${client.main.callback|encode}`.

use base64::{Engine, engine::general_purpose::STANDARD};
use toml::Value;

use crate::encoding::encode;

/// Fills in every variable of a text. `lookup` gives a variable's value or says why there is none.
///
/// ```
/// use countersign_conformance::variables::expand;
/// let lookup = |name: &str| Ok::<_, String>(format!("<{name}>"));
/// assert_eq!(expand("a ${x|encode} b", &lookup).unwrap(), "a %3Cx%3E b");
/// ```
pub fn expand<E: From<String>>(text: &str, lookup: &dyn Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let (inside, behind) = after.split_once('}').ok_or_else(|| E::from(format!("`${{{after}` is never closed")))?;
        let mut parts = inside.split('|');
        let mut value = lookup(parts.next().unwrap_or_default())?;
        for filter in parts {
            value = apply(filter, &value).ok_or_else(|| E::from(format!("no filter is called `{filter}`")))?;
        }
        out.push_str(&value);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// Fills in every text below a TOML value.
pub fn expand_value<E: From<String>>(value: &mut Value, lookup: &dyn Fn(&str) -> Result<String, E>) -> Result<(), E> {
    match value {
        Value::String(text) => *text = expand(text, lookup)?,
        Value::Array(list) => {
            for inner in list {
                expand_value(inner, lookup)?;
            }
        }
        Value::Table(table) => {
            for (_, inner) in table.iter_mut() {
                expand_value(inner, lookup)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The names of the variables in a text, filters cut off.
pub fn names(text: &str) -> Vec<String> {
    let found = text.split("${").skip(1).filter_map(|piece| piece.split_once('}'));
    found.map(|(inside, _)| inside.split('|').next().unwrap_or_default().to_owned()).collect()
}

fn apply(filter: &str, value: &str) -> Option<String> {
    Some(match filter {
        "encode" => encode(value),
        "base64" => STANDARD.encode(value),
        "upper" => value.to_uppercase(),
        "lower" => value.to_lowercase(),
        // The last character changed: another text of the same length.
        "off-by-one" => {
            let mut characters: Vec<char> = value.chars().collect();
            if let Some(last) = characters.last_mut() {
                *last = if *last == 'A' { 'B' } else { 'A' };
            }
            characters.into_iter().collect()
        }
        "half" => value.chars().take(value.chars().count() / 2).collect(),
        "reversed" => value.chars().rev().collect(),
        // A callback's scheme and the rest of it, for variations.
        "without-scheme" => value.split_once("://").map_or(value, |(_, rest)| rest).to_owned(),
        "authority" => {
            let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
            rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
        }
        "host" => {
            let authority = apply("authority", value)?;
            authority.rsplit_once(':').map_or(authority.clone(), |(host, _)| host.to_owned())
        }
        "path" => {
            let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/").to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Result<String, String> {
        match name {
            "c" => Ok("http://h:1/p".into()),
            other => Err(format!("no {other}")),
        }
    }

    #[test]
    fn filters_are_applied_in_order() {
        assert_eq!(expand("${c|path|encode}", &lookup).unwrap(), "%2Fp");
        assert_eq!(expand("${c|authority}-${c|host}", &lookup).unwrap(), "h:1-h");
        assert_eq!(expand("${c|off-by-one}", &lookup).unwrap(), "http://h:1/A");
    }

    #[test]
    fn what_is_unknown_or_broken_is_told() {
        assert!(expand("${x}", &lookup).unwrap_err().contains("no x"));
        assert!(expand("${c|y}", &lookup).unwrap_err().contains("filter"));
        assert!(expand("${c", &lookup).unwrap_err().contains("closed"));
    }
}
