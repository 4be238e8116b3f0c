"""Pages in Debian's chromium, driven by Playwright, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


@dataclass
class Opened:
    """What a page became.

    Attributes:
        picture: of the window, RGB.
        document: the HTML after scripts have run.
        console: messages of scripts and of the browser about the page.
    """

    picture: Image.Image
    document: str
    console: list[str]


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield Playwright's handle of a browser; the test is skipped where chromium or Playwright is missing."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--use-fake-device-for-media-stream",  # a camera that shows a test picture
                "--use-fake-ui-for-media-stream",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


def listen(page: Any) -> list[str]:
    """The list that from now on takes what a page's scripts and its browser say: empty where nothing goes wrong."""
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
    return said


def open_page(page: Path, folder: Path, width: int = 1200, height: int = 1600, dark: bool = False) -> Opened:
    """Open a page in a window of a size (pixels); the test is skipped where there is no chromium.

    Args:
        page: the file.
        folder: for the picture.
        width, height: the window's.
        dark: whether the reader prefers dark pages.
    """
    screenshot = folder / f"{page.stem}-{width}{'-dark' * dark}.png"
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
        console = listen(tab)
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=screenshot)
        document = tab.content()
    with Image.open(screenshot) as picture:
        return Opened(picture.convert("RGB"), document, console)
