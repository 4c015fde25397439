"""axe-core finds nothing serious on any page, in both colour schemes, wide and narrow; nothing runs off a phone."""

import itertools

import pytest
from pages import PAGES, REFUSALS, Gallery


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
