"""One browser for all pages of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import SHOWN, Opened, resize, started, wait


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    driver = started()
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Opened:
    """A function that opens a page at a width and waits until its time line is there."""

    def open_page(
        html: str, *, width: int = 1300, dark: bool = False, ready: str = SHOWN, part: str = ""
    ) -> Any:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        resize(browser, width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get("about:blank")  # another part of the page that is open would not be loaded
        browser.get(path.as_uri() + part)
        wait(browser, ready)
        return browser

    return open_page
