//! The run as JUnit XML, one test suite for each section.

use std::fmt::Write;

use super::Summary;
use crate::run::Verdict;

/// The whole report.
pub fn write(summary: &Summary<'_>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = summary.count(summary.results.iter());
    let _ = writeln!(
        out,
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
        escape(summary.target),
        summary.results.len(),
        all.bad,
        all.skipped + all.known
    );
    for (section, results) in summary.by_section() {
        let count = summary.count(results.iter().copied());
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            escape(&section.id),
            results.len(),
            count.bad,
            count.skipped + count.known
        );
        for result in results {
            let _ = write!(
                out,
                "    <testcase classname=\"{} {}\" name=\"{}: {}\" time=\"{:.3}\"",
                escape(&section.id),
                result.case.level.name(),
                escape(&result.case.id),
                escape(&result.case.title),
                result.took.as_secs_f64()
            );
            match (&result.verdict, summary.known(result)) {
                (Verdict::Passed, None) => out.push_str("/>\n"),
                (Verdict::Skipped(why), _) => {
                    let _ = writeln!(out, "><skipped message=\"{}\"/></testcase>", escape(why));
                }
                (_, Some(why)) => {
                    let _ = writeln!(out, "><skipped message=\"known deviation: {}\"/></testcase>", escape(why));
                }
                (bad, None) => {
                    let reason = escape(&summary.reason(result));
                    let _ = write!(out, "><failure type=\"{}\" message=\"{reason}\">", bad.word());
                    for exchange in &result.transcript {
                        let _ = write!(
                            out,
                            "{}\n\n{}\n\n",
                            escape(&summary.request(exchange)),
                            escape(&summary.answer(exchange))
                        );
                    }
                    out.push_str("</failure></testcase>\n");
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Escapes for XML; characters that XML 1.0 can't hold are replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\r' => {}
            c if c < ' ' || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(super::escape("a<b>&\"\u{1}\r\n"), "a&lt;b&gt;&amp;&quot;\u{FFFD}\n");
    }
}
