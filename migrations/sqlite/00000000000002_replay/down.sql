-- Deliberately empty: with SQLite the used nonces are in a journal file of their own, which makes its own tables
-- (src/store/replay/sqlite.rs). The pair of this migration is the one for PostgreSQL.
SELECT 1;
