"""The browser of these tests itself: what it must not pass over."""

import pytest
from elsewhere import Site
from harness import eventually

# Each loads something that is not there.
LOADED = {
    "stylesheet": "<link rel=stylesheet href=/missing>",
    "icon": "<link rel=icon href=/missing>",
    "script": "<script src=/missing></script>",
    "image": "<img src=/missing alt=''>",
    "call": "<script>fetch('/missing')</script>",
}


@pytest.fixture(scope="module")
def site():
    """A site with a page for each of these, and nothing else."""

    def answer(path):
        given = LOADED.get(path[1:])
        icon = "" if path == "/icon" else "<link rel=icon href=data:,>"
        return 200 if given else 404, f"<!doctype html><title>Page</title>{icon}{given or ''}"

    with Site(answer) as made:
        yield made.base


@pytest.fixture
def visitor(chromes):
    """A browser whose complaints are the subject."""
    browser = chromes()
    browser.forget()
    return browser


def test_a_page_that_is_a_refusal_is_no_complaint(visitor, site):
    visitor.open(f"{site}/missing")
    assert visitor.complaints() == []


@pytest.mark.parametrize("kind", LOADED)
def test_what_a_page_loads_and_does_not_get_is_a_complaint(kind, visitor, site):
    visitor.open(f"{site}/{kind}")
    found = eventually(visitor.complaints)
    assert len(found) == 1 and found[0].startswith(f"{site}/missing "), found
