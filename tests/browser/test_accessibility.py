"""axe-core finds nothing serious on any page, in both colour schemes, wide and narrow; nothing runs off a phone."""

import pytest
from pages import PAGES, Gallery


@pytest.fixture(scope="module")
def gallery(chromes, server, app):
    return Gallery(chromes(), server, app)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_used_by_everybody(page, gallery):
    chrome = gallery.chrome
    chrome.forget()
    gallery.show(page)
    found = []
    for scheme, width in (("light", 1200), ("dark", 390)):
        chrome.scheme(scheme)
        chrome.size(width, 900, phone=width < 600)
        assert chrome.run("return document.documentElement.scrollWidth") <= width, f"{page} is wider than {width} pixels"
        found += [f"{scheme}: {violation}" for violation in chrome.violations()]
    chrome.size(1200, 900)
    assert found == []
    assert chrome.complaints() == []
    assert chrome.run("return document.documentElement.lang") == "en" and chrome.heading
