"""Curves are written, but blank: drawing them takes longer than the steps of a short run."""

from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

SAVE = Figure.savefig


def save_blank(self: Figure, file: Any, **options: Any) -> None:
    Image.new("RGB", (8, 8)).save(file, options.get("format"))


@pytest.fixture(autouse=True)
def blank_curves() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save_blank)
        yield


@pytest.fixture
def drawn_curves(blank_curves: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves as a user gets them."""
    monkeypatch.setattr(Figure, "savefig", SAVE)
