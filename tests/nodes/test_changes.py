"""A change is seen by every node within a second, whoever made it: the command line or one of the nodes.

Each node has what changes in its memory beforehand, because it has just answered a request with it. SQLite has one node, and the
command line is another process.
"""

import base64

import pytest
import signer
import wire
from browser import Browser
from cluster import SOON, outcome
from dance import dance
from harness import eventually


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def world(request, new_world):
    made = new_world(request.param)
    yield made
    made.cluster.stop()


def every_node_soon_says(world, expected, send):
    """Each node gives the expected outcome within a moment, and then goes on doing so."""
    for node in world.nodes:
        assert eventually(lambda node=node: outcome(send(node)) == expected, SOON), outcome(send(node))
    for node in world.nodes:
        assert outcome(send(node)) == expected


@pytest.fixture
def known(world):
    """A client and token of the test's own that every node knows."""
    client = world.operator.client(world.owner, scopes=["thing:read"])
    token = dance(world.proxy, client, Browser(world.owner))
    for node in world.nodes:
        assert world.signed(node, token, client).status == 200
    return client, token


def test_a_token_that_the_command_line_revoked_is_soon_refused_by_every_node(world, known):
    client, token = known
    world.operator.command("token", "revoke", token.token)
    every_node_soon_says(world, (401, "token_revoked"), lambda node: world.signed(node, token, client))


@pytest.mark.parametrize("place", [0, -1])
def test_a_token_that_a_node_revoked_is_dead_there_at_once(world, known, place):
    client, token = known
    node = world.nodes[place]
    value = signer.authorization("POST", f"{world.proxy.base}/oauth/revoke", client, token)
    done = wire.send(node, "POST", "/oauth/revoke", [("Authorization", value)], b"", host=world.proxy.authority)
    assert done.status == 200, done.body
    assert outcome(world.signed(node, token, client)) == (401, "token_revoked")
    every_node_soon_says(world, (401, "token_revoked"), lambda node: world.signed(node, token, client))


def test_a_client_that_is_disabled_and_enabled_is_soon_so_at_every_node(world, known):
    client, token = known
    world.operator.command("client", "disable", client.key)
    every_node_soon_says(world, (403, "consumer_key_refused"), lambda node: world.signed(node, token, client))
    world.operator.command("client", "enable", client.key)
    every_node_soon_says(world, (200, None), lambda node: world.signed(node, token, client))


def test_a_secret_that_is_rotated_is_soon_known_to_every_node(world, known):
    client, token = known
    made = world.operator.json("client", "rotate-secret", client.key)
    every_node_soon_says(world, (401, "signature_invalid"), lambda node: world.signed(node, token, client))
    client.secret = made["client_secret"]
    every_node_soon_says(world, (200, None), lambda node: world.signed(node, token, client))


@pytest.mark.parametrize(("word", "status"), [("lock", 403), ("disable", 403)])
def test_an_account_that_is_locked_or_disabled_is_soon_so_at_every_node(world, word, status):
    holder = world.operator.account()
    client = world.operator.client(world.owner)
    token = dance(world.proxy, client, Browser(holder))
    for node in world.nodes:
        assert world.signed(node, token, client).status == 200
    world.operator.command("account", word, holder.username)
    for node in world.nodes:
        assert eventually(lambda node=node: world.signed(node, token, client).status == status, SOON)
    world.operator.command("account", "enable", holder.username)
    every_node_soon_says(world, (200, None), lambda node: world.signed(node, token, client))


def test_an_api_key_that_is_regenerated_is_soon_another_at_every_node(world):
    key = world.operator.key(world.owner)

    def send(node):
        words = base64.b64encode(f"{key.public}:{key.private}".encode()).decode()
        return world.ask([("Authorization", f"Basic {words}")], node)

    for node in world.nodes:
        assert send(node).status == 200
    made = world.operator.json("key", "regenerate", key.public)
    every_node_soon_says(world, (401, None), send)
    key.private = made["private_key"]
    every_node_soon_says(world, (200, None), send)


def test_a_password_that_is_changed_is_soon_another_at_every_node(world):
    holder = world.operator.account()
    client = world.operator.client(holder)

    def send(node):
        words = base64.b64encode(f"{holder.username}:{holder.password}".encode()).decode()
        return world.ask([("Authorization", f"Basic {words}"), ("X-Client-Key", client.key)], node)

    for node in world.nodes:
        assert send(node).status == 200
    world.operator.command("account", "set-password", holder.username, "--password-stdin", stdin="another horse")
    every_node_soon_says(world, (401, None), send)
    holder.password = "another horse"
    every_node_soon_says(world, (200, None), send)
