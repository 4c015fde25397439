//! Forms that were carried out, so that none is carried out twice: whichever node it is sent to, and after a restart.
//!
//! What a form is known by, its page made up; it counts for one session and is forgotten with it.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::domain::credentials::SessionId;

use super::connection::Database;
use super::error::{StoreError, is_dangling};
use super::schema::sent_forms;

/// Forms that were carried out.
#[derive(Clone)]
pub struct SentForms {
    database: Database,
}

impl SentForms {
    /// Over this database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Whether this form is sent for the first time: of several who send it at once, one is told so.
    pub async fn take(&self, session: &SessionId, form: &str) -> Result<bool, StoreError> {
        let (session, form) = (session.as_str().to_owned(), form.to_owned());
        self.database
            .write(move |transaction| {
                // The insert decides. Both databases read this text alike.
                let inserted = diesel::sql_query(
                    "INSERT INTO sent_forms (session, form) VALUES ($1, $2) ON CONFLICT (session, form) DO NOTHING",
                )
                .bind::<Text, _>(session)
                .bind::<Text, _>(form)
                .execute(transaction.connection);
                match inserted {
                    Ok(rows) => Ok(rows == 1),
                    Err(error) if is_dangling(&error) => Err(StoreError::Refused("the session is gone".to_owned())),
                    Err(error) => Err(error.into()),
                }
            })
            .await
    }

    /// Makes a form good again whose work could not be done.
    pub async fn give_back(&self, session: &SessionId, form: &str) -> Result<(), StoreError> {
        let (session, form) = (session.as_str().to_owned(), form.to_owned());
        self.database
            .write(move |transaction| {
                diesel::delete(sent_forms::table.find((session, form))).execute(transaction.connection)?;
                Ok(())
            })
            .await
    }
}
