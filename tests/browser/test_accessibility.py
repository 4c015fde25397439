"""axe-core finds nothing serious on any page, in both colour schemes, wide and narrow; nothing runs off a phone, in the
longer words of German either."""

import contextlib
import itertools

import pytest
from pages import PAGES, REFUSALS, Gallery

# What the pages are brought onto the screen by.
GERMAN = {
    "Log in": "Anmelden",
    "Log out": "Abmelden",
    "Allow": "Erlauben",
    "Deny": "Ablehnen",
    "Revoke all": "Allen entziehen",
    "Create app": "App anlegen",
    "Create key": "Schlüssel anlegen",
    "This request has expired": "Diese Anfrage ist abgelaufen",
}


@pytest.fixture(scope="module")
def gallery(chromes, server, new_server, app):
    return Gallery(chromes(), server, app, new_server("[oauth]\nrequest_token_ttl_seconds = 1\n", "impatient"))


@pytest.mark.parametrize("page", [*PAGES, *REFUSALS])
def test_a_page_can_be_used_by_everybody(page, gallery):
    chrome = gallery.chrome
    chrome.forget()
    gallery.show(page)
    assert chrome.heading == REFUSALS.get(page, chrome.heading)
    found = []
    for scheme, width in itertools.product(("light", "dark"), (1200, 390)):
        chrome.scheme(scheme)
        chrome.size(width, 900, phone=width < 600)
        assert chrome.run("return document.documentElement.scrollWidth") <= width, f"{page} is wider than {width} pixels"
        found += [f"{scheme}, {width} pixels: {violation}" for violation in chrome.violations()]
    chrome.scheme("light")
    chrome.size(1200, 900)
    assert found == []
    assert chrome.complaints() == []
    assert chrome.run("return document.documentElement.lang") == "en" and chrome.heading


@contextlib.contextmanager
def in_german(gallery, chrome):
    """The gallery in another browser, whose language is German."""
    english, gallery.chrome, chrome.words = gallery.chrome, chrome, GERMAN
    try:
        yield
    finally:
        gallery.chrome, chrome.words = english, {}


@pytest.mark.parametrize("page", [*PAGES, *REFUSALS])
def test_a_page_in_german_fits_a_phone(page, gallery, chromes):
    chrome = chromes(language="de")
    chrome.forget()
    with in_german(gallery, chrome):
        gallery.show(page)
    chrome.size(390, 900, phone=True)
    width, found = chrome.run("return document.documentElement.scrollWidth"), chrome.violations()
    chrome.size(1200, 900)
    assert chrome.run("return document.documentElement.lang") == "de"
    assert width <= 390 and found == []
    assert chrome.complaints() == []
