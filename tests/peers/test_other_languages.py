"""OAuth 1.0a libraries of other languages, unmodified, do the whole dance: Node, Ruby, Perl, PHP, Java, Go and C.

Each has a small driver. In: base address, client key, client secret, callback, signature method, path of the RSA private
key, as arguments. Out: a line with the authorize URL; then it reads a line with the verifier, which the test fetches as
the account holder would; then JSON with the identity it was told and the status of each request it made.
"""

import json
import os
import pathlib
import subprocess

import pytest
from programs import HERE, SECONDS, converse, needs, node_script, not_run, succeeds

SIGNPOST = ["/usr/share/java/signpost-core.jar", "/usr/share/java/commons-codec.jar"]
GOCODE = pathlib.Path("/usr/share/gocode")


@pytest.fixture(scope="session")
def node():
    return node_script("oauth.js", "oauth")


@pytest.fixture(scope="session")
def ruby():
    program = needs("ruby", "ruby")
    if not succeeds(program, "-e", "require 'oauth'"):
        not_run("there is no Ruby gem oauth (Debian's package ruby-oauth)")
    return [program, str(HERE / "ruby/oauth.rb")]


@pytest.fixture(scope="session")
def perl():
    program = needs("perl", "perl")
    if not succeeds(program, "-MNet::OAuth", "-MLWP::UserAgent", "-MCrypt::OpenSSL::RSA", "-e", "1"):
        not_run("Perl has no Net::OAuth (libnet-oauth-perl, libwww-perl, libcrypt-openssl-rsa-perl)")
    return [program, str(HERE / "perl/oauth.pl")]


@pytest.fixture(scope="session")
def php():
    program = needs("php", "php-cli")
    if not succeeds(program, "-r", "exit(extension_loaded('oauth') ? 0 : 1);"):
        not_run("PHP has no extension oauth (Debian's package php-oauth)")
    return [program, str(HERE / "php/oauth.php")]


@pytest.fixture(scope="session")
def java(tmp_path_factory):
    compiler = needs("javac", "openjdk-17-jdk-headless")
    if not all(pathlib.Path(jar).exists() for jar in SIGNPOST):
        not_run("there is no Signpost (Debian's package liboauth-signpost-java)")
    folder = tmp_path_factory.mktemp("java")
    path = ":".join(SIGNPOST)
    subprocess.run([compiler, "-cp", path, "-d", folder, HERE / "java/Signpost.java"], check=True, timeout=SECONDS)
    return [needs("java", "openjdk-17-jdk-headless"), "-cp", f"{path}:{folder}", "Signpost"]


def go_program(name, package, tmp_path_factory):
    compiler = needs("go", "golang-go")
    if not (GOCODE / "src/github.com" / name).is_dir():
        not_run(f"there is no Go package {name} (Debian's package {package})")
    made = tmp_path_factory.mktemp("go") / "driver"
    source = HERE / "go" / f"{name.split('/')[0]}.go"
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(GOCODE), "GOFLAGS": ""}
    subprocess.run([compiler, "build", "-o", made, source], check=True, env=environment, timeout=SECONDS)
    return [str(made)]


@pytest.fixture(scope="session")
def go_gomodule(tmp_path_factory):
    return go_program("gomodule/oauth1", "golang-github-gomodule-oauth1-dev", tmp_path_factory)


@pytest.fixture(scope="session")
def go_mrjones(tmp_path_factory):
    return go_program("mrjones/oauth", "golang-github-mrjones-oauth-dev", tmp_path_factory)


@pytest.fixture(scope="session")
def c(tmp_path_factory):
    compiler = needs("cc", "build-essential")
    flags = subprocess.run(
        [needs("pkg-config", "pkg-config"), "--cflags", "--libs", "oauth", "libcurl"], capture_output=True, text=True
    )
    if flags.returncode != 0:
        not_run("there is no liboauth (Debian's packages liboauth-dev, libcurl4-openssl-dev)")
    made = tmp_path_factory.mktemp("c") / "driver"
    source = HERE / "c/liboauth.c"
    subprocess.run([compiler, "-o", made, source, *flags.stdout.split()], check=True, timeout=SECONDS)
    return [str(made)]


DRIVERS = [
    ("node", "HMAC-SHA1"),
    ("node", "RSA-SHA1"),
    ("ruby", "HMAC-SHA1"),
    ("ruby", "RSA-SHA1"),
    ("perl", "HMAC-SHA1"),
    ("perl", "HMAC-SHA256"),
    ("perl", "RSA-SHA1"),
    ("php", "HMAC-SHA1"),
    ("php", "HMAC-SHA256"),
    ("php", "RSA-SHA1"),
    ("java", "HMAC-SHA1"),
    ("go_gomodule", "HMAC-SHA1"),
    ("go_gomodule", "RSA-SHA1"),
    ("go_mrjones", "HMAC-SHA1"),
    ("go_mrjones", "RSA-SHA1"),
    ("c", "HMAC-SHA1"),
]


def run(command, server, client, method, browser):
    arguments = [server.base, client.key, client.secret, client.callback, method, str(client.rsa_private_key)]
    return json.loads(converse(command, arguments, browser.verifier))


@pytest.mark.parametrize(("language", "method"), DRIVERS)
def test_the_whole_dance_works_and_a_wrong_secret_is_refused(
    language, method, request, server, client, browser, holder
):
    result = run(request.getfixturevalue(language), server, client, method, browser)
    assert result["me"] == 200
    assert result["identity"]["account"] == {"id": holder.id, "username": holder.username}
    assert result["identity"]["client"]["client_key"] == client.key
    assert result["identity"]["credential"] == "oauth1"
    assert result["odd"] == 200
    assert result["post"] == 200
    if not method.startswith("RSA"):
        assert result["wrong_token_secret"] == 401
        assert result["wrong_client_secret"] == 401
