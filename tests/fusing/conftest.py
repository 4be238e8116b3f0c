"""Small and narrow maps go the way of large and wide ones."""

import pytest


@pytest.fixture(autouse=True)
def every_map_as_a_large_one(monkeypatch):
    monkeypatch.setattr("pixalign.fusing.convolution._FEW", 0)
    monkeypatch.setattr("pixalign.fusing.convolution._WIDE", 0)
