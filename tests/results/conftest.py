"""A browser for the tests of the page, one for those of a file: others may start their own."""

from __future__ import annotations

from pathlib import Path

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        found = p.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield found
        found.close()


@pytest.fixture
def opened(browser):
    """A function that opens a page at a size; the test fails if it logs or asks for anything."""
    said: list[str] = []
    pages = []

    def open_page(path: Path, width: int = 1280, height: int = 850, hash="", scheme="light"):
        size = {"width": width, "height": height}
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda r: said.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
        )
        page.goto(path.as_uri() + hash)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not said
