"""Large numbers: a million clients, five million tokens, ten million live nonces, a thousand connections.

    PYTHON tests/bench/scale.py [--clients N] [--tokens N] [--in-use N] [--nonces N] [--rounds N] [--only WORD]

Each figure is a ratio to the same server with next to nothing in it, measured in turns, or memory as the kernel counts it.
`./tests/bench/run --scale` calls it after the other cases and writes its rows into docs/PERFORMANCE.md. The defaults take about ten
minutes and five gigabytes of disk.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import measure
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from harness import Server

FIGURES = os.environ.get("PEERS_FIGURES", "replay_figures")
# No run of a program here may take longer.
PATIENCE = 1800
SECRET, TOKEN_SECRET = "a secret of every client", "a secret of every token"
ACCOUNTS = 1000


def say(text):
    print(f"  {text}", flush=True)


# --- a large population ---


class Vault:
    """Seals as src/store/vault.rs does, so that millions of secrets need no command: 4 bytes key id, 12 bytes nonce, ciphertext, tag."""

    def __init__(self, key_file):
        master = base64.b64decode(key_file.read_text())
        self.key_id = hashlib.sha256(b"countersign key id " + master).digest()[:4]
        self.cipher = AESGCM(HKDF(hashes.SHA256(), 32, None, b"countersign seal").derive(master))

    def seal(self, secret, column, row):
        nonce = os.urandom(12)
        place = self.key_id + f"{column}\0{row}".encode()
        return self.key_id + nonce + self.cipher.encrypt(nonce, secret.encode(), place)


def seed(path, clients, tokens):
    """Fills a database that has one client and one token already, by copying their rows with other keys and secrets.

    Token number n belongs to client n % clients; the tokens of one client are different accounts', as one account has one grant
    for a client.
    """
    vault = Vault(path.with_name(path.name + ".key"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        for pragma in ("journal_mode = DELETE", "synchronous = OFF", "cache_size = -1000000", "foreign_keys = OFF"):
            database.execute(f"PRAGMA {pragma}")
        # An index is made sooner of everything than row by row.
        indexes = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        accounts = [row[0] for row in database.execute("SELECT id FROM accounts ORDER BY username")]
        database.execute("BEGIN")
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")

        def copy(table, rows):
            """Inserts rows that differ from the first one in some columns."""
            columns = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
            template = dict(zip(columns, database.execute(f"SELECT * FROM {table}").fetchone(), strict=True))
            database.execute(f"DELETE FROM {table}")
            made = ([(template | row)[column] for column in columns] for row in rows)
            database.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(columns))})", made)

        def holder(number):
            return accounts[(number % len(accounts) + number // clients) % len(accounts)]

        def client(number):
            key = f"bench-client-{number}"
            sealed = vault.seal(SECRET, "clients.secret", key)
            return {"client_key": key, "owner": accounts[number % len(accounts)], "name": f"App {number}", "sealed_secret": sealed}

        def grant(number):
            return {"id": f"g{number:015}", "account": holder(number), "client_key": f"bench-client-{number % clients}"}

        def token(number):
            digest = hashlib.sha256(f"bench-token-{number}".encode())
            sealed = vault.seal(TOKEN_SECRET, "token_credentials.secret", digest.hexdigest())
            return {
                "id": f"t{number:015}",
                "token_hash": digest.digest(),
                "client_key": f"bench-client-{number % clients}",
                "account": holder(number),
                "grant_id": f"g{number:015}",
                "sealed_secret": sealed,
            }

        copy("clients", map(client, range(clients)))
        copy("grants", map(grant, range(tokens)))
        copy("token_credentials", map(token, range(tokens)))
        for _, sql in indexes:
            database.execute(sql)
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode = WAL")


def credential(clients, tokens, in_use):
    """For the generator: requests of `in_use` tokens, spread evenly over all."""
    return {
        "kind": "oauth1_many",
        "secret": SECRET,
        "token_secret": TOKEN_SECRET,
        "clients": clients,
        "tokens": tokens,
        "in_use": min(in_use, tokens),
    }


class Place:
    """A server that is started for its figures; `connections` of the generator send what `credential` says."""

    def __init__(self, laboratory, name):
        self.folder = laboratory.place(name)
        # Pinned like everything else that is measured.
        self.server = Server(
            self.folder, "[server]\nworkers = 1\n[throttle]\nfailures = 100000\n", launcher=measure.pinned(measure.ONE)
        )
        self.laboratory = laboratory

    def start(self):
        began = time.monotonic()
        self.server.start()
        self.laboratory.stack.callback(self.server.stop)
        return time.monotonic() - began

    @property
    def target(self):
        return measure.Target(self.server.port, [self.server.process.pid], {"many": self.credential, "one": self.credential})

    def fill(self, clients, tokens):
        accounts = max(min(ACCOUNTS, clients), -(-tokens // clients))
        lines = [f'{{"type":"account","username":"holder{number}@example.com"}}' for number in range(accounts)]
        lines += [
            '{"type":"client","client_key":"k","client_secret":"s","owner":"holder0@example.com","name":"App","callbacks":["oob"]}',
            '{"type":"token","oauth_token":"a token to copy","oauth_token_secret":"u","client_key":"k","username":"holder0@example.com"}',
        ]
        self.server.command("import", "-", stdin="\n".join(lines) + "\n")
        began = time.monotonic()
        seed(self.folder / "x.db", clients, tokens)
        # What is written behind our back would hold the commits that are measured.
        os.sync()
        say(f"made {clients} clients and {tokens} tokens in {time.monotonic() - began:.1f} s")

    def resident(self):
        return measure.resident(self.server.process.pid)

    def live_nonces(self):
        with urllib.request.urlopen(f"{self.server.base}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return int(float(next(line.split()[1] for line in lines if line.startswith("countersign_replay_nonces_live"))))


def load(place, case, seconds):
    """One run of the generator. A disk that another program keeps busy can hold every commit that long: then once more."""
    for attempt in range(3):
        try:
            result = measure.load(place.target, case, seconds)
        except RuntimeError as error:
            if attempt == 2 or "no answer" not in str(error):
                raise
            say(f"{error}; again")
        else:
            case.expected_rate = max(result["requests_per_second"] * 1.2, case.expected_rate)
            return result
    raise AssertionError("the last attempt returns or raises")


def in_turns(places, seconds, rounds, warmups=2):
    """Median requests a second of each place, measured in turns; the first runs only fill memories."""
    made = [measure.Case(str(number), "", "many", connections=256, expected_rate=60_000) for number in range(len(places))]
    for case, place in zip(made, places, strict=True):
        for _ in range(warmups):
            load(place, case, seconds)
    for _ in range(rounds):
        for case, place in zip(made, places, strict=True):
            case.results.append(load(place, case, seconds))
    rates = [statistics.median(result["requests_per_second"] for result in case.results) for case in made]
    say("requests a second: " + ", ".join(f"{rate:.0f}" for rate in rates))
    return rates


def population(laboratory, chosen):
    large, few = Place(laboratory, "scale-large"), Place(laboratory, "scale-few")
    large.fill(chosen.clients, chosen.tokens)
    few.fill(10, 10)
    few.credential = credential(10, 10, 10)
    large.credential = credential(chosen.clients, chosen.tokens, chosen.in_use)
    for place in (large, few):
        place.start()
    rates = in_turns([large, few], chosen.seconds, chosen.rounds)
    what = f"{chosen.clients:,} clients and {chosen.tokens:,} tokens"
    rows = [(f"{what}, {chosen.in_use:,} in use ÷ ten of each", rates[0] / rates[1], 0.9, True)]
    rows.append(("resident MiB with these in memory", large.resident(), None, False))
    large.credential = credential(chosen.clients, chosen.tokens, chosen.tokens)
    rates = in_turns([large, few], chosen.seconds, chosen.rounds, warmups=1)
    rows.append((f"{what}, all in use evenly: hardly any in memory ÷ ten of each", rates[0] / rates[1], None, True))
    return rows


# --- many live nonces ---


def nonces(laboratory, chosen):
    full, empty = Place(laboratory, "scale-nonces"), Place(laboratory, "scale-no-nonces")
    for place in (full, empty):
        place.fill(10, 10)
        place.credential = credential(10, 10, 10)
    idle_start = empty.start()
    done = subprocess.run(
        [FIGURES, "memory", f"{full.folder}/x.db.nonces", str(chosen.nonces)],
        check=True, capture_output=True, text=True, timeout=PATIENCE,
    )
    for line in done.stdout.splitlines():
        say(line)
    each = next(float(line.split()[0]) for line in done.stdout.splitlines() if line.endswith("bytes a nonce"))
    before = empty.resident()
    # How long a server with them takes to answer, less what one without them takes.
    starting = max(full.start() - idle_start, 0.0)
    grown = full.resident() - before
    live = full.live_nonces()
    say(f"{live} live at start, {grown:.0f} MiB more than without")
    rates = in_turns([full, empty], chosen.seconds, chosen.rounds)
    what = f"{chosen.nonces:,} live nonces"
    return [
        (f"{what}: bytes of memory each", each, 24, False),
        (f"{what}: resident bytes each in the server", grown * 1024 * 1024 / max(live, 1), None, False),
        (f"{what}: s of reading them at start", starting, 2, False),
        (f"{what}: throughput ÷ that with none", rates[0] / rates[1], 0.9, True),
    ]


# --- memory ---


def memory(laboratory, chosen):
    place = Place(laboratory, "scale-memory")
    place.start()
    idle = place.resident()
    owner = place.server.account()
    key = place.server.key(owner)
    words = base64.b64encode(f"{key.public}:{key.private}".encode()).decode()
    place.credential = {"kind": "fixed", "headers": [["Authorization", f"Basic {words}"]]}
    case = measure.Case("memory", "", "one", connections=1024, expected_rate=110_000)
    most = max(load(place, case, chosen.seconds)["resident_mib"] for _ in range(2))
    return [
        ("resident MiB idle", idle, 40, False),
        ("resident MiB under 1,024 connections, without nonces", most, 100, False),
    ]


PARTS = {"population": population, "nonces": nonces, "memory": memory}


def options(parser):
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=5_000_000)
    parser.add_argument("--in-use", type=int, default=20_000, help="tokens, evenly among all, that requests are signed with")
    parser.add_argument("--nonces", type=int, default=10_000_000)


def rows(laboratory, chosen, parts=PARTS):
    """The rows of every part, as report.bars has them: what, measured, bar or None, whether more is better."""
    made = []
    for name in parts:
        print(name, flush=True)
        made += PARTS[name](laboratory, chosen)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(parser)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--json", type=pathlib.Path, help="where the rows go besides")
    chosen = parser.parse_args()
    chosen.rounds, chosen.seconds = min(chosen.rounds, 20), min(chosen.seconds, 20)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-scale-")))
        made = rows(measure.Laboratory(folder, stack), chosen, chosen.only or PARTS)
    for what, value, bar, _ in made:
        print(f"{what:88} {value:10.2f}" + (f"  bar {bar}" if bar is not None else ""))
    if chosen.json:
        chosen.json.write_text(json.dumps(made))


if __name__ == "__main__":
    sys.exit(main())
