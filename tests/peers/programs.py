"""Finding the programs of other languages, and saying what is not there: such tests are skipped, never passed."""

import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
SECONDS = 120


def not_run(why):
    pytest.skip(f"not run: {why}")


def needs(program, package):
    found = shutil.which(program)
    if not found:
        not_run(f"there is no {program} (Debian's package {package})")
    return found


def succeeds(*command):
    return subprocess.run(command, capture_output=True, timeout=SECONDS).returncode == 0


def node_script(name, package):
    """The command for a script of node/ that needs an npm package."""
    program = needs("node", "nodejs")
    if not pathlib.Path(node_modules(), package).is_dir():
        not_run(f"the npm package {package} is not installed")
    return [program, str(HERE / "node" / name)]


def node_modules():
    return os.environ.get("PEERS_NODE_MODULES", "")


def environment(**more):
    return os.environ | {"NODE_PATH": node_modules()} | more


def run(command, *arguments, **more):
    """Run to the end and return standard output; a failure shows what the program said."""
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=SECONDS, env=environment(), **more
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr or done.stdout}"
    return done.stdout


def converse(command, arguments, answer, **more):
    """Start a driver, hand its first line to `answer`, send what that returns, and return the rest of its output."""
    driver = subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )
    try:
        line = driver.stdout.readline().strip()
        if not line:
            pytest.fail(f"no authorize URL: {driver.communicate(timeout=SECONDS)[1]}")
        said, complaint = driver.communicate(answer(line) + "\n", timeout=SECONDS)
        assert driver.returncode == 0, complaint
        return said
    finally:
        driver.kill()
        driver.wait()
