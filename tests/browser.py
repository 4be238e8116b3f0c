"""Pages of HTML in Debian's chromium, without a window."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

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


def open_page(page: Path, folder: Path, width: int = 1200, height: int = 1600, dark: bool = False) -> Opened:
    """Open a page in a window of a size (pixels); the test is skipped where there is no chromium.

    Args:
        page: the file.
        folder: for the picture and the browser's own files.
        width, height: the window's.
        dark: whether the reader prefers dark pages.
    """
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    screenshot = folder / f"{page.stem}-{width}{'-dark' * dark}.png"
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'browser'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--window-size={width},{height}",
            f"--screenshot={screenshot}",
            "--dump-dom",
            page.resolve().as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert screenshot.is_file(), done.stderr
    with Image.open(screenshot) as picture:
        return Opened(picture.convert("RGB"), done.stdout, re.findall(r"CONSOLE.*", done.stderr))
