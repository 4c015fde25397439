"""Other programs work on the SQLite file while the server runs: a backup, a look, a second command line. None of them is the last user."""

import contextlib
import sqlite3

import pytest
import wire
from harness import Server, at_once, eventually
from signer import escape
from ways import basic

FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture
def server(tmp_path):
    started = Server(tmp_path, database=f"sqlite://{tmp_path}/x.db").start()
    yield started
    started.kill()


def copied(file, place):
    """What `sqlite3 x.db ".backup copy.db"` does."""
    with contextlib.closing(sqlite3.connect(file)) as live, contextlib.closing(sqlite3.connect(place)) as copy:
        live.backup(copy)


def looked_at(file, _):
    with contextlib.closing(sqlite3.connect(file)) as live:
        assert live.execute("SELECT count(*) FROM accounts").fetchone() == (1,)


@pytest.mark.parametrize("work", [copied, looked_at])
def test_the_server_and_the_command_line_keep_one_database_after_another_program_closed_it(server, work):
    key = server.key(server.account())

    def ask():
        return wire.send(server, "GET", "/v2/me", [basic(key.public, key.private)]).status

    assert ask() == 200
    work(server.folder / "x.db", server.folder / "copy.db")
    assert (server.folder / "x.db-wal").exists(), "the program took itself for the last user"
    server.command("key", "delete", key.public)
    assert eventually(lambda: ask() == 401)
    # What the server wrote last is in the log alone.
    other = server.account()
    form = f"username={escape(other.username)}&password=wrong"
    assert wire.send(server, "POST", "/login?response=json", [FORM], form).status == 401
    server.kill()
    assert [entry["subject"] for entry in server.json("audit", "list", "--event", "login.failed")] == [other.username]


def test_after_an_orderly_end_the_file_alone_is_the_whole_database(server):
    key = server.key(server.account())
    answers = at_once([lambda: wire.send(server, "GET", "/v2/me", [basic(key.public, key.private)]).status] * 8)
    assert answers == [200] * 8
    server.terminate()
    assert sorted(path.name for path in server.folder.glob("x.db*") if "nonces" not in path.name) == ["x.db", "x.db.key"]
