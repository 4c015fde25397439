//! What may be shown of a text that a client sent.

use zeroize::Zeroizing;

use super::rebuilding::{decode_freely, decode_latin1};
use crate::protocol::encoding::encode;

/// What stands for a secret: no letter, so that no secret of letters and digits can be a part of it.
const STRUCK_OUT: &str = "***";
/// How often a value can be encoded in any base string that is written here.
const DEPTH: usize = 5;

/// The text with every trace of the secrets struck out; `None` when one could still be read out of it.
///
/// A client may send its secret as a parameter by mistake, and then it is in the base string, encoded once or more.
pub fn without_secrets(text: &str, secrets: &[&str]) -> Option<String> {
    let mut secrets: Vec<&str> = secrets.iter().copied().filter(|secret| !secret.is_empty()).collect();
    // A short one may be a part of a longer one, whose rest must not stay.
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut shown = Zeroizing::new(text.to_owned());
    for secret in &secrets {
        let mut spelled = vec![Zeroizing::new((*secret).to_owned())];
        for _ in 0..DEPTH {
            let deeper = spelled.last().map(|last| Zeroizing::new(encode(last).into_owned()));
            spelled.extend(deeper);
        }
        // The longest spelling first: a shorter one may be a part of it.
        for spelled in spelled.iter().rev() {
            shown = Zeroizing::new(shown.replace(spelled.as_str(), STRUCK_OUT));
        }
    }
    let reads: [fn(&str) -> String; 2] = [decode_freely, decode_latin1];
    let readable = reads.into_iter().any(|decode| {
        [false, true].into_iter().any(|plus_is_space| {
            let mut reading = shown.clone();
            (0..=DEPTH).any(|_| {
                let read = holds_one(&reading, &secrets);
                let spaced = if plus_is_space { reading.replace('+', "%20") } else { (*reading).clone() };
                reading = Zeroizing::new(decode(&spaced));
                read || holds_one(&reading, &secrets)
            })
        })
    });
    (!readable).then(|| shown.to_string())
}

/// Whether one of the secrets is in the text, also where UTF-8 was taken for Latin-1 on its way.
fn holds_one(reading: &str, secrets: &[&str]) -> bool {
    let mut reading = Zeroizing::new(reading.to_owned());
    (0..DEPTH).any(|_| {
        if secrets.iter().any(|secret| reading.contains(secret)) {
            return true;
        }
        if !reading.is_ascii() {
            let octets = reading.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?'));
            let octets = Zeroizing::new(octets.collect::<Vec<_>>());
            reading = Zeroizing::new(String::from_utf8_lossy(&octets).into_owned());
        }
        false
    })
}
