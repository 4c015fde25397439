//! The schema's versions: all pending migrations in one transaction, under a lock.

use std::time::Duration;

use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{AnyConnection, takes_writes};
use crate::store::error::{StoreError, is_about_rights};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The key of the advisory lock under which PostgreSQL is migrated: any number that is ours.
const MIGRATION_LOCK: i64 = 0x636f_756e_7465_7273;

/// How often it is tried while others hold locks, with pauses in which those get through who came after.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Said when that was in vain.
const HELD: &str = "others hold locks on the tables, also after some pauses: another migrate, or a long transaction (SELECT pid, query \
                    FROM pg_stat_activity WHERE state <> 'idle'); nothing was changed, migrate again when they have ended";

/// Applies what is pending; gives its names. Two that start together apply it once.
pub(super) fn migrate(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => connection.immediate_transaction(|connection| {
            let applied = connection.run_pending_migrations(SQLITE_MIGRATIONS).map_err(migration_error)?;
            Ok(applied.iter().map(ToString::to_string).collect())
        }),
        AnyConnection::Postgres(connection) => {
            for _ in 1..ATTEMPTS {
                match migrate_postgres(connection) {
                    Err(StoreError::Refused(why)) if is_about_locks(&why) => std::thread::sleep(PAUSE),
                    done => return done,
                }
            }
            migrate_postgres(connection).map_err(|error| match error {
                StoreError::Refused(why) if is_about_locks(&why) => StoreError::Refused(HELD.to_owned()),
                other => other,
            })
        }
    }
}

fn migrate_postgres(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    connection.transaction(|connection| {
        // For another that migrates, and for what the nodes are doing. Whoever comes after waits too, so it is less than nodes wait.
        connection.batch_execute("SET LOCAL lock_timeout = '2s'")?;
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(MIGRATION_LOCK).execute(connection)?;
        let applied = connection.run_pending_migrations(POSTGRES_MIGRATIONS).map_err(migration_error)?;
        Ok(applied.iter().map(ToString::to_string).collect())
    })
}

/// Names of what this version has and the database doesn't.
pub(super) fn pending(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    takes_writes(connection)?;
    let applied = applied(connection)?;
    match connection {
        AnyConnection::Sqlite(_) => missing::<Sqlite>(&SQLITE_MIGRATIONS, &applied),
        AnyConnection::Postgres(_) => missing::<Pg>(&POSTGRES_MIGRATIONS, &applied),
    }
}

/// Versions that the database has had, newest first. Only reads: the role of a server may be one that makes no tables.
pub(super) fn applied(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    let is_there = match connection {
        AnyConnection::Sqlite(_) => {
            "SELECT count(*) AS number FROM sqlite_master WHERE name = '__diesel_schema_migrations'"
        }
        AnyConnection::Postgres(_) => "SELECT count(to_regclass('__diesel_schema_migrations')) AS number",
    };
    let tables: Tables = diesel::sql_query(is_there).get_result(connection)?;
    if tables.number == 0 {
        return Ok(Vec::new());
    }
    let versions = "SELECT version FROM __diesel_schema_migrations ORDER BY version DESC";
    let applied: Vec<Applied> = diesel::sql_query(versions).load(connection)?;
    Ok(applied.into_iter().map(|applied| applied.version).collect())
}

#[derive(QueryableByName)]
struct Tables {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

fn missing<DB: Backend>(all: &impl MigrationSource<DB>, applied: &[String]) -> Result<Vec<String>, StoreError> {
    let all = all.migrations().map_err(migration_error)?;
    let missing = all.iter().filter(|migration| !applied.contains(&migration.name().version().to_string()));
    let mut names: Vec<String> = missing.map(|migration| migration.name().to_string()).collect();
    names.sort_unstable();
    Ok(names)
}

fn migration_error(error: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    let text = error.to_string();
    match error.downcast_ref() {
        Some(DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)) => StoreError::OnlyReads,
        _ if is_about_rights(&text) => StoreError::Rights(text),
        _ => StoreError::Refused(format!("a migration failed: {text}")),
    }
}

fn is_about_locks(message: &str) -> bool {
    message.contains("lock timeout")
}

#[cfg(test)]
mod tests {
    use super::super::address::{Access, connect};
    use super::*;
    use crate::config::DatabaseUrl;

    #[test]
    fn the_migrations_can_be_taken_back() {
        let mut connection = connect(&DatabaseUrl::Memory, Access::Write).expect("a database");
        let all = migrate(&mut connection).expect("up");
        assert!(!all.is_empty() && pending(&mut connection).expect("an answer").is_empty());
        let AnyConnection::Sqlite(sqlite) = &mut connection else { unreachable!("made so") };
        sqlite.revert_all_migrations(SQLITE_MIGRATIONS).expect("down");
        assert_eq!(migrate(&mut connection).expect("up again"), all);
    }
}
