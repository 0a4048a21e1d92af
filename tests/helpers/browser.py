"""Pages in a real chromium: opened from a file, waited for, and looked at as a reader would."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

CHROME = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
DRIVER = shutil.which("chromedriver") or ""
Opened = Callable[..., Any]
SHOWN = "document.getElementById('schedule').dataset.shown"
_with_chromium = pytest.mark.skipif(
    not (CHROME and DRIVER),
    reason="no chromium with its chromedriver on this machine (apt-get install chromium-driver)",
)


def needs_a_browser(test: Callable[..., None]) -> Callable[..., None]:
    """Slow: a browser starts, and draws every page that is opened."""
    marked: Callable[..., None] = pytest.mark.slow(_with_chromium(test))
    return marked


def started() -> Any:
    """A browser without a window, which keeps what it logs and asks the network for."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROME
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(60)
    return driver


def wait(browser: Any, condition: str) -> Any:
    """Until a JavaScript expression is truthy; its value."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60, 0.05).until(
        lambda driver: driver.execute_script(f"return {condition}")
    )


def resize(browser: Any, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def mouse(browser: Any, kind: str, x: float, y: float, *, clicks: int = 0) -> None:
    """The mouse at a place of the window: "mousePressed", "mouseMoved" or "mouseReleased"."""
    browser.execute_cdp_cmd(
        "Input.dispatchMouseEvent",
        {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": clicks},
    )


def dragged(browser: Any, selector: str, start: float, end: float, *, y: float = 20) -> None:
    """Drags over an element, from and to so many pixels from its left edge."""
    left, top = browser.execute_script(
        "const part = document.querySelector(arguments[0]);"
        "part.scrollIntoView({block: 'center'});"
        "const box = part.getBoundingClientRect(); return [box.left, box.top]",
        selector,
    )
    mouse(browser, "mousePressed", left + start, top + y, clicks=1)
    mouse(browser, "mouseMoved", left + end, top + y)
    mouse(browser, "mouseReleased", left + end, top + y, clicks=1)
