"""The log is for people; who answers requests waits for none of its readers."""

import os
import pty

import pytest
import wire
from conftest import PATIENT
from harness import eventually

JUNK = [("Authorization", "OAuth " + "x" * 900)]


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
