//! `countersign demo`: a throw-away server with something in it, one dance and one Basic call against itself over real
//! HTTP, and then commands to paste.
//!
//! It uses nothing that a client could not use: requests are signed with `protocol/client`, pages are read as a browser
//! would, and every step prints what it sent.

/// Prints a line. A reader that has gone away ends the demonstration, and is no reason to panic.
macro_rules! say {
    ($($text:tt)*) => {
        std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*)))?
    };
}

mod browser;
mod sample;
mod walk;

use std::path::Path;

use anyhow::Context as _;

use crate::app::{self, Components};
use crate::auth::enrolment;
use crate::config::{Configuration, DatabaseUrl, Diagnose, Durability};
use crate::domain::api_key::KeyPair;
use crate::domain::client::Callback;
use crate::domain::credentials::{ClientKey, PublicKey, Secret, Username};
use crate::domain::scope::Scopes;
use crate::store::accounts::NewAccount;
use crate::store::api_keys::NewApiKey;
use crate::store::audit::{Actor, By};
use crate::store::clients::NewClient;
use crate::time::Clock;

/// What the demonstration database holds.
struct Seeds {
    username: &'static str,
    password: Secret,
    client_key: ClientKey,
    client_secret: Secret,
    public_key: PublicKey,
    private_key: Secret,
}

/// Runs the demonstration until the process is told to stop. The database is in a temporary folder and goes with it.
///
/// # Errors
/// What keeps the server from starting, or a step of the walk that failed.
pub fn run(mut configuration: Configuration) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    actix_web::rt::System::new().block_on(async move {
        let upstream = sample::start()?;
        adapt(&mut configuration, folder.path(), upstream)?;
        let components = Components::open(&configuration, Clock::system()).await?;
        let seeds = seed(&components, configuration.http_auth.realm.as_str()).await?;
        let (server, address) = app::start(&configuration, components.clone())?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);

        let origin = format!("http://{address}");
        say!("Countersign {} demonstration at {origin}\n", env!("CARGO_PKG_VERSION"));
        let outcome = walk::walk(&origin, &seeds).await;
        match outcome {
            Ok(token) => {
                walk::print_commands(&origin, &seeds, &token)?;
                serving.await.context("the server was lost")??;
            }
            Err(error) => {
                handle.stop(false).await;
                return Err(error);
            }
        }
        components.close().await;
        drop(folder);
        Ok(())
    })
}

/// The settings of a demonstration, whatever else was configured.
fn adapt(configuration: &mut Configuration, folder: &Path, upstream: std::net::SocketAddr) -> anyhow::Result<()> {
    configuration.database.url = DatabaseUrl::File(folder.join("demo.db"));
    configuration.upstream.url = Some(format!("http://{upstream}").parse()?);
    configuration.oauth.diagnose = Diagnose::Always;
    configuration.replay.durability = Durability::Process;
    configuration.server.public_url = None;
    configuration.redis.url = None;
    configuration.tls.certificate = None;
    configuration.tls.private_key = None;
    Ok(())
}

async fn seed(components: &Components, realm: &str) -> anyhow::Result<Seeds> {
    let store = &components.store;
    let by = By { who: Actor::Operator, address: None, now: components.judge.rim.clock().now() };
    let username = "demo@example.com";
    let password = Secret::new("open sesame");
    let name = Username::parse(username)?;
    let mut account = NewAccount::named(name.clone());
    account.password = Some(enrolment::password(&password, &name, None, realm)?);
    account.name = Some("Demo Person".to_owned());
    let account = store.accounts.create(account, &by).await?;

    let mut client = NewClient::named(account.id.clone(), "Photo Printer");
    client.callbacks = vec![Callback::parse("http://127.0.0.1/ready")?, Callback::parse("oob")?];
    client.scopes = Scopes::parse("photos:read photos:print")?;
    let issued = store.clients.create(client, &by).await?;

    let KeyPair { public_key, private_key } = KeyPair::generate(&mut rand::rng());
    let key = NewApiKey {
        public_key: public_key.clone(),
        digest: enrolment::private_key(&private_key, &public_key, &account, realm),
        private_key: private_key.clone(),
        account: account.id,
        name: "nightly script".to_owned(),
        scopes: None,
        expires_at: None,
        impersonator: None,
    };
    store.api_keys.create(key, &by).await?;
    Ok(Seeds {
        username,
        password,
        client_key: issued.client.client_key,
        client_secret: issued.secret,
        public_key,
        private_key,
    })
}
