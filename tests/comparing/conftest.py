"""Drawn streets to compare on."""

import pytest

from comparing.made import write_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("streets") / "data")
