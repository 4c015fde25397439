"""The log is for people; who answers requests waits for none of its readers."""

import json
import os
import pty

import pytest
import signer
import wire
from conftest import PATIENT
from harness import eventually

JUNK = [("Authorization", "OAuth " + "x" * 900)]


def test_a_refusal_is_a_line_with_its_code_and_its_client(server, developer):
    client = server.client(developer)
    path = "/oauth/request_token"
    signed = signer.authorization("POST", f"{server.base}{path}", client, oauth_callback=client.callback)
    wrong = signed.replace('oauth_signature="', 'oauth_signature="x')
    assert wire.send(server, "POST", path, [("Authorization", wrong)]).form["oauth_problem"] == "signature_invalid"
    lines = [json.loads(line)["fields"] for line in server.log_text().splitlines() if client.key in line]
    assert lines == [{
        "message": "request refused", "status": 401, "method": "POST", "path": path, "client": "127.0.0.1",
        "client_key": client.key, "reason": "signature_invalid",
    }]


@pytest.fixture
def quiet(new_server):
    server = new_server(PATIENT, "logs")
    server.stop()
    server.environment["RUST_LOG"] = "trace"
    yield server
    server.kill()


def answers(server, times):
    """Each request is answered, and each leaves lines in the log."""
    return [wire.send(server, "GET", "/v2/me", JUNK).status for _ in range(times)] == [400] * times


def test_a_reader_that_reads_nothing_holds_nobody_up_and_hears_what_it_missed(quiet):
    reader, writer = os.pipe()
    quiet.start(stderr=writer)
    os.close(writer)
    os.set_blocking(reader, False)
    assert answers(quiet, 3000)
    said = b""

    def heard():
        nonlocal said
        try:
            said += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return b"log lines were lost" in said

    assert eventually(heard, 30)
    quiet.stop()
    os.close(reader)


def test_a_reader_that_has_gone_holds_nobody_up(quiet):
    reader, writer = os.pipe()
    quiet.start(stderr=writer)
    os.close(writer)
    os.close(reader)
    assert answers(quiet, 50)
    quiet.stop()
    assert quiet.process.returncode == 0


def test_a_terminal_that_nobody_reads_holds_nobody_up(quiet):
    reader, writer = pty.openpty()
    quiet.start(stderr=writer)
    os.close(writer)
    assert answers(quiet, 400)
    quiet.stop()
    os.close(reader)


def test_a_log_on_a_full_disk_holds_nobody_up(quiet):
    with open("/dev/full", "wb") as full:
        quiet.start(stderr=full)
    assert answers(quiet, 50)
    quiet.stop()
    assert quiet.process.returncode == 0
