//! The schema's versions: all pending migrations in one transaction, under a lock.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationVersion};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{AnyConnection, StoreError};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The key of the advisory lock under which PostgreSQL is migrated: any number that is ours.
const MIGRATION_LOCK: i64 = 0x636f_756e_7465_7273;

/// Applies what is pending; gives its names. Two that start together apply it once.
pub(super) fn migrate(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => connection.immediate_transaction(|connection| {
            let applied = connection.run_pending_migrations(SQLITE_MIGRATIONS).map_err(migration_error)?;
            Ok(applied.iter().map(ToString::to_string).collect())
        }),
        AnyConnection::Postgres(connection) => connection.transaction(|connection| {
            // For another that migrates, and for what the nodes are doing: no request waits for this command.
            connection.batch_execute("SET LOCAL lock_timeout = '10s'")?;
            diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
                .bind::<diesel::sql_types::BigInt, _>(MIGRATION_LOCK)
                .execute(connection)?;
            let applied = connection.run_pending_migrations(POSTGRES_MIGRATIONS).map_err(migration_error)?;
            Ok(applied.iter().map(ToString::to_string).collect())
        }),
    }
}

/// Names of what this version has and the database doesn't.
pub(super) fn pending(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    Ok(match connection {
        AnyConnection::Sqlite(connection) => {
            names(&connection.pending_migrations(SQLITE_MIGRATIONS).map_err(migration_error)?)
        }
        AnyConnection::Postgres(connection) => {
            names(&connection.pending_migrations(POSTGRES_MIGRATIONS).map_err(migration_error)?)
        }
    })
}

/// Versions that the database has had, newest first.
pub(super) fn applied(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    let applied: Vec<MigrationVersion<'static>> = match connection {
        AnyConnection::Sqlite(connection) => connection.applied_migrations().map_err(migration_error)?,
        AnyConnection::Postgres(connection) => connection.applied_migrations().map_err(migration_error)?,
    };
    Ok(applied.iter().map(ToString::to_string).collect())
}

fn migration_error(error: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    match error.downcast_ref() {
        Some(DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)) => StoreError::OnlyReads,
        _ => StoreError::Refused(format!("a migration failed: {error}")),
    }
}

fn names<DB: diesel::backend::Backend>(migrations: &[Box<dyn Migration<DB>>]) -> Vec<String> {
    migrations.iter().map(|migration| migration.name().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::address::{Access, DatabaseUrl, connect};
    use super::*;

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
