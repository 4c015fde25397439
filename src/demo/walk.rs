//! The walk: one OAuth dance, one call with the access token, one with Basic. Every step is printed as it was sent.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::distr::{Alphanumeric, SampleString};

use super::Seeds;
use super::browser::{Answer, Browser};
use crate::domain::credentials::Secret;
use crate::protocol::client::{ClientRequest, RequestUrl, SignedRequest};
use crate::protocol::encoding::{Plus, decode, encode};
use crate::protocol::oauth;
use crate::protocol::signature::{SharedSecrets, SignatureMethod, SigningKey};
use crate::time::Clock;

/// A token and its secret, as the app has it.
pub struct AppToken {
    token: String,
    secret: Secret,
}

/// Walks the dance. Returns the access token.
///
/// # Errors
/// A step that did not do what it should.
pub async fn walk(origin: &str, seeds: &Seeds) -> anyhow::Result<AppToken> {
    let mut app = Browser::new();
    say!("1. The app asks for a request token (RFC 5849 §2.1)");
    let url = format!("{origin}/oauth/request_token");
    let answer =
        send_signed(&mut app, seeds, None, "POST", &url, &[(oauth::CALLBACK, "http://127.0.0.1:9000/ready")]).await?;
    let request_token = read_token(&answer)?;

    say!("2. The account holder logs in and allows it (RFC 5849 §2.2)");
    let verifier = allow(origin, seeds, &request_token).await?;

    say!("3. The app turns the request token into an access token (RFC 5849 §2.3)");
    let url = format!("{origin}/oauth/access_token");
    let answer =
        send_signed(&mut app, seeds, Some(&request_token), "POST", &url, &[(oauth::VERIFIER, &verifier)]).await?;
    let access_token = read_token(&answer)?;

    say!("4. The app calls the API with the access token (RFC 5849 §3)");
    send_signed(&mut app, seeds, Some(&access_token), "GET", &format!("{origin}/v2/me"), &[]).await?;
    say!("   ... and the sample API behind the proxy, which never sees a credential");
    send_signed(&mut app, seeds, Some(&access_token), "GET", &format!("{origin}/photos?size=original"), &[]).await?;

    say!("5. A script of the same owner calls with Basic and the client key (RFC 7617)");
    let password = format!("{}:{}", seeds.username, seeds.password.expose());
    let basic = format!("Basic {}", STANDARD.encode(password));
    say!("   GET {origin}/v2/me");
    say!("   Authorization: {basic}");
    say!("   X-Client-Key: {}", seeds.client_key);
    let headers = [("authorization", basic.as_str()), ("x-client-key", seeds.client_key.as_str())];
    let answer = app.send("GET", &format!("{origin}/v2/me"), &headers, None).await?;
    show(&answer)?;
    Ok(access_token)
}

/// Logs in and allows as a browser would; returns the verifier that the callback carries.
async fn allow(origin: &str, seeds: &Seeds, request_token: &AppToken) -> anyhow::Result<String> {
    let mut browser = Browser::new();
    let page = format!("{origin}/oauth/authorize?oauth_token={}", encode(&request_token.token));
    say!("   GET {page}");
    let login = browser.send("GET", &page, &[], None).await?;
    let form = format!(
        "csrf_token={}&username={}&password={}",
        encode(&login.hidden_field("csrf_token")?),
        encode(seeds.username),
        encode(seeds.password.expose())
    );
    say!("   POST {page}   (username, password)");
    let answer = browser.send("POST", &page, &[], Some(form)).await?;
    if answer.location.is_none() {
        bail!("the login was answered with {}: {}", answer.status, answer.body);
    }
    let consent = browser.send("GET", &page, &[], None).await?;
    let form = format!(
        "csrf_token={}&oauth_token={}&scope=photos%3Aread&scope=photos%3Aprint&decision=allow",
        encode(&consent.hidden_field("csrf_token")?),
        encode(&request_token.token)
    );
    say!("   POST {page}   (decision=allow, scope=photos:read, scope=photos:print)");
    let answer = browser.send("POST", &page, &[], Some(form)).await?;
    let location = answer.location.with_context(|| format!("no redirect after allow: {}", answer.body))?;
    say!("   -> {} {location}\n", answer.status);
    let (_, query) = location.split_once('?').context("the callback has no query")?;
    form_value(query, oauth::VERIFIER)
}

async fn send_signed(
    app: &mut Browser,
    seeds: &Seeds,
    token: Option<&AppToken>,
    method: &str,
    url: &str,
    more: &[(&str, &str)],
) -> anyhow::Result<Answer> {
    let nonce = Alphanumeric.sample_string(&mut rand::rng(), 16);
    let request = ClientRequest {
        method,
        url: RequestUrl::parse(url)?,
        form: None,
        client_key: seeds.client_key.as_str(),
        token: token.map(|token| token.token.as_str()),
        signature_method: SignatureMethod::HmacSha1,
        timestamp: Clock::system().now(),
        nonce: &nonce,
        more,
    };
    let secrets =
        SharedSecrets { client: seeds.client_secret.expose(), token: token.map_or("", |token| token.secret.expose()) };
    let SignedRequest { base_string, authorization } = request.sign(&SigningKey::Shared(secrets))?;
    say!("   {method} {url}");
    say!("   base string: {base_string}");
    say!("   Authorization: {authorization}");
    let answer = app.send(method, url, &[("authorization", &authorization)], None).await?;
    show(&answer)?;
    Ok(answer)
}

fn show(answer: &Answer) -> anyhow::Result<()> {
    say!("   -> {} {}\n", answer.status, answer.body);
    if answer.status != 200 {
        bail!("this step should have been answered with 200");
    }
    Ok(())
}

fn read_token(answer: &Answer) -> anyhow::Result<AppToken> {
    Ok(AppToken {
        token: form_value(&answer.body, oauth::TOKEN)?,
        secret: Secret::new(form_value(&answer.body, oauth::TOKEN_SECRET)?),
    })
}

fn form_value(form: &str, name: &str) -> anyhow::Result<String> {
    let value = form.split('&').filter_map(|pair| pair.split_once('=')).find(|(sent, _)| *sent == name);
    let (_, value) = value.with_context(|| format!("{name} is missing in {form}"))?;
    Ok(String::from_utf8_lossy(&decode(value, Plus::IsSpace)?).into_owned())
}

/// Commands that work when they are pasted, as long as this runs.
///
/// # Errors
/// Nobody reads them.
pub fn print_commands(origin: &str, seeds: &Seeds, token: &AppToken) -> anyhow::Result<()> {
    let program = std::env::current_exe().map_or_else(|_| "countersign".to_owned(), |path| path.display().to_string());
    let Seeds { username, password, client_key, client_secret, public_key, private_key } = seeds;
    let (client_secret, password, private_key) = (client_secret.expose(), password.expose(), private_key.expose());
    let (access_token, access_secret) = (&token.token, token.secret.expose());
    say!(
        "\
The server stays up. Its pages, for {username} with the password {password}:
{origin}/developer/clients   the app, and why its signatures fail
{origin}/apps                who has access, and the way to take it back
{origin}/docs                the management API

Paste any of these into another terminal (they use curl):

# a password with the client key, Basic and Digest
curl -u '{username}:{password}' -H 'X-Client-Key: {client_key}' {origin}/v2/me
curl --digest -u '{username}:{password}' -H 'X-Client-Key: {client_key}' {origin}/v2/me

# an API key
curl -u '{public_key}:{private_key}' {origin}/v2/me

# a signed request with the access token from above
curl -H \"$('{program}' sign GET {origin}/v2/me --only header --client-key {client_key} \\
  --client-secret {client_secret} --token {access_token} --token-secret {access_secret})\" {origin}/v2/me

# the whole dance in Python: log in as {username} with the password {password} (venv: apt install python3-venv on Debian)
python3 -m venv countersign-dance
countersign-dance/bin/pip install --quiet requests-oauthlib
cat > dance.py <<'END'
from requests_oauthlib import OAuth1Session
server = \"{origin}\"
app = OAuth1Session(\"{client_key}\", \"{client_secret}\", callback_uri=\"oob\")
app.fetch_request_token(server + \"/oauth/request_token\")
print(\"Open this page, log in and allow:\")
print(app.authorization_url(server + \"/oauth/authorize\"))
code = input(\"The code that the page shows: \")
app.fetch_access_token(server + \"/oauth/access_token\", verifier=code)
print(app.get(server + \"/v2/me\").json())
print(app.get(server + \"/photos\").json())
END
countersign-dance/bin/python dance.py

Press Ctrl-C to end; nothing is kept."
    );
    Ok(())
}
