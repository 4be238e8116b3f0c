"""A benchmark measures every network on every back-end by turns, and says why where it cannot."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pixalign.benchmarking import BACKENDS, benchmark, by_turns, measure, variants
from pixalign.benchmarking.memory import memory_of
from pixalign.errors import InputError
from pixalign.models import create_model
from pixalign.models.cost import cost
from pixalign.models.network import as_network

TINY, SIZE = "sfnet@test_resnet", (64, 96)


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    monkeypatch.setattr(measure, "memory_of", lambda *asked: 2**20)


def measured(models=(TINY,), backends=("eager",), **options):
    return benchmark(models, [SIZE], backends, threads=1, rounds=2, **options)


def test_every_call_has_one_turn_in_a_round_and_each_round_begins_with_another():
    seen: list[str] = []
    rounds: list[int] = []
    times = by_turns({name: lambda name=name: seen.append(name) for name in "abc"}, 4, advance=rounds.append)
    assert ["".join(seen[i : i + 3]) for i in range(0, 12, 3)] == ["abc", "bca", "cab", "abc"]
    assert {name: len(taken) for name, taken in times.items()} == {"a": 4, "b": 4, "c": 4}
    assert rounds == [1, 2, 3, 4]


def test_turns_are_timed_by_the_clock_given():
    ticks = iter(range(100))
    times = by_turns({"a": lambda: next(ticks), "b": lambda: None}, 2, clock=lambda: float(next(ticks)))
    assert times == {"a": [2.0, 2.0], "b": [1.0, 1.0]}


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=9),
    st.floats(0.1, 10),
    st.integers(1, 4),
)
def test_speed_is_over_the_first_of_the_same_round_and_share_over_the_convolution(first, factor, batch):
    own = [seconds / factor for seconds in first]
    peaks = [1e9 / seconds for seconds in own]
    figures = measure._figures(own, first, (7, 2 * 10**9), peaks, batch)
    assert figures["speed"] == pytest.approx(factor)
    assert figures["share"] == pytest.approx(2 * batch)
    assert figures["throughput"] == pytest.approx(batch * len(own) / sum(own))
    assert min(own) <= figures["latency"] <= max(own)
    assert figures["p95"] >= figures["latency"] * (1 - 1e-9)


def test_rows_go_by_size_model_and_backend_and_the_first_of_a_size_is_the_measure():
    before = torch.get_num_threads()
    said: list[str] = []
    sizes = [(64, 96), (33, 47)]
    models = [TINY, "aligned_fpn@test_resnet"]
    result = benchmark(models, sizes, ["eager", "fused"], threads=1, rounds=2, progress=said.append)
    assert torch.get_num_threads() == before
    keys = [(tuple(row["size"]), row["model"], row["backend"]) for row in result["rows"]]
    assert keys == [(size, model, name) for size in sizes for model in models for name in ("eager", "fused")]
    assert [row["speed"] for row in result["rows"][::4]] == [1, 1]
    for row in result["rows"]:
        network = create_model(row["model"].split("@")[0], encoder="test_resnet")
        assert (row["parameters"], row["operations"]) == cost(network, (1, 3, *row["size"]))
        assert len(row["times"]) == 2
        assert row["share"] > 0
    assert result["random"] == models
    assert set(result["peaks"]) == {"64x96", "33x47"}
    assert result["backends"] == {name: BACKENDS[name] for name in ("eager", "fused")}
    assert any("round 2 of 2" in line for line in said)


def test_a_backend_that_is_missing_is_a_row_with_the_remedy(monkeypatch):
    def refuse(*arguments, **named):
        raise InputError("format onnx needs onnx, which is not installed: pip install 'pixalign[export]'")

    monkeypatch.setattr(variants, "export", refuse)
    eager, missing = measured(backends=("eager", "onnxruntime"))["rows"]
    assert eager["error"] is None
    assert "pip install 'pixalign[export]'" in missing["error"]
    assert missing["latency"] is missing["memory"] is missing["speed"] is None


def test_a_backend_that_fails_on_a_size_is_a_row_with_its_reason(monkeypatch):
    whole = variants.prepare

    def broken(source, backend, threads, model=None):
        runtime = whole(source, backend, threads, model)
        if backend == "fused":
            runtime.run = lambda images: torch.zeros(1).expand(2, 3).view(-1, 7)
        return runtime

    monkeypatch.setattr(measure, "prepare", broken)
    rows = measured(backends=("fused", "eager"))["rows"]
    assert "shape" in rows[0]["error"]
    assert rows[1]["latency"] > 0
    assert rows[1]["speed"] is None  # nothing to be a multiple of


class Convolution(nn.Module):
    """The least that can be exported."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3, padding=1)
        known = {"classes": ["a", "b"], "colors": [[0, 0, 0], [9, 9, 9]], "mean": [0.5] * 3, "std": [0.2] * 3}
        self.config = {"architecture": "one", "arguments": {"num_classes": 2, "in_channels": 3}, **known}

    def forward(self, image, heads=False):
        return self.layer(image)


def test_onnx_is_made_on_the_way_and_an_exported_file_is_measured_as_it_is(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    file, export = tmp_path / "model.onnx", variants.export

    def keeping(model, target):
        report = export(model, target)
        shutil.copy(target, file)
        return report

    monkeypatch.setattr(variants, "export", keeping)
    monkeypatch.setattr(measure, "build", lambda source: as_network(Convolution().eval()))
    (made,) = measured(backends=["onnxruntime"])["rows"]
    assert made["error"] is None
    assert made["operations"] == 2 * 27 * 2 * SIZE[0] * SIZE[1]
    (row,) = measured([file], ["eager", "fused"])["rows"]
    assert (row["model"], row["backend"], row["error"]) == (str(file), "onnxruntime", None)
    assert row["parameters"] is None  # a file does not say


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is kept by Linux alone")
def test_memory_of_a_call_holds_its_logits_but_not_the_weights():
    size = (256, 384)
    logits = 4 * 19 * size[0] * size[1]
    weights = 4 * cost(create_model("sfnet", encoder="test_resnet"), (1, 3, *size))[0]
    used = memory_of(TINY, "eager", 1, 1, size)
    assert used is not None
    assert logits < used < 30 * logits + weights


def test_memory_is_unknown_if_the_process_fails(monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert memory_of(TINY, "eager", 1, 1, SIZE) is None


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        (["nowhere/at-all/x"], {}, "nowhere/at-all/x"),
        (["sfnet"], {}, "sfnet: is an architecture, which needs an encoder: write sfnet@resnet18"),
        (["sfnet@"], {}, "sfnet@: names no encoder"),
        (["sfnett@resnet18"], {}, "model 'sfnett' is unknown"),
        (["sfnet@resnet81"], {}, "encoder 'resnet81' is unknown"),
        (["torchvision/unet@resnet50"], {}, "choose one of torchvision/deeplabv3@mobilenet_v3_large"),
        (["nowhere.onnx"], {}, "nowhere.onnx: no such file"),
        (["model.pt2"], {}, "a .pt2 program is for torch.export.load"),
        ([], {}, "no model to measure"),
        ([TINY], {"backends": ["tensorrt"]}, "back-end 'tensorrt' is unknown: choose from eager, fused"),
        ([TINY], {"backends": []}, "no back-end to measure"),
        ([TINY], {"sizes": [(31, 64)]}, "size 31 x 64 is too small"),
        ([TINY], {"rounds": 1}, "rounds is 1: give 2 or more"),
        ([TINY], {"threads": 0}, "threads is 0: give 1 or more"),
        ([TINY], {"batch": 0}, "batch is 0: give 1 or more"),
    ],
)
def test_what_cannot_be_used_is_one_line(models, options, message):
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        benchmark(models, **options)
    assert "\n" not in str(raised.value)


def test_other_libraries_take_part_under_the_same_form():
    row, fused = measured(["torchvision/lraspp@mobilenet_v3_large"], ["eager", "fused"])["rows"]
    assert row["error"] is fused["error"] is None
    assert row["parameters"] > 1e6
    assert variants.build("torchvision/lraspp@mobilenet_v3_large")(torch.zeros(1, 3, 64, 97)).shape == (1, 19, 64, 97)


@pytest.mark.parametrize(("backend", "precision"), [("openvino", "fp32"), ("openvino-bf16", "bf16")])
def test_openvino_computes_in_the_precision_of_the_backends_name(backend, precision, monkeypatch, tmp_path):
    exported: list[dict] = []
    monkeypatch.setattr(
        variants, "export", lambda model, target, **options: exported.append(options) or {"file": target}
    )
    monkeypatch.setattr(variants, "open_runtime", lambda source, backend, device, precision, threads: precision)
    source = variants.source_for(TINY, backend, Convolution(), tmp_path)
    assert exported == [{}]
    assert variants.prepare(source, backend, 1) == precision
