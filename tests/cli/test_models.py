"""The list of networks and aligners: everything is in it, with its cost and its paper."""

import io
import re

import pytest

from pixalign.aligners import ALIGNERS
from pixalign.cli import main
from pixalign.models import create_model, list_models
from pixalign.models.cost import cost


@pytest.fixture(scope="module")
def tables():
    """Per table {name: (parameters, GFLOPs, what it is)}, as printed for a small encoder and image."""
    patch = pytest.MonkeyPatch()
    patch.setenv("COLUMNS", "200")
    printed = io.StringIO()
    patch.setattr("sys.stdout", printed)
    assert main(["models", "--encoder", "test_resnet", "--size", "64x97"]) == 0
    patch.undo()
    found = []
    for line in printed.getvalue().splitlines():
        if line.startswith(("networks", "aligners")):
            found.append({})
        elif line.startswith("│"):
            name, parameters, operations, what = (cell.strip() for cell in line.strip("│").split("│"))
            found[-1][name] = (float(parameters), float(operations), what)
    return found


def test_every_network_and_every_aligner_is_listed(tables):
    networks, aligners = tables
    assert list(networks) == list_models()
    assert list(aligners) == sorted(ALIGNERS)


def test_each_says_where_it_comes_from(tables):
    networks, aligners = tables
    for name, (_, _, what) in (*networks.items(), *aligners.items()):
        assert re.search(r"arXiv \d{4}\.\d{5}", what) or name == "aligned_fpn", (name, what)
    assert networks["sfnet"][2] == aligners["flow"][2]
    assert "DDSM" in networks["ddsm"][2]


def test_cost_is_that_of_the_network_and_an_aligners_what_it_adds(tables):
    networks, aligners = tables
    parameters, operations = cost(create_model("sfnet", encoder="test_resnet"), (1, 3, 64, 97))
    assert networks["sfnet"][:2] == (round(parameters / 1e6, 2), round(operations / 1e9, 1))
    assert aligners["bilinear"][:2] == (0, 0)
    frame = {"encoder": "test_resnet", "channels": 144}
    with_flow = cost(create_model("aligned_fpn", aligner="flow", **frame), (1, 3, 64, 97))
    plain = cost(create_model("aligned_fpn", **frame), (1, 3, 64, 97))
    added = (with_flow[0] - plain[0]) / 1e6, (with_flow[1] - plain[1]) / 1e9
    assert aligners["flow"][:2] == (round(added[0], 2), round(added[1], 1))
