"""`countersign demo`: walks the dance against itself, and what it prints to be pasted works when it is pasted."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import urllib.request

import pytest
from browser import Browser
from harness import Account, binary, clean_environment, free_port

STEPS = 5
SECONDS = 120


class Demo:
    """A running demonstration. `said`: all that it printed until it was ready."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [str(binary()), "demo", "--listen", f"127.0.0.1:{free_port()}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder,
            env=clean_environment(TMPDIR=str(folder)),
        )
        watchdog = threading.Timer(SECONDS, self.process.kill)
        watchdog.start()
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Press Ctrl-C"):
                break
        watchdog.cancel()
        self.said = "".join(lines)
        assert lines and lines[-1].startswith("Press Ctrl-C"), self.said[-2000:]

    @property
    def blocks(self):
        """The commands to paste, each with its comment above."""
        _, _, pasted = self.said.partition("Paste any of these into another terminal (they use curl):\n\n")
        return [block for block in pasted.split("\n\n") if block.startswith("#")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    started = Demo(folder)
    yield started
    started.process.terminate()
    assert started.process.wait(30) == 0, "Ctrl-C ends it in good order"
    started.process.stdout.close()
    assert not list(folder.glob("countersign-demo-*")), "nothing is kept"


def paste(block, folder, **more):
    """A block of commands, as a shell at a terminal would take it; without a pager, a profile or a proxy."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    # Pip finds that what it shall install is there already, so no test waits for the network.
    environment = kept | {"PYTHONPATH": sysconfig.get_paths()["purelib"], "PYTHONUNBUFFERED": "1"} | more
    return subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", block],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment,
    )


def commands_with(demo, word):
    found = [block for block in demo.blocks if word in block]
    assert found, f"the demonstration prints nothing with {word}: {demo.said[-3000:]}"
    return found


def test_every_step_is_printed_as_it_was_sent(demo):
    for step in range(1, STEPS + 1):
        assert f"\n{step}. " in "\n" + demo.said
    assert demo.said.count("base string: ") == demo.said.count("Authorization: OAuth ") == 4
    statuses = re.findall(r"-> (\d{3}) ", demo.said)
    assert set(statuses) <= {"200", "302", "303"} and statuses.count("200") >= 5


def test_the_pages_that_it_names_are_there(demo):
    named = re.findall(r"^(http://\S+/\S+)   ", demo.said, re.MULTILINE)
    assert len(named) == 3
    for page in named:
        with urllib.request.urlopen(page, timeout=SECONDS) as answer:
            assert answer.status == 200, page


def test_every_curl_command_works_when_it_is_pasted(demo, tmp_path):
    lines = [line for block in commands_with(demo, "curl") for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    lines = [line for line in lines if line.startswith("curl")]
    assert len(lines) >= 4
    credentials = set()
    for line in lines:
        pasted = paste(line.replace("curl ", "curl -sS ", 1), tmp_path)
        answer, _ = pasted.communicate(timeout=SECONDS)
        assert pasted.returncode == 0, f"{line}\n{answer}"
        said = json.loads(answer)
        assert (said["status"], said["account"]["username"]) == (200, "demo@example.com"), line
        credentials.add(said["credential"])
    assert credentials == {"basic", "digest", "api_key", "oauth1"}


def test_each_block_works_as_it_was_printed(demo, tmp_path):
    for block in (block for block in demo.blocks if "curl" in block):
        pasted = paste(block, tmp_path)
        answer, _ = pasted.communicate(timeout=SECONDS)
        assert pasted.returncode == 0 and '"status":200' in answer, f"{block}\n{answer}"


def test_the_dance_in_python_works_when_it_is_pasted(demo, tmp_path):
    (block,) = commands_with(demo, "dance.py")
    script = re.search(r"<<'END'\n(.*)\nEND\n", block, re.DOTALL).group(1)
    assert len(script.splitlines()) == 10
    username, password = re.search(r"log in as (\S+) with the password (.+?) \(", block).groups()
    if not shutil.which("python3") or subprocess.run(["python3", "-c", "import ensurepip, venv"], check=False).returncode:
        pytest.skip("python3-venv is not installed")
    # The interpreter of the tests, so that its packages are of the right kind.
    pasted = paste(block, tmp_path, PATH=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    watchdog = threading.Timer(SECONDS, pasted.kill)
    watchdog.start()
    said = []
    for line in pasted.stdout:
        said.append(line)
        if line.startswith("http"):
            verifier = Browser(Account("", username, password)).verifier(line.strip())
            pasted.stdin.write(verifier + "\n")
            pasted.stdin.close()
    watchdog.cancel()
    assert pasted.wait(SECONDS) == 0, "".join(said)
    assert "'credential': 'oauth1'" in "".join(said) and "demo@example.com" in "".join(said)
    assert len(said) > 3, "the sample API answers too"
