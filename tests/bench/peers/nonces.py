"""Where the compared providers remember nonces: in memory, or in SQLite as durably as Countersign's default."""

import os
import sqlite3
import threading


class InMemory:
    def __init__(self):
        self.seen = set()

    def remember(self, *key):
        """Is it new? Then it is remembered."""
        if key in self.seen:
            return False
        self.seen.add(key)
        return True


class InSqlite:
    """One connection for each thread of the server; a nonce is on the disk before the request is answered."""

    def __init__(self, path):
        self.path, self.local = path, threading.local()
        self.connection().execute(
            "CREATE TABLE IF NOT EXISTS nonces"
            " (client TEXT, token TEXT, timestamp INTEGER, nonce TEXT, PRIMARY KEY (client, token, timestamp, nonce)) WITHOUT ROWID"
        )

    def connection(self):
        if not hasattr(self.local, "connection"):
            self.local.connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            self.local.connection.execute("PRAGMA journal_mode = WAL")
            self.local.connection.execute("PRAGMA synchronous = FULL")
        return self.local.connection

    def remember(self, *key):
        """Is it new? Then it is remembered."""
        try:
            self.connection().execute("INSERT INTO nonces VALUES (?, ?, ?, ?)", key)
        except sqlite3.IntegrityError:
            return False
        return True


PATH = os.environ.get("BENCH_NONCES")
STORE = InSqlite(PATH) if PATH else InMemory()
