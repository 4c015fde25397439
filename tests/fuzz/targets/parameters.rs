//! Parameters of a form: normalized once, they are normalized for good.
#![no_main]

use countersign::protocol::oauth::{ProtocolParameters, mentions_oauth};
use countersign::protocol::parameters::{Parameters, Source};
use libfuzzer_sys::fuzz_target;

fn normalized(parameters: &Parameters<'_>) -> String {
    let pairs = parameters.normalized().into_iter().map(|parameter| format!("{}={}", parameter.name, parameter.value));
    pairs.collect::<Vec<_>>().join("&")
}

fuzz_target!(|form: &str| {
    let Ok(parameters) = Parameters::of_form(form, Source::Body) else { return };
    let once = normalized(&parameters);
    assert_eq!(normalized(&Parameters::of_form(&once, Source::Query).expect("canonical")), once);
    let is_signed = parameters.iter().any(|parameter| parameter.name.starts_with("oauth_"));
    assert_eq!(mentions_oauth(form), is_signed);
    let _ = ProtocolParameters::read(&parameters);
});
