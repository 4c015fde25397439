"""Three nodes behind HAProxy are one server: what one has accepted or changed holds on all, and none of them is missed."""

import base64
import collections
import http.server
import shutil
import signal
import socket
import threading

import databases
import pytest
import requests
import signer
import wire
from cluster import DRAIN, SOON, HAProxy, Load, outcome
from harness import STOP_SECONDS, CommandFailed, at_once, eventually

COPIES = 50


def test_fifty_concurrent_copies_of_one_request_spread_over_the_nodes_give_exactly_one_200(world):
    for _ in range(3):
        value = signer.authorization("GET", f"{world.proxy.base}/v2/me", world.client, world.token)
        answers = at_once([lambda: world.ask([("Authorization", value)])] * COPIES)
        counted = collections.Counter(outcome(answer) for answer in answers)
        assert counted == {(200, None): 1, (401, "nonce_used"): COPIES - 1}


def test_a_copy_for_each_node_at_the_same_moment_gives_exactly_one_200(world):
    for _ in range(20):
        value = signer.authorization("GET", f"{world.proxy.base}/v2/me", world.client, world.token)
        actions = [lambda node=node: world.ask([("Authorization", value)], node) for node in world.nodes]
        assert sorted(map(outcome, at_once(actions)), key=str) == [(200, None)] + [(401, "nonce_used")] * 2


def test_every_step_of_a_dance_may_be_another_nodes(world):
    for _ in range(len(world.nodes)):
        token = world.dance()
        for node in world.nodes:
            assert world.signed(node, token).status == 200


def test_a_jwt_of_one_node_is_good_at_every_other(world):
    key = world.operator.key(world.owner)
    words = base64.b64encode(f"{key.public}:{key.private}".encode()).decode()
    headers = [("Authorization", f"Basic {words}")]
    for issuer in world.nodes:
        made = wire.send(issuer, "POST", "/api/auth/jwt", headers, b"", host=world.proxy.authority)
        assert made.status == 200, made.body
        for node in world.nodes:
            assert world.ask([("Authorization", f"Bearer {made.json['token']}")], node).status == 200


def test_digest_gets_in_whichever_node_is_asked(world):
    holder = world.operator.account()
    client = world.operator.client(holder)
    with requests.Session() as session:
        session.trust_env = False
        session.auth = requests.auth.HTTPDigestAuth(holder.username, holder.password)
        for _ in range(6):
            answer = session.get(f"{world.proxy.base}/v2/me", headers={"X-Client-Key": client.key}, timeout=30)
            assert (answer.status_code, answer.json()["credential"]) == (200, "digest")


def all_used(world, accepted, nodes):
    """Nothing that was accepted is accepted again, by nobody."""
    for number, value in enumerate(accepted):
        answer = world.ask([("Authorization", value)], nodes[number % len(nodes)])
        assert outcome(answer) == (401, "nonce_used")


@pytest.mark.parametrize("place", [0, 2])
def test_a_node_that_is_killed_under_load_loses_nothing_and_the_others_go_on(world, place):
    node = world.nodes[place]
    others = [other for other in world.nodes if other is not node]
    with Load(world.proxy, world.client, world.token) as load:
        load.wait_for_more(200)
        node.kill()
        load.wait_for_more(200)
        assert eventually(lambda: world.proxy.up() == 2)
        # From here on nobody is sent where nobody is.
        before = len(load.failed)
        load.wait_for_more(200)
        assert load.failed[before:] == []
    all_used(world, load.accepted, others)
    node.start()
    all_used(world, load.accepted, [node])
    assert world.signed(node).status == 200
    assert eventually(lambda: world.proxy.up() == 3)


def restart_each(world, load):
    for node in world.nodes:
        node.process.send_signal(signal.SIGTERM)
        # HAProxy has noticed before the first connection ends, and the node serves meanwhile.
        assert eventually(lambda: world.proxy.up() == 2, DRAIN)
        assert not node.is_ready()
        assert world.signed(node).status == 200
        assert node.process.wait(STOP_SECONDS) == 0
        node.stop()
        load.wait_for_more(50)
        node.start()
        assert eventually(lambda: world.proxy.up() == 3)
        load.wait_for_more(50)


def test_a_rolling_restart_fails_no_request(world):
    asking = Load(world.proxy, world.client, world.token, threads=6)
    sending = Load(world.proxy, world.client, world.token, threads=6, verb="POST")
    temporary = {"verb": "POST", "path": "/oauth/request_token", "oauth_callback": world.client.callback}
    dancing = Load(world.proxy, world.client, None, threads=3, **temporary)
    with asking as load, sending, dancing:
        for one in (asking, sending, dancing):
            one.wait_for_more(50)
        restart_each(world, load)
    assert (asking.failed, sending.failed, dancing.failed) == ([], [], [])
    assert len(dancing.accepted) > 100
    all_used(world, load.accepted[::5], world.nodes)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_waits_for_its_proxy_serves_until_it_is_told_again(second, new_node):
    node = new_node(None, config="[server]\ndrain_seconds = 60\n").start()
    node.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: not node.is_ready())
    ready = wire.send(node, "GET", "/health/ready")
    assert (ready.status, ready.json) == (503, {"status": "stopping", "database": "ready", "replay": "ready"})
    assert wire.send(node, "GET", "/v2/me").status == 401
    node.process.send_signal(second)
    assert node.process.wait(STOP_SECONDS) == 0


def test_the_master_key_is_changed_without_a_failed_request(new_world):
    """The steps of docs/OPERATIONS.md for several nodes."""
    world = new_world("postgres")
    old, new = databases.MASTER_KEY, base64.b64encode(b"a new master key, 32 bytes long.").decode()

    def give(keys):
        for node in world.nodes:
            node.environment["COUNTERSIGN_MASTER_KEY"] = keys

    with Load(world.proxy, world.client, world.token, threads=4) as load:
        for keys in (f"{old} {new}", f"{new} {old}"):
            give(keys)
            restart_each(world, load)
        world.operator.command("reseal")
        give(new)
        restart_each(world, load)
    assert load.failed == []
    assert world.signed(token=world.dance()).status == 200
    give(old)
    with pytest.raises(CommandFailed):
        world.operator.command("export", "-")
    world.cluster.stop()


def test_a_node_that_is_told_to_end_answers_what_is_under_way_and_takes_nothing_new(world):
    node = world.nodes[1]
    url = f"{world.proxy.base}/oauth/request_token"
    form = signer.form_encoded(signer.sign("POST", url, world.client, oauth_callback=world.client.callback)).encode()
    kind = [("Content-Type", "application/x-www-form-urlencoded")]
    made = wire.request_bytes("POST", "/oauth/request_token", world.proxy.authority, kind, form)
    with (
        socket.create_connection((node.host, node.port), timeout=30) as idle,
        socket.create_connection((node.host, node.port), timeout=30) as under_way,
    ):
        idle.sendall(f"GET /health/live HTTP/1.1\r\nHost: {node.authority}\r\n\r\n".encode())
        assert wire.read_answer(idle).status == 200
        under_way.sendall(made[:-50])
        # It has seen the first half when it answers who came later.
        assert world.signed(node).status == 200
        node.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        assert eventually(lambda: not node.is_ready(), SOON)
        under_way.sendall(made[-50:])
        answer = wire.read_answer(under_way, "POST")
    assert answer.status == 200, answer.body
    node.stop()
    assert node.process.returncode == 0
    node.start()
    assert eventually(lambda: world.proxy.up() == 3)


def test_a_redis_that_was_emptied_while_no_node_ran_lets_nothing_in_twice(new_world):
    world = new_world("redis")
    value = signer.authorization("GET", f"{world.proxy.base}/v2/me", world.client, world.token)
    assert outcome(world.ask([("Authorization", value)])) == (200, None)
    for node in world.nodes:
        node.stop()
    assert world.cluster.redis.answers(b"FLUSHALL\r\n") == b"+OK\r\n"
    world.nodes[0].start()
    assert outcome(world.ask([("Authorization", value)], world.nodes[0])) == (401, "timestamp_refused")
    world.cluster.stop()


class Breaking:
    """Answers the probe, and breaks off whatever else it is asked, after it has read it."""

    def __init__(self):
        self.asked = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/health/ready":
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self.do_POST()

            def do_POST(self):
                owner.asked.append(self.command)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            do_PUT = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.authority = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(("verb", "times"), [("POST", 1), ("PUT", 1), ("GET", 4)])
def test_haproxy_sends_only_what_changes_nothing_to_another_node(verb, times, tmp_path):
    if not shutil.which("haproxy", path="/usr/sbin:/usr/bin"):
        pytest.skip("haproxy is not installed")
    nodes = [Breaking() for _ in range(3)]
    proxy = HAProxy(tmp_path, nodes).start()
    try:
        made = wire.request_bytes(verb, "/things", proxy.authority, [], b"pay=1" if verb != "GET" else None)
        assert wire.exchange((proxy.host, proxy.port), made, verb).status == 502
        assert sum((node.asked for node in nodes), []) == [verb] * times
    finally:
        proxy.stop()
        for node in nodes:
            node.stop()


@pytest.mark.parametrize("path", ["/authz/nginx", "/authz/forward", "/%61uthz/envoy/x", "/authz/envoy/%zz"])
def test_haproxy_hands_no_question_of_a_client_on(world, path):
    metadata = [("X-Original-Method", "GET"), ("X-Original-URL", f"{world.proxy.base}/things"), ("X-Forwarded-Uri", "/things")]
    answer = wire.send(world.proxy, "GET", path, metadata)
    assert answer.status in (400, 404) and not answer.all("X-Auth-Error")

