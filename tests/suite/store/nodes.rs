//! Several processes over one database, and what is at rest in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::domain::account::AccountStatus;
use countersign::domain::credentials::{ClientKey, Secret};
use countersign::store::accounts::{NewAccount, StoredPassword};
use countersign::store::connection::AnyConnection;
use countersign::store::digest_users::DigestUser;
use countersign::store::error::StoreError;
use countersign::store::reseal::reseal_all;
use countersign::store::sessions::SessionKind;
use countersign::store::vault::{MasterKey, Vault};
use countersign::store::watch::Watch;
use countersign::time::Lifetime;
use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
use futures_util::future::join_all;

use crate::servers::{End, Postgres};

use super::kit::{
    Kit, NOW, Place, by, digest_secret, file, name, no_digest, on, on_each_database, on_each_shared_database, postgres,
};

/// Waits for a change by others. The contract's limit is a second; a machine that runs other tests besides is given more, and the
/// clock of these tests stands still, so that no entry dies of its age meanwhile.
async fn soon(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !happened().await {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn what_another_process_changes_is_seen_within_a_second() {
    on_each_shared_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let (first, second) = (kit.token(&client, &jo, "a:read").await, kit.token(&client, &jo, "a:read").await);
        let (public_key, _) = kit.key(&jo, None).await;
        let other = kit.second_node();
        let _watch = Watch::start(&other.store.database).expect("a watch");
        assert!(other.is_good(&first).await && other.is_good(&second).await);
        assert!(other.store.directory.api_key(&public_key, NOW).await.expect("an answer").is_some());
        kit.store.delegations.revoke_token(&first.credentials.id, &by()).await.expect("revoked");
        soon("the revoked token dies", async || !other.is_good(&first).await).await;
        assert!(other.is_good(&second).await);
        kit.store.api_keys.delete(&public_key, &by()).await.expect("deleted");
        soon("the key dies", async || {
            other.store.directory.api_key(&public_key, NOW).await.expect("an answer").is_none()
        })
        .await;
        let disabled = AccountStatus::Disabled { reason: None };
        kit.store.accounts.set_status(&jo.id, disabled, &by()).await.expect("disabled");
        soon("the account's token rests", async || !other.is_good(&second).await).await;
    });
}

#[test]
fn two_processes_that_migrate_at_once_do_no_harm() {
    let places = [Some(file()), postgres()];
    for place in places.into_iter().flatten() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let kits: Vec<Kit> = (0..4).map(|_| Kit::open(place.url.clone(), MasterKey::generate())).collect();
            let applied = join_all(kits.iter().map(|kit| kit.store.database.migrate())).await;
            let mut applied: Vec<usize> = applied.into_iter().map(|names| names.expect("migrated").len()).collect();
            applied.sort_unstable();
            let all = applied.pop().expect("four did it");
            assert!(all > 0 && applied == [0, 0, 0], "one applied all, the others nothing");
            for kit in &kits {
                assert!(kit.store.database.pending_migrations().await.expect("a list").is_empty());
            }
        });
    }
}

#[test]
fn the_migrations_of_postgresql_with_data_in_them_can_be_taken_back() {
    let Some(place) = postgres() else { return };
    on(&place, async |kit: Kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        kit.token(&client, &jo, "a:read").await;
        kit.key(&jo, None).await;
        let database = &kit.store.database;
        let folders = std::fs::read_dir("migrations/postgres").expect("the migrations");
        let mut folders: Vec<_> = folders.map(|entry| entry.expect("an entry").path()).collect();
        folders.sort_unstable();
        for folder in folders.iter().rev() {
            let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
            let version = name.split('_').next().unwrap_or(name);
            let down = std::fs::read_to_string(folder.join("down.sql")).expect("the way down");
            let forget = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'");
            database
                .write(move |transaction| {
                    transaction.connection.batch_execute(&down)?;
                    Ok::<_, StoreError>(transaction.connection.batch_execute(&forget)?)
                })
                .await
                .expect("taken back");
        }
        assert_eq!(database.migrate().await.expect("up again").len(), folders.len());
        kit.account("jo").await;
    });
}

#[test]
fn no_secret_stands_in_the_database_file() {
    let place = file();
    let path = place.url.trim_start_matches("sqlite://").to_owned();
    on(&place, async |kit: Kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let token = kit.token(&client, &jo, "a:read").await;
        let temporary = kit.temporary(&client, "a:read").await;
        let (_, private_key) = kit.key(&jo, None).await;
        let lifetime = Lifetime::from_seconds(60);
        let session = kit.store.sessions.begin(&jo, None, SessionKind::Browser, lifetime, None, &by()).await;
        kit.store.settings.establish("jwt", Secret::new("the signing key of the server"), NOW).await.expect("kept");
        let secrets = [
            client.secret,
            token.token,
            token.secret,
            temporary.token,
            temporary.secret,
            private_key,
            session.expect("an answer").expect("a session").1,
            Secret::new("the signing key of the server"),
        ];
        let folder = std::path::Path::new(&path).parent().expect("a folder");
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            bytes.extend(std::fs::read(entry.expect("an entry").path()).expect("a file"));
        }
        assert!(bytes.windows(2).any(|window| window == b"jo"), "the files were read");
        for secret in &secrets {
            let secret = secret.expose().as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    });
}

#[test]
fn after_resealing_the_old_master_key_is_not_needed_any_more() {
    on_each_shared_database(async |kit| {
        let password = StoredPassword { hash: Secret::new("$argon2id$"), digest: vec![digest_secret("jo")] };
        let new = NewAccount { password: Some(password), ..NewAccount::named(name("jo")) };
        let jo = kit.store.accounts.create(new, &by()).await.expect("an account");
        let client = kit.client(&jo, "").await;
        let key = &client.client.client_key;
        kit.store.clients.rotate_secret(key, Lifetime::from_seconds(60), &by()).await.expect("rotated");
        let token = kit.token(&client, &jo, "").await;
        kit.store.settings.establish("jwt", Secret::new("x"), NOW).await.expect("kept");

        let new_key = MasterKey::generate();
        let both = Vault::new(&new_key, std::slice::from_ref(&kit.key));
        let resealed = reseal_all(&kit.store.database, Arc::new(both), &by()).await.expect("resealed");
        // Two secrets of the client, the used request token, the access token, the Digest secret, the setting.
        assert_eq!(resealed, 6);
        let alone = Kit::open(kit.url.clone(), new_key);
        assert!(alone.is_good(&token).await);
        let found = alone.store.directory.client(key, NOW).await.expect("an answer").expect("is there");
        assert!(found.previous_secret(NOW).is_some_and(|old| old.matches(client.secret.expose().as_bytes())));
        assert!(alone.store.settings.get("jwt").await.expect("an answer").is_some());
        let user = DigestUser::Plain("jo".to_owned());
        assert!(alone.store.directory.digest(&user, "Countersign", NOW).await.expect("an answer").is_some());
    });
}

#[test]
fn work_goes_on_after_postgresql_was_restarted() {
    let Some(server) = Postgres::start() else { return };
    let place = Place { url: server.new_database(), _folder: None, _server: None };
    on(&place, async |kit: Kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let token = kit.token(&client, &jo, "").await;
        let _watch = Watch::start(&kit.store.database).expect("a watch");
        assert!(kit.is_good(&token).await);
        server.stop(End::Crash);
        let unreachable = kit.store.accounts.find(&jo.id).await;
        assert!(matches!(unreachable, Err(StoreError::Unavailable(_) | StoreError::Refused(_))));
        server.start_again();
        soon("the connections come back", async || kit.store.accounts.find(&jo.id).await.is_ok()).await;
        kit.store.delegations.revoke_token(&token.credentials.id, &by()).await.expect("revoked");
        assert!(!kit.is_good(&token).await);
    });
}

/// Has a database begin its connections with a setting of the operator's.
fn set(place: &Place, setting: &str) {
    let mut session = PgConnection::establish(&place.url).expect("a connection");
    let name = place.url.rsplit('/').next().expect("named");
    session.batch_execute(&format!("ALTER DATABASE {name} SET {setting}")).expect("is set");
}

#[test]
fn a_commit_is_on_the_disk_whatever_the_servers_default_is() {
    for (default, ours) in
        [("off", "on"), ("local", "on"), ("remote_write", "remote_write"), ("remote_apply", "remote_apply")]
    {
        let Some(place) = postgres() else { return };
        set(&place, &format!("synchronous_commit = '{default}'"));
        set(&place, "default_transaction_isolation = 'serializable'");
        on(&place, async |kit: Kit| {
            let settings = kit.store.database.read(|connection| {
                let AnyConnection::Postgres(connection) = connection else { unreachable!("made so") };
                let both =
                    "SELECT current_setting('synchronous_commit') || ' ' || current_setting('transaction_isolation')";
                Ok::<_, StoreError>(sql::<Text>(both).get_result::<String>(connection)?)
            });
            assert_eq!(settings.await.expect("an answer"), format!("{ours} read committed"));
        });
    }
}

#[test]
fn a_database_that_only_reads_is_not_ready() {
    let Some(place) = postgres() else { return };
    on(&place, async |kit: Kit| {
        kit.store.database.ping().await.expect("it may be written");
        set(&place, "default_transaction_read_only = on");
        let other = kit.second_node();
        assert!(matches!(other.store.database.ping().await, Err(StoreError::OnlyReads)));
    });
}

#[test]
fn who_may_make_no_tables_is_told_nothing_of_migrations_that_are_done() {
    let Some(place) = postgres() else { return };
    on(&place, async |kit: Kit| {
        let mut session = PgConnection::establish(&place.url).expect("a connection");
        let role = format!("reader_of_{}", place.url.rsplit('/').next().expect("named"));
        session.batch_execute(&format!("CREATE ROLE {role} LOGIN")).expect("is made");
        let other = Kit::open(place.url.replace("countersign@", &format!("{role}@")), kit.key.clone());
        let refused = other.store.database.pending_migrations().await.expect_err("it may not look");
        assert!(matches!(&refused, StoreError::Rights(why) if why.contains("permission denied")), "{refused}");
        session.batch_execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).expect("is given");
        assert!(other.store.database.pending_migrations().await.expect("a list").is_empty());
        session.batch_execute("DELETE FROM __diesel_schema_migrations").expect("forgotten");
        assert!(!other.store.database.pending_migrations().await.expect("a list").is_empty());
        let refused = other.store.database.migrate().await.expect_err("it may not");
        assert!(matches!(refused, StoreError::Rights(_)), "{refused}");
    });
}

#[test]
fn a_migration_that_waits_for_a_lock_lets_the_nodes_work() {
    let Some(place) = postgres() else { return };
    on(&place, async |kit: Kit| {
        let [mut holder, mut node] = [0, 1].map(|_| PgConnection::establish(&place.url).expect("a connection"));
        node.batch_execute(
            "DROP TABLE sent_forms; DELETE FROM __diesel_schema_migrations WHERE version = '00000000000003'; \
             SET lock_timeout = '5s'",
        )
        .expect("taken back");
        let lock = "LOCK TABLE sessions IN ROW EXCLUSIVE MODE";
        holder.batch_execute(&format!("BEGIN; {lock}")).expect("nobody else has it");
        let migrating = kit.store.database.migrate();
        let working = async {
            soon("the migration waits", async || waiting_for_locks(&mut holder) > 0).await;
            node.batch_execute(&format!("BEGIN; {lock}; COMMIT")).expect("it gets in between two attempts");
            holder.batch_execute("ROLLBACK").expect("ends");
        };
        let (migrated, ()) = tokio::join!(migrating, working);
        assert_eq!(migrated.expect("in the end").len(), 1);
    });
}

/// A lock that others' writes wait for, of a session that has no timeouts of ours.
fn lock_accounts(url: &str) -> PgConnection {
    let mut session = PgConnection::establish(url).expect("a connection");
    session.batch_execute("BEGIN; LOCK TABLE accounts IN EXCLUSIVE MODE").expect("nobody else has it");
    session
}

fn waiting_for_locks(session: &mut PgConnection) -> i64 {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sql::<BigInt>(waiting).get_result(session).expect("a number")
}

#[test]
fn a_process_that_freezes_inside_a_transaction_stops_the_others_for_seconds_only() {
    let Some(place) = postgres() else { return };
    on(&place, async |kit: Kit| {
        let other = kit.second_node();
        let (began, begins) = tokio::sync::oneshot::channel();
        let (go_on, frozen) = std::sync::mpsc::channel::<()>();
        let freezing = kit.store.database.write(move |transaction| {
            diesel::sql_query("LOCK TABLE accounts IN EXCLUSIVE MODE").execute(transaction.connection)?;
            began.send(()).expect("the test waits");
            frozen.recv().expect("the test lets it go on");
            Ok::<_, StoreError>(())
        });
        let working = async {
            begins.await.expect("it has the lock");
            let start = Instant::now();
            other.account("jo").await;
            go_on.send(()).expect("it is frozen");
            start.elapsed()
        };
        let (frozen, waited) = tokio::join!(freezing, working);
        assert!(waited < Duration::from_secs(7), "a request waits for eight: {waited:?}");
        assert!(matches!(frozen, Err(StoreError::Unavailable(_))), "{frozen:?}");
        kit.account("ann").await;
    });
}

#[test]
fn what_is_exported_may_be_taken_slowly() {
    let Some(place) = postgres() else { return };
    on(&place, async |kit: Kit| {
        kit.account("jo").await;
        let mut session = PgConnection::establish(&kit.url).expect("a connection");
        // The pipe is full until the server would have ended a transaction that writes.
        let mut pause = Some(move || session.batch_execute("SELECT pg_sleep(4)").map_err(std::io::Error::other));
        let slow = move |_: &str| pause.take().map_or(Ok(()), |mut pause| pause());
        assert_eq!(kit.store.transfer.export(slow, &by()).await.expect("exported").accounts, 1);
    });
}

#[test]
fn writes_that_wait_for_a_lock_leave_a_connection_to_the_reads() {
    let Some(place) = postgres() else { return };
    on(&place, async |kit: Kit| {
        let database = &kit.store.database;
        let mut session = lock_accounts(&kit.url);
        let names: Vec<String> = (0..8).map(|number| format!("person{number}")).collect();
        let writes = join_all(names.iter().map(|name| kit.account(name)));
        let reads = async {
            soon("all that may write wait", async || waiting_for_locks(&mut session) >= 3).await;
            let answer = tokio::time::timeout(Duration::from_secs(2), database.ping()).await;
            answer.expect("it does not wait for the writes").expect("an answer");
            session.batch_execute("ROLLBACK").expect("the lock is given back");
        };
        tokio::join!(writes, reads);
    });
}

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    let columns = |folder: &str| {
        let path = format!("{}/migrations/{folder}/00000000000001_initial/up.sql", env!("CARGO_MANIFEST_DIR"));
        let sql = std::fs::read_to_string(path).expect("the migration is there");
        sql.lines()
            .map(|line| line.replace(" COLLATE \"C\"", "").replace("BYTEA", "BLOB"))
            .map(|line| {
                line.replace("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT")
            })
            .collect::<Vec<_>>()
    };
    let (sqlite, postgres) = (columns("sqlite"), columns("postgres"));
    assert!(postgres.len() > 100);
    assert_eq!(sqlite.get(..postgres.len()), Some(postgres.as_slice()));
    let rest: Vec<&String> = sqlite.iter().skip(postgres.len()).filter(|line| line.starts_with("CREATE")).collect();
    assert_eq!(rest, ["CREATE TABLE changes ("], "NOTIFY takes its place on PostgreSQL");
}

#[test]
fn an_unknown_client_key_is_asked_for_again_once_it_exists() {
    on_each_database(async |kit| {
        let directory = &kit.store.directory;
        let key = ClientKey::parse("imported").expect("a key");
        assert!(directory.client(&key, NOW).await.expect("an answer").is_none());
        let lines = [
            r#"{"type":"account","username":"jo"}"#,
            r#"{"type":"client","client_key":"imported","client_secret":"s","owner":"jo","name":"App"}"#,
        ];
        let lines = lines.into_iter().map(|line| Ok(line.to_owned()));
        kit.store.transfer.import(lines, no_digest, &by()).await.expect("imported");
        assert!(directory.client(&key, NOW).await.expect("an answer").is_some());
    });
}
