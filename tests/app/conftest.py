"""The page as a visitor gets it: `pixalign app` in a process of its own, and a browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pixalign
from browser import chromium
from networks import randomized
from pixalign.data.sets.camvid import CLASSES, COLORS

PATIENCE = 240  # seconds


@dataclass
class Served:
    """A running `pixalign app`.

    Attributes:
        address: of the page.
        models: those it offers, as named on the command line: the bundled one and a small one with random weights.
        folder: in which it keeps its files.
    """

    address: str
    models: list[str]
    folder: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`pixalign app` on a free port; skipped where gradio is not installed."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
    folder = tmp_path_factory.mktemp("app")
    small = randomized(pixalign.create_model("bialignnet", encoder="test_resnet", num_classes=11, channels=32)).eval()
    small.config.classes, small.config.colors = list(CLASSES), [list(color) for color in COLORS]
    pixalign.save(small, folder / "small")
    models = ["default", str(folder / "small")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = folder / "files"
    files.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-m", "pixalign", "app", "--models", *models, "--port", str(port)],
        env=os.environ | {"TMPDIR": str(files)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_for(address, server)
        yield Served(address, models, files)
    finally:
        server.terminate()
        said = server.communicate(timeout=60)[0]
    assert "Traceback" not in said, said
    assert server.returncode == 0, said
    assert not [path for path in files.rglob("*") if path.is_file()]  # what visitors uploaded is gone


def wait_for(address: str, server: subprocess.Popen) -> None:
    """Return when the server answers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended: {server.stdout.read() if server.stdout else ''}"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(f"no answer within {PATIENCE} s")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skipped where it or Playwright is missing."""
    with chromium() as opened:
        yield opened
