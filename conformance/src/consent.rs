//! The account holder's consent, got in the way that the target file says: by its forms, by a command, or from a person.

use std::io::{BufRead, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::browser::{Browser, Decision, read_callback};
use crate::encoding::encode;
use crate::line::Line;
use crate::target::{How, Target};
use crate::variables;

/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(60);
/// How long a person may take.
const PERSON_TIME: Duration = Duration::from_secs(600);

/// Gets a decision about temporary credentials. `callback` is the one they were asked for with; `Err` says what stood in the way.
pub fn decide(
    target: &Target,
    line: &mut Line<'_>,
    token: &str,
    callback: &str,
    account: &str,
    allow: bool,
) -> Result<Decision, String> {
    let (origin, path) = target.endpoint("authorize").ok_or("the target has no endpoint `authorize`")?;
    let query = format!("oauth_token={}", encode(token));
    let address = format!("{}{path}?{query}", origin.address());
    match target.consent.how {
        How::Forms => {
            let account =
                target.account.get(account).ok_or_else(|| format!("the target file has no account `{account}`"))?;
            let mut browser = Browser::default();
            browser.open(line, &origin, &format!("{path}?{query}"), &[])?;
            browser.log_in(line, &target.consent, account)?;
            if let Some(page) = browser.page()
                && (400..500).contains(&page.status)
            {
                return Ok(Decision::Refused(page.status));
            }
            let press = if allow { "allow" } else { "deny" };
            let prepared = browser.prepare(&target.consent, press, &Default::default())?;
            browser.go(line, "send the decision", prepared)?;
            browser.decision(&target.consent, callback)
        }
        How::Command => by_command(target, &address, account, allow),
        How::Ask => ask(&address, allow),
        How::None => Err("the target file has no way to get consent".into()),
    }
}

fn by_command(target: &Target, address: &str, account: &str, allow: bool) -> Result<Decision, String> {
    let known = target.account.get(account);
    let lookup = |name: &str| match name {
        "url" => Ok(address.to_owned()),
        "decision" => Ok(if allow { "allow" } else { "deny" }.to_owned()),
        "username" => known.map(|a| a.username.clone()).ok_or("the target file has no such account".to_owned()),
        "password" => known.map(|a| a.password.clone()).ok_or("the target file has no such account".to_owned()),
        other => Err(format!("the consent command has no variable `{other}`")),
    };
    let mut words = Vec::new();
    for word in &target.consent.command {
        words.push(variables::expand::<String>(word, &lookup)?);
    }
    let (program, arguments) = words.split_first().ok_or("the consent command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("the consent command `{program}`: {e}"))?;
    let output = child.stdout.take().ok_or("the consent command has no output")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = output.take(64 * 1024).read_to_string(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let text = receiver.recv_timeout(COMMAND_TIME);
    // It has said all it has to say, or takes too long: either way it has to end.
    let _ = child.kill();
    let _ = child.wait();
    match text {
        Err(_) => Err(format!("the consent command said nothing within {COMMAND_TIME:?}")),
        Ok(Err(error)) => Err(format!("the consent command: {error}")),
        Ok(Ok(text)) => read_answer(&text),
    }
}

fn ask(address: &str, allow: bool) -> Result<Decision, String> {
    let verb = if allow { "allow" } else { "deny" };
    let mut out = std::io::stderr();
    let _ = writeln!(
        out,
        "\nOpen {address}\nand {verb} the request. Then paste the address you were sent to, or the verifier, and press Enter:"
    );
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_line(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    match receiver.recv_timeout(PERSON_TIME) {
        Ok(Ok(text)) => read_answer(&text),
        _ => Err("nobody answered".into()),
    }
}

fn read_answer(text: &str) -> Result<Decision, String> {
    let text = text.trim();
    if text.is_empty() {
        Err("neither an address nor a verifier was given".into())
    } else if text.contains("://") || text.contains("oauth_") {
        Ok(read_callback(text))
    } else {
        Ok(Decision::Granted { verifier: text.to_owned(), callback: String::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_address_or_a_verifier() {
        let granted = |v: &str, c: &str| Ok(Decision::Granted { verifier: v.into(), callback: c.into() });
        assert_eq!(read_answer("1234\n"), granted("1234", ""));
        assert_eq!(read_answer("http://c/?oauth_verifier=1"), granted("1", "http://c/?oauth_verifier=1"));
        assert!(matches!(read_answer("http://c/?oauth_problem=permission_denied"), Ok(Decision::Denied { .. })));
        assert!(read_answer(" \n").is_err());
    }
}
