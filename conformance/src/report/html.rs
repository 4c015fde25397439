//! The run as one HTML page that needs nothing beside itself: no script, no font, no picture.

use std::fmt::Write;

use super::{LEVELS, Summary};
use crate::run::Result as CaseResult;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--bad:#c62828;--known:#9a6700;--dim:#777}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right}.passes,.passed{color:var(--good)}.fails,.failed,.unclear{color:var(--bad)}.deviates,.known{color:var(--known)}
.skipped,.none{color:var(--dim)}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#8881;padding:.6rem;border-left:3px solid var(--line);font-size:.85rem}
section{margin:2.5rem 0}details{margin:.5rem 0}summary{cursor:pointer}code{font-size:.9em}.level{font-size:.8em;border:1px solid var(--line);padding:0 .35rem}
";

/// The whole page.
pub fn write(summary: &Summary<'_>) -> String {
    let mut out = String::new();
    let title = format!("{}: OAuth 1.0a conformance", escape(summary.target));
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    totals(&mut out, summary);
    overview(&mut out, summary);
    for (section, results) in summary.by_section() {
        let count = summary.count(results.iter().copied());
        let _ = write!(
            out,
            "<section id=\"{}\"><h2>{} · {} <span class=\"{}\">{}</span></h2>\n<p>{}</p>\n",
            anchor(&section.id),
            escape(&section.id),
            escape(&section.title),
            class(count.verdict()),
            count.verdict(),
            escape(&section.says)
        );
        for result in results {
            case(&mut out, summary, result);
        }
        out.push_str("</section>\n");
    }
    out.push_str("</body></html>\n");
    out
}

fn totals(out: &mut String, summary: &Summary<'_>) {
    out.push_str("<table><tr><th>level<th class=n>passed<th class=n>failed<th class=n>known<th class=n>not run</tr>\n");
    for level in LEVELS {
        let c = summary.level(level);
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            level.name(),
            c.passed,
            c.bad,
            c.known,
            c.skipped
        );
    }
    out.push_str("</table>\n");
}

fn overview(out: &mut String, summary: &Summary<'_>) {
    out.push_str("<h2>Sections</h2>\n<table><tr><th>section<th><th>verdict<th class=n>passed<th class=n>failed<th class=n>known<th class=n>not run</tr>\n");
    for (section, results) in summary.by_section() {
        let c = summary.count(results.into_iter());
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#{}\">{}</a><td>{}<td class=\"{}\">{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            anchor(&section.id),
            escape(&section.id),
            escape(&section.title),
            class(c.verdict()),
            c.verdict(),
            c.passed,
            c.bad,
            c.known,
            c.skipped
        );
    }
    out.push_str("</table>\n");
}

fn case(out: &mut String, summary: &Summary<'_>, result: &CaseResult) {
    let known = summary.known(result);
    let word = if known.is_some() { "known" } else { result.verdict.word() };
    let open = if result.verdict.is_bad() && known.is_none() { " open" } else { "" };
    let _ = writeln!(
        out,
        "<details{open}><summary><span class=\"{word}\">{word}</span> <span class=level>{}</span> {} <code>{}</code></summary>",
        result.case.level.name(),
        escape(&result.case.title),
        escape(&result.case.id)
    );
    if let Some(says) = &result.case.says {
        let _ = writeln!(out, "<p>{}</p>", escape(says));
    }
    if !result.verdict.reason().is_empty() {
        let _ = writeln!(out, "<p><strong>{}</strong></p>", escape(&summary.reason(result)));
    }
    if let Some(why) = known {
        let _ = writeln!(out, "<p class=known>Known deviation: {}</p>", escape(why));
    }
    if let Some(why) = &result.case.disputed {
        let _ = writeln!(out, "<p>Disputed: {}</p>", escape(why));
    }
    if result.verdict.is_bad() {
        for exchange in &result.transcript {
            let (request, answer) = (summary.request(exchange), summary.answer(exchange));
            let _ = writeln!(
                out,
                "<p>{}</p><pre>{}</pre><pre>{}</pre>",
                escape(&exchange.note),
                escape(&request),
                escape(&answer)
            );
        }
    }
    out.push_str("</details>\n");
}

fn class(verdict: &str) -> &str {
    if verdict == "not run" { "none" } else { verdict }
}

fn anchor(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
