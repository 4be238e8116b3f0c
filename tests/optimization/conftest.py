"""Small maps go the way of large ones."""

import pytest


@pytest.fixture(autouse=True)
def every_map_through_onednn(monkeypatch):
    monkeypatch.setattr("pixalign.optimization.convolution._FEW", 0)
