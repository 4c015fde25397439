//! The run as JSON: one object, a list of cases in it, the exchanges of those that did not pass.

use serde_json::{Value, json};

use super::{LEVELS, Summary};

/// The whole report.
pub fn write(summary: &Summary<'_>) -> String {
    let cases: Vec<Value> = summary
        .results
        .iter()
        .map(|result| {
            let exchanges: Vec<Value> = if result.verdict.is_bad() {
                let one = |e| json!({ "note": note(e), "request": summary.request(e), "answer": summary.answer(e) });
                result.transcript.iter().map(one).collect()
            } else {
                vec![]
            };
            json!({
                "id": result.case.id,
                "title": result.case.title,
                "section": result.case.rfc,
                "level": result.case.level,
                "verdict": result.verdict.word(),
                "reason": summary.reason(result),
                "known_deviation": summary.known(result),
                "disputed": result.case.disputed,
                "milliseconds": u64::try_from(result.took.as_millis()).unwrap_or(u64::MAX),
                "exchanges": exchanges,
            })
        })
        .collect();
    let levels: serde_json::Map<String, Value> = LEVELS
        .into_iter()
        .map(|level| {
            let count = summary.level(level);
            let value =
                json!({ "passed": count.passed, "failed": count.bad, "known": count.known, "skipped": count.skipped });
            (level.name().to_owned(), value)
        })
        .collect();
    let report = json!({ "target": summary.target, "levels": levels, "failure": summary.is_failure(), "cases": cases });
    format!("{report:#}\n")
}

fn note(exchange: &crate::line::Exchange) -> &str {
    &exchange.note
}
