//! Just enough HTML to fill in a form: forms with their fields and buttons, the text of an element by its id, and addresses.
//!
//! It runs no script and applies no style. Broken markup gives fewer forms, never an error.

use crate::encoding::Pair;

/// A form of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it goes, as written; empty for the page itself.
    pub action: String,
    /// `get` or `post`, in lower case.
    pub method: String,
    /// What is sent without pressing any named button.
    pub fields: Vec<Pair>,
    /// What named buttons would add.
    pub buttons: Vec<Pair>,
}

impl Form {
    /// Whether a field or button has this name.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().chain(&self.buttons).any(|(n, _)| n == name)
    }

    /// Gives a field its value, and adds it when it is not there.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(n, _)| n == name) {
            Some(field) => field.1 = value.to_owned(),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// The forms of a page, in order.
pub fn forms(page: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open: Option<Form> = None;
    let mut select: Option<(String, bool)> = None;
    let mut tags = Tags { rest: page };
    while let Some(tag) = tags.next() {
        match tag.name.as_str() {
            "form" => {
                forms.extend(open.take());
                open = Some(Form {
                    action: tag.value("action"),
                    method: Some(tag.value("method").to_ascii_lowercase())
                        .filter(|m| !m.is_empty())
                        .unwrap_or("get".into()),
                    ..Form::default()
                });
            }
            "/form" => forms.extend(open.take()),
            _ => {
                if let Some(form) = &mut open {
                    read_control(form, &tag, &mut select, tags.rest);
                }
            }
        }
    }
    forms.extend(open);
    forms
}

fn read_control(form: &mut Form, tag: &Tag, select: &mut Option<(String, bool)>, rest: &str) {
    let pair = (tag.value("name"), tag.value("value"));
    if tag.has("disabled") {
        return;
    }
    match tag.name.as_str() {
        "input" => match tag.value("type").to_ascii_lowercase().as_str() {
            "submit" | "image" => form.buttons.push(pair),
            "button" | "reset" | "file" => {}
            "checkbox" | "radio" if !tag.has("checked") => {}
            "checkbox" | "radio" if !tag.has("value") => form.fields.push((pair.0, "on".into())),
            _ if pair.0.is_empty() => {}
            _ => form.fields.push(pair),
        },
        "button" if matches!(tag.value("type").to_ascii_lowercase().as_str(), "" | "submit") => form.buttons.push(pair),
        "textarea" => {
            let text = rest.split("</textarea").next().unwrap_or_default();
            form.fields.push((pair.0, decode_entities(text)));
        }
        "select" => *select = Some((pair.0, false)),
        "/select" => *select = None,
        "option" => {
            if let Some((name, chosen)) = select
                && (!*chosen || tag.has("selected"))
            {
                form.set(&name.clone(), &pair.1);
                *chosen = true;
            }
        }
        _ => {}
    }
}

/// The text of the element with this id, without tags and without space around it.
pub fn text_of(page: &str, id: &str) -> Option<String> {
    let mut tags = Tags { rest: page };
    while let Some(tag) = tags.next() {
        if tag.value("id") != id {
            continue;
        }
        if tag.has("value") {
            return Some(tag.value("value"));
        }
        let end = tags.rest.find(&format!("</{}", tag.name)).unwrap_or(tags.rest.len());
        let inside = tags.rest.get(..end)?;
        let mut text = String::new();
        let mut in_tag = false;
        for c in inside.chars() {
            match c {
                '<' => in_tag = true,
                '>' => in_tag = false,
                c if !in_tag => text.push(c),
                _ => {}
            }
        }
        return Some(decode_entities(text.trim()));
    }
    None
}

/// Addresses that a page leads to: links, and a refresh in its head.
pub fn addresses(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut tags = Tags { rest: page };
    while let Some(tag) = tags.next() {
        if tag.name == "a" {
            found.push(tag.value("href"));
        }
        if tag.name == "meta" && tag.value("http-equiv").eq_ignore_ascii_case("refresh") {
            let content = tag.value("content");
            if let Some((_, address)) = content.split_once(['=']) {
                found.push(address.trim().trim_matches(['\'', '"']).to_owned());
            }
        }
    }
    found
}

struct Tag {
    name: String,
    attributes: Vec<Pair>,
}

impl Tag {
    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(n, _)| n == name)
    }

    fn value(&self, name: &str) -> String {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default()
    }
}

struct Tags<'a> {
    rest: &'a str,
}

impl Tags<'_> {
    fn next(&mut self) -> Option<Tag> {
        loop {
            let (_, after) = self.rest.split_once('<')?;
            if let Some(comment) = after.strip_prefix("!--") {
                self.rest = comment.split_once("-->")?.1;
                continue;
            }
            let (tag, rest) = read_tag(after)?;
            self.rest = rest;
            if tag.name == "script" || tag.name == "style" {
                let end = format!("</{}", tag.name);
                self.rest = self.rest.find(&end).and_then(|at| self.rest.get(at..)).unwrap_or_default();
                continue;
            }
            return Some(tag);
        }
    }
}

fn read_tag(text: &str) -> Option<(Tag, &str)> {
    let end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
    let name = text.get(..end)?.trim_end_matches('/').to_ascii_lowercase();
    let mut rest = text.get(end..)?;
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return Some((Tag { name, attributes }, after));
        }
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        let attribute = rest.get(..end)?.to_ascii_lowercase();
        rest = rest.get(end..)?.trim_start();
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            let (raw, behind) = match quote {
                Some(quote) => after.get(1..)?.split_once(quote)?,
                None => after.split_at(after.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(after.len())),
            };
            value = decode_entities(raw);
            rest = behind;
        } else if end == 0 {
            // A stray quote or `=`: passed over, so that this always comes to an end.
            rest = rest.get(rest.chars().next().map_or(0, char::len_utf8)..)?;
            continue;
        }
        attributes.push((attribute, value));
    }
}

fn decode_entities(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let known = after.split_once(';').and_then(|(name, behind)| Some((entity(name)?, behind)));
        match known {
            Some((c, behind)) => {
                out.push(c);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!doctype html><!-- <form action=no> --><script>"<form>"</script>
        <form method=POST action="/a?x=1&amp;y=2"><input type=hidden name=csrf_token value='a&#x2F;b'>
        <label><input type="checkbox" name="scope" value="r" checked></label><input type=checkbox name=scope value=w>
        <select name=s><option value=1><option value=2 selected></select><textarea name=t>a &lt; b</textarea>
        <button name="decision" value="allow">Allow</button><button name=decision value=deny>Deny</button></form>
        <p id="verifier"> <b>12</b>-34 </p><a href="http://c/?a=1&amp;b=2">x</a>"#;

    #[test]
    fn a_form_is_read_as_a_browser_would_send_it() {
        let forms = forms(PAGE);
        assert_eq!(forms.len(), 1);
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!((forms[0].action.as_str(), forms[0].method.as_str()), ("/a?x=1&y=2", "post"));
        assert_eq!(
            forms[0].fields,
            [pair("csrf_token", "a/b"), pair("scope", "r"), pair("s", "2"), pair("t", "a < b")]
        );
        assert_eq!(forms[0].buttons, [pair("decision", "allow"), pair("decision", "deny")]);
    }

    #[test]
    fn texts_and_addresses_are_found() {
        assert_eq!(text_of(PAGE, "verifier").as_deref(), Some("12-34"));
        assert_eq!(text_of(PAGE, "nothing"), None);
        assert_eq!(addresses(PAGE), ["http://c/?a=1&b=2"]);
    }

    #[test]
    fn broken_markup_comes_to_an_end() {
        for page in [
            "<",
            "<form",
            "<form =",
            "<form \"",
            "<a b='",
            "<form><input '>",
            "<!--",
            "<script>",
            "&#xFFFFFFFF;",
            "<é <form <",
        ] {
            let _ = (forms(page), text_of(page, "x"), addresses(page));
        }
    }
}
