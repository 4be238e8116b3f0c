"""Costs: measured by turns, once for a machine and a set of networks."""

import json
import statistics

import pytest
import torch
import yaml
from torch import nn

from comparing.made import content
from pixalign.comparing import measure
from pixalign.comparing.config import expand, read_comparison
from pixalign.comparing.measure import measure_costs, time_by_turns

CPU = torch.device("cpu")


class Clock(nn.Module):
    """A network that writes its name into a list and takes a given time by a clock of its own."""

    def __init__(self, name, seconds, calls, now):
        super().__init__()
        self.name, self.seconds, self.calls, self.now = name, seconds, calls, now
        self.config = {"mean": [0.5] * 3, "std": [0.5] * 3}

    def forward(self, image):
        self.calls.append(self.name)
        self.now[0] += self.seconds


@pytest.fixture
def runs(tmp_path):
    file = tmp_path / "compare.yaml"
    methods = {
        "bilinear": {},
        "wrong": {"model": {"options": {"aligner": "none"}}},
        "flow": {"model": {"name": "sfnet"}},
    }
    file.write_text(yaml.safe_dump(content("data", tmp_path / "out", methods=methods)))
    return expand(read_comparison(file))


def test_networks_take_turns_and_none_is_always_the_first(monkeypatch):
    calls, now = [], [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    networks = {name: Clock(name, seconds, calls, now).eval() for name, seconds in (("a", 0.1), ("b", 0.3), ("c", 0.2))}
    times = time_by_turns(networks, (1, 3, 32, 32), CPU)
    rounds = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert rounds[2:6] == ["abc", "bca", "cab", "abc"]  # after the warm-up
    assert {name: statistics.median(taken) for name, taken in times.items()} == pytest.approx(
        {"a": 0.1, "b": 0.3, "c": 0.2}
    )


def test_slow_networks_have_fewer_rounds(monkeypatch):
    calls, now = [], [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    times = time_by_turns({"a": Clock("a", 1000.0, calls, now).eval()}, (1, 3, 32, 32), CPU)
    assert len(times["a"]) == 5


def test_costs_are_measured_once_and_again_where_something_has_changed(runs, tmp_path, monkeypatch):
    file = tmp_path / "cost.json"
    monkeypatch.setattr(
        measure, "time_by_turns", lambda networks, *rest: {name: [0.1 * (i + 1)] * 3 for i, name in enumerate(networks)}
    )
    first = measure_costs(runs, "bilinear", 11, (64, 96), CPU, file)
    assert set(first["methods"]) == {"bilinear", "flow"}  # what cannot be built is left out
    assert first["methods"]["flow"]["ratio"] == pytest.approx(2)
    assert first["methods"]["flow"]["parameters"] > first["methods"]["bilinear"]["parameters"] > 10_000
    assert first["methods"]["bilinear"]["operations"] > 1e6

    def refuse(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(measure, "time_by_turns", refuse)
    assert measure_costs(runs, "bilinear", 11, (64, 96), CPU, file) == first
    with pytest.raises(AssertionError, match="measured again"):
        measure_costs(runs, "bilinear", 11, (64, 128), CPU, file)
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"machine": known["machine"] | {"threads": 99}}))
    with pytest.raises(AssertionError, match="measured again"):
        measure_costs(runs, "bilinear", 11, (64, 96), CPU, file)


def test_without_the_baseline_there_are_latencies_and_no_ratios(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "time_by_turns", lambda networks, *rest: {name: [0.1] for name in networks})
    found = measure_costs(runs, "wrong", 11, (64, 96), CPU, tmp_path / "cost.json")
    assert found["methods"]["flow"]["latency"] == 0.1
    assert found["methods"]["flow"]["ratio"] is None
