"""PostgreSQL as an operator meets it: migrated by command, over TLS, with clear words for what is wrong, and back after a restart."""

import base64
import os
import re
import signal
import socket
import subprocess
import threading
import time

import databases
import pytest
import signer
import wire
from cluster import SOON
from dance import dance, signed
from browser import Browser
from harness import CommandFailed, binary, clean_environment, eventually, free_port

# database.connections, one that listens for changes, and those of the replay store.
CONNECTIONS = 4 + 1 + 3
# Which one it is that listens.
LISTENS = "query ~ '^(LISTEN|SELECT .listens)'"


def refusal(node, *arguments):
    """What a command says that must fail with 1."""
    with pytest.raises(CommandFailed) as failed:
        node.command(*arguments)
    assert failed.value.code == 1
    return failed.value.said


def serve_refusal(node):
    """What `serve` says that must end by itself with 1."""
    line = [str(binary()), "serve", "--listen", node.authority, "--database-url", node.database]
    done = subprocess.run(
        line, capture_output=True, text=True, cwd=node.folder, env=clean_environment(**node.environment), timeout=60
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


class Person:
    """An account with a client and a token."""

    def __init__(self, node):
        self.node = node
        self.account = node.account()
        self.client = node.client(self.account)
        self.token = dance(node, self.client, Browser(self.account))

    def ask(self):
        return signed(self.node, "GET", "/v2/me", self.client, self.token)


# --- migrating ---


def test_an_empty_database_is_migrated_by_command_and_by_nothing_else(postgres, new_node):
    node = new_node(postgres.new_database())
    for said in (serve_refusal(node), refusal(node, "account", "list")):
        assert "run `countersign migrate`" in said and "00000000000001_initial" in said
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    name = node.database.rsplit("/", 1)[1]
    assert postgres.sql(tables, name).strip() in ("0", "1")  # at most the list of migrations, which is empty
    node.command("migrate")
    node.command("migrate")
    node.start()
    assert Person(node).ask().status == 200


def test_migrations_that_run_at_once_apply_once(postgres, new_node):
    database = postgres.new_database()
    nodes = [new_node(database) for _ in range(4)]
    failures = []

    def migrate(node):
        try:
            node.command("migrate")
        except CommandFailed as failed:
            failures.append(failed)

    threads = [threading.Thread(target=migrate, args=[node]) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert nodes[0].json("account", "list") == []


def test_a_database_of_a_newer_version_is_served(postgres, new_node):
    """A rolling upgrade migrates first; the old nodes go on meanwhile."""
    node = new_node(postgres.new_database())
    node.command("migrate")
    name = node.database.rsplit("/", 1)[1]
    postgres.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')", name)
    node.start()
    assert Person(node).ask().status == 200


# --- what is wrong is said ---


def test_a_wrong_password_is_named_and_never_repeated(postgres, new_node):
    database = databases.database_url(postgres.place, "postgres", password="wr0ng-secret")
    node = new_node(database)
    for said in (refusal(node, "migrate"), refusal(node, "account", "list"), serve_refusal(node)):
        assert "password authentication failed" in said
        assert "wr0ng-secret" not in said


def test_a_database_that_is_not_there_is_named(postgres, new_node):
    node = new_node(databases.database_url(postgres.place, "nowhere"))
    for said in (refusal(node, "migrate"), serve_refusal(node)):
        assert 'database "nowhere" does not exist' in said
        assert databases.PASSWORD not in said


def test_a_server_that_can_not_be_reached_is_named(new_node):
    port = free_port()
    node = new_node(databases.database_url(f"127.0.0.1:{port}", "x"))
    for said in (refusal(node, "migrate"), serve_refusal(node)):
        assert str(port) in said and "refused" in said
        assert databases.PASSWORD not in said


def test_a_host_that_has_no_address_is_named(new_node):
    node = new_node(databases.database_url("nowhere.invalid:5432", "x"))
    assert "nowhere.invalid" in refusal(node, "migrate")


@pytest.mark.parametrize("migrated", [True, False])
def test_a_server_that_only_reads_is_named(migrated, postgres, new_node):
    node = new_node(postgres.new_database())
    if migrated:
        node.command("migrate")
    name = node.database.rsplit("/", 1)[1]
    postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    for said in (refusal(node, "migrate"), refusal(node, "account", "list"), serve_refusal(node)):
        assert "only reads: it is a standby" in said and "read-write" in said
        assert databases.PASSWORD not in said


def test_a_missing_master_key_is_said(postgres, new_node):
    node = new_node(postgres.new_database())
    node.command("migrate")
    del node.environment["COUNTERSIGN_MASTER_KEY"]
    with pytest.raises(CommandFailed) as failed:
        node.command("account", "list")
    assert "COUNTERSIGN_MASTER_KEY" in failed.value.said


def test_another_master_key_is_found_out(postgres, new_node):
    database = postgres.new_database()
    node = new_node(database)
    node.command("migrate")
    node.start()
    Person(node)
    other = new_node(database, environment={"COUNTERSIGN_MASTER_KEY": base64.b64encode(b"x" * 32).decode()})
    assert "sealed with another master key" in serve_refusal(other)


# --- TLS ---


@pytest.fixture(scope="module")
def secure(authority, new_postgres):
    """A PostgreSQL that takes TLS connections only, and its authority's certificate."""
    root, chain, key = authority("database-authority")
    return new_postgres(certificate=(chain, key)), root


def encrypted(options=""):
    return f"?sslmode=verify-full{options}"


def test_everything_runs_over_tls_with_a_verified_certificate(secure, new_node):
    postgres, root = secure
    node = new_node(postgres.new_database() + encrypted(f"&sslrootcert={root}"))
    node.command("migrate")
    node.start()
    assert Person(node).ask().status == 200
    ours = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'countersign'"
    assert postgres.sql(f"SELECT bool_and(ssl) {ours}").strip() == "t"
    assert int(postgres.sql(f"SELECT count(*) {ours}")) >= 5


def test_a_certificate_of_another_authority_is_refused(secure, authority, new_node):
    postgres, _ = secure
    other, *_ = authority("another-authority")
    node = new_node(postgres.new_database() + encrypted(f"&sslrootcert={other}"))
    said = refusal(node, "migrate")
    assert "certificate verify failed" in said and databases.PASSWORD not in said


def test_a_certificate_for_another_host_is_refused(secure, new_node):
    postgres, root = secure
    database = postgres.new_database().replace("@127.0.0.1:", "@localhost:")
    said = refusal(new_node(database + encrypted(f"&sslrootcert={root}")), "migrate")
    assert 'does not match host name "localhost"' in said


def test_a_connection_without_tls_is_refused_by_the_server(secure, new_node):
    postgres, _ = secure
    said = refusal(new_node(postgres.new_database() + "?sslmode=disable"), "migrate")
    assert "no encryption" in said


def test_tls_is_not_given_up_where_it_is_asked_for(postgres, authority, new_node):
    root, *_ = authority("unused-authority")
    node = new_node(postgres.new_database() + encrypted(f"&sslrootcert={root}"))
    assert "does not support SSL" in refusal(node, "migrate")


# --- the pool ---


def connections(postgres, database):
    name = re.match(r"[^?]*/([^/?]+)", database).group(1)
    return int(postgres.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"))


def test_a_node_takes_no_more_connections_than_it_says_however_much_waits(postgres, new_node):
    node = new_node(postgres.new_database())
    node.command("migrate")
    node.start()
    person = Person(node)
    most = [0]
    ended = threading.Event()

    def watch():
        while not ended.is_set():
            most[0] = max(most[0], connections(postgres, node.database))

    watcher = threading.Thread(target=watch)
    watcher.start()
    statuses = []

    def load():
        # A request token each is a write each.
        for _ in range(10):
            url = f"{node.base}/oauth/request_token"
            value = signer.authorization("POST", url, person.client, oauth_callback=person.client.callback)
            statuses.append(wire.send(node, "POST", "/oauth/request_token", [("Authorization", value)], b"").status)

    threads = [threading.Thread(target=load) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    watcher.join()
    assert statuses == [200] * 400
    assert 1 < most[0] <= CONNECTIONS


def test_the_number_of_connections_is_a_setting(postgres, new_node):
    node = new_node(postgres.new_database(), config="[database]\nconnections = 1\n")
    node.command("migrate")
    node.start()
    assert Person(node).ask().status == 200
    assert connections(postgres, node.database) <= CONNECTIONS - 3


def test_a_server_without_a_free_place_is_named_and_waited_for(new_postgres, new_node):
    # Three places are the superuser's, eight the node's, and one is left for a command.
    postgres = new_postgres(settings={"max_connections": 12})
    database = postgres.new_database()
    node = new_node(database)
    node.command("migrate")
    node.start()
    person = Person(node)
    late = new_node(database)
    assert "connection slots are reserved" in serve_refusal(late)
    assert person.ask().status == 200


# --- away and back ---


@pytest.mark.parametrize("ending", ["stop", "crash"])
def test_a_server_that_restarts_is_found_again_and_no_change_is_missed(ending, new_postgres, new_node):
    postgres = new_postgres()
    database = postgres.new_database()
    first = new_node(database)
    first.command("migrate")
    first.start()
    second = new_node(database, public_url=first.base)
    second.start()
    person = Person(first)

    def ask(node):
        value = signer.authorization("GET", f"{first.base}/v2/me", person.client, person.token)
        return wire.send(node, "GET", "/v2/me", [("Authorization", value)], host=first.authority)

    used = signer.authorization("GET", f"{first.base}/v2/me", person.client, person.token)
    assert wire.send(first, "GET", "/v2/me", [("Authorization", used)]).status == 200
    assert ask(second).status == 200
    getattr(postgres, ending)()
    assert eventually(lambda: not first.is_ready() and not second.is_ready(), SOON)
    # Nothing is accepted that can't be remembered.
    assert ask(first).status == 503 and ask(second).status == 503
    postgres.start()
    for node in (first, second):
        assert eventually(node.is_ready, 30)
        assert eventually(lambda node=node: ask(node).status == 200, 30)
        again = wire.send(node, "GET", "/v2/me", [("Authorization", used)], host=first.authority)
        assert (again.status, again.problem) == (401, "nonce_used")
    # Changes are heard again, in both directions.
    first.command("client", "disable", person.client.key)
    for node in (first, second):
        assert eventually(lambda node=node: ask(node).status == 403, SOON)
    first.command("client", "enable", person.client.key)
    for node in (first, second):
        assert eventually(lambda node=node: ask(node).status == 200, SOON)


def test_a_closed_connection_fails_no_request(postgres, new_node):
    node = new_node(postgres.new_database())
    node.command("migrate")
    node.start()
    person = Person(node)
    name = node.database.rsplit("/", 1)[1]
    for _ in range(3):
        ended = postgres.sql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'").split()
        assert ended
        postgres.sql("; ".join(f"SELECT pg_terminate_backend({pid})" for pid in ended))
        # A statement that is under way when its connection ends is in doubt; none is, once they are gone.
        gone = f"SELECT count(*) FROM pg_stat_activity WHERE pid IN ({','.join(ended)})"
        assert eventually(lambda gone=gone: postgres.sql(gone).strip() == "0")
        for _ in range(5):
            assert person.ask().status == 200
    # The one that listens is made anew too.
    node.command("client", "disable", person.client.key)
    assert eventually(lambda: person.ask().status == 403, SOON)


def test_a_change_that_was_made_while_nobody_listened_is_seen(postgres, new_node):
    node = new_node(postgres.new_database())
    node.command("migrate")
    node.start()
    person = Person(node)
    assert person.ask().status == 200
    name = node.database.rsplit("/", 1)[1]
    # In one transaction the listener's connection ends and the notice is sent.
    postgres.sql(
        f"BEGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENS}"
        f" AND datname = '{name}'; UPDATE clients SET status = 'disabled'; COMMIT",
        name,
    )
    assert eventually(lambda: person.ask().status == 403, SOON)


class Session:
    """A superuser's transaction that stays open, with locks that others wait for."""

    def __init__(self, postgres, node, sql):
        self.postgres, self.name = postgres, node.database.rsplit("/", 1)[1]
        url = f"postgres://postgres@{postgres.place}/{self.name}"
        self.process = subprocess.Popen(
            [databases.program("psql"), "-qAtX", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdin.write(f"BEGIN;\n{sql};\n\\echo done\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def is_waited_for(self):
        ours = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        waiting = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND database = {ours}"
        return self.postgres.sql(waiting, self.name).strip() != "0"

    def end(self):
        self.process.communicate("ROLLBACK;\n")


def test_a_node_that_freezes_inside_a_transaction_stops_the_others_for_seconds_only(postgres, new_node):
    database = postgres.new_database()
    first = new_node(database)
    first.command("migrate")
    first.start()
    second = new_node(database, public_url=first.base)
    second.start()
    client = first.client(first.account())

    def ask(node):
        path = "/oauth/request_token"
        value = signer.authorization("POST", f"{first.base}{path}", client, oauth_callback=client.callback)
        return wire.send(node, "POST", path, [("Authorization", value)], b"", host=first.authority).status

    # The first nonce of ten minutes makes their partition, in a transaction that all nodes' wait for.
    session = Session(postgres, first, "LOCK TABLE replay_nonces IN ACCESS EXCLUSIVE MODE")
    asking = threading.Thread(target=ask, args=[first])
    asking.start()
    assert eventually(session.is_waited_for)
    first.process.send_signal(signal.SIGSTOP)
    try:
        session.end()
        inside = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        assert postgres.sql(f"{inside} AND datname = '{session.name}'").strip() == "1"
        assert ask(second) == 200
    finally:
        first.process.send_signal(signal.SIGCONT)
        asking.join()
    assert eventually(lambda: ask(first) == 200)
    first.stop()


def listening(node):
    return f"FROM pg_stat_activity WHERE {LISTENS} AND datname = '{node.database.rsplit('/', 1)[1]}'"


def wait_until_heard(postgres, node):
    """What was changed before is heard by all nodes of this one's database, and no memory of it is forgotten any more."""
    for _ in range(2):
        now = postgres.sql("SELECT clock_timestamp()").strip()
        asked = f"SELECT bool_and(state = 'idle' AND query_start > '{now}') {listening(node)}"
        assert eventually(lambda asked=asked: postgres.sql(asked).strip() == "t")


def two_nodes(postgres, new_node):
    """On one database, known by the first one's address, with somebody in it."""
    first = new_node(postgres.new_database())
    first.command("migrate")
    first.start()
    second = new_node(first.database, public_url=first.base)
    second.start()
    return first, second, Person(first)


def test_a_change_is_seen_within_a_second_though_the_connections_that_listen_hang(postgres, new_node):
    first, second, person = two_nodes(postgres, new_node)

    def ask(node, verb="GET", path="/v2/me"):
        value = signer.authorization(verb, f"{first.base}{path}", person.client, person.token)
        body = b"" if verb == "POST" else None
        return wire.send(node, verb, path, [("Authorization", value)], body, host=first.authority)

    def is_seen_at_once():
        person.token = dance(first, person.client, Browser(person.account))
        wait_until_heard(postgres, first)
        assert ask(second).status == 200
        pids = [int(pid) for pid in postgres.sql(f"SELECT pid {listening(first)}").split()]
        assert len(pids) == 2
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            assert ask(first, "POST", "/oauth/revoke").status == 200
            # And some tenths for a machine that does much else.
            return eventually(lambda: ask(second).problem == "token_revoked", 1.3)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # A machine that does much else is late now and then; a watch that waits too long is always late.
    assert any(is_seen_at_once() for _ in range(5))


def test_a_node_that_was_frozen_accepts_nothing_that_was_revoked_meanwhile(postgres, new_node):
    first, second, person = two_nodes(postgres, new_node)

    def connect(node):
        value = signer.authorization("GET", f"{first.base}/v2/me", person.client, person.token)
        connection = socket.create_connection(("127.0.0.1", node.port))
        connection.sendall(wire.request_bytes("GET", "/v2/me", first.authority, [("Authorization", value)]))
        return connection

    for _ in range(3):
        person.token = dance(first, person.client, Browser(person.account))
        with connect(second) as connection:
            assert wire.read_answer(connection).status == 200
        second.process.send_signal(signal.SIGSTOP)
        first.command("token", "revoke", person.token.token)
        # Within a second everybody is to know.
        time.sleep(1.1)
        waiting = [connect(second) for _ in range(24)]
        second.process.send_signal(signal.SIGCONT)
        for connection in waiting:
            with connection:
                assert wire.read_answer(connection).problem == "token_revoked"


def test_a_postgresql_that_hangs_and_stays_connected_is_503_in_seconds(new_postgres, new_node):
    postgres = new_postgres()
    node = new_node(postgres.new_database())
    node.command("migrate")
    node.start()
    person = Person(node)
    assert person.ask().status == 200
    backends = postgres.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'countersign'").split()
    account = base64.b64encode(f"{person.account.username}:{person.account.password}".encode()).decode()
    try:
        for pid in backends:
            os.kill(int(pid), signal.SIGSTOP)
        for answer in (person.ask(), wire.send(node, "GET", "/api/v1/keys", [("Authorization", f"Basic {account}")])):
            assert answer.status == 503, answer.body
    finally:
        for pid in backends:
            os.kill(int(pid), signal.SIGCONT)
    assert eventually(lambda: person.ask().status == 200, 30)
    node.stop()


def test_a_node_ends_though_its_postgresql_hangs_and_what_it_accepted_stays_used(new_postgres, new_node):
    postgres = new_postgres()
    node = new_node(postgres.new_database())
    node.command("migrate")
    node.start()
    person = Person(node)
    # In memory is all that is needed to judge a request but whether its nonce is new.
    wait_until_heard(postgres, node)
    used = signer.authorization("GET", f"{node.base}/v2/me", person.client, person.token)
    assert wire.send(node, "GET", "/v2/me", [("Authorization", used)]).status == 200
    backends = postgres.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'countersign'").split()
    try:
        for pid in backends:
            os.kill(int(pid), signal.SIGSTOP)
        value = signer.authorization("GET", f"{node.base}/v2/me", person.client, person.token)
        with socket.create_connection((node.host, node.port), timeout=30) as under_way:
            under_way.sendall(wire.request_bytes("GET", "/v2/me", node.authority, [("Authorization", value)]))
            # It has the request when it answers who came later.
            assert wire.send(node, "GET", "/health/live").status == 200
            node.process.send_signal(signal.SIGTERM)
            assert wire.read_answer(under_way).status == 503
        # Ten seconds for what was under way, ten for the rest.
        assert node.process.wait(25) == 0
    finally:
        node.kill()
        for pid in backends:
            os.kill(int(pid), signal.SIGCONT)
    said = node.log_text()
    for what in ("the replay store does not answer", "the database does not answer", "last uses were not written"):
        assert what in said, said[-3000:]
    node.start()
    again = wire.send(node, "GET", "/v2/me", [("Authorization", used)])
    assert (again.status, again.problem) == (401, "nonce_used")
    assert person.ask().status == 200
    node.stop()
