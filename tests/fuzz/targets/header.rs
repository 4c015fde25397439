//! The grammar of `Authorization`: it ends, and what a challenge quotes comes back.
#![no_main]

use countersign::protocol::header::{Challenge, Credentials};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    let credentials = Credentials::parse(header);
    assert!(credentials.parameters().count() <= header.len());
    let printable: String = header.chars().filter(|character| !character.is_control()).collect();
    let challenge = Challenge::new("OAuth").quoted("realm", &printable).to_string();
    let mut parameters = Credentials::parse(&challenge).parameters();
    let realm = parameters.next().expect("a parameter").expect("well formed");
    assert_eq!((realm.name, realm.value.as_ref()), ("realm", printable.as_str()));
    assert!(parameters.next().is_none());
});
