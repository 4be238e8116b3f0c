"""Evaluation over a split: exact, at label size, streamed."""

import csv
import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from pixalign.errors import InputError
from pixalign.evaluating import evaluate, write_result


class Oracle(nn.Module):
    """Reads the class from the red channel, and gets every pixel of value 200 wrong."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.config = {"mean": [0.0, 0.0, 0.0], "std": [1 / 255] * 3}

    def forward(self, image):
        ids = image[:, 0].round().long()
        ids = torch.where(ids == 200, 0, ids)
        return nn.functional.one_hot(ids, 3).permute(0, 3, 1, 2).float()


class Made:
    """Two pairs, held in memory."""

    name, classes, colors = "made/val", list("abc"), [[0, 0, 0]] * 3

    def __init__(self):
        rng = np.random.default_rng(0)
        self.pairs = []
        for size in ((40, 52), (33, 64)):
            label = rng.integers(0, 2, size).astype(np.uint8)
            image = np.repeat(label[..., None], 3, -1)
            image[0, :10] = 200
            label[0, :10] = 1
            label[1] = 255
            self.pairs.append((image, label))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]

    def where(self, index):
        return f"masks/{index}.png"

    def fingerprint(self):
        return "0" * 16


def test_counts_are_exact_over_the_split_and_absent_classes_are_left_out():
    split = Made()
    result = evaluate(Oracle(), split)
    labels = np.concatenate([label[label != 255] for _, label in split.pairs])
    zeros, ones = (labels == 0).sum(), (labels == 1).sum()
    expected = {"a": zeros / (zeros + 20), "b": (ones - 20) / ones, "c": None}
    assert result["iou"] == pytest.approx(expected)
    assert result["miou"] == pytest.approx((expected["a"] + expected["b"]) / 2)
    assert result["absent"] == ["c"]
    assert (result["data"], result["images"]) == ("made/val", 2)


def test_memory_is_given_back_before_the_first_large_image(monkeypatch):
    happened = []

    @contextmanager
    def keeping():
        happened.append("kept")
        yield
        happened.append("given back")

    class Watched(Oracle):
        def forward(self, image):
            happened.append(tuple(image.shape[-2:]))
            return super().forward(image)

    monkeypatch.setattr("pixalign.evaluating.reused_memory", keeping)
    monkeypatch.setattr("pixalign.evaluating.LARGE", 40 * 52)
    evaluate(Watched(), Made())
    assert happened == ["kept", (40, 52), "given back", (33, 64)]


def test_the_counts_of_each_image_add_up_to_the_split(tmp_path):
    result = evaluate(Oracle(), Made(), per_image=tmp_path / "images.csv")
    with (tmp_path / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3
    for name, iou in result["iou"].items():
        inter, pred, label = (
            sum(int(row[key]) for row in rows if row["class"] == name)
            for key in ("intersection", "prediction", "label")
        )
        assert iou == (pytest.approx(inter / (pred + label - inter)) if label else None)


def test_shares_of_two_processes_add_up_to_the_whole():
    whole = evaluate(Oracle(), Made())
    matrices = []
    for rank in (0, 1):
        evaluate(Oracle(), Made(), share=(rank, 2), add_up=lambda matrix: matrices.append(matrix) or matrix)
    assert evaluate(Oracle(), Made(), share=(0, 2), add_up=lambda matrix: sum(matrices)) == whole
    # A process without an image of its own still takes part.
    assert evaluate(Oracle(), Made(), share=(2, 3), add_up=lambda matrix: matrix + sum(matrices)) == whole


def test_boundaries_are_measured_on_request_over_all_shares():
    whole = evaluate(Oracle(), Made(), boundary=True)
    assert "boundary" not in evaluate(Oracle(), Made())
    assert 0 < whole["boundary"]["mean"]["1"] <= 1
    parts = []
    for rank in (0, 1):
        parts.append([])
        evaluate(Oracle(), Made(), boundary=True, share=(rank, 2), add_up=lambda x, kept=parts[-1]: kept.append(x) or x)
    sums = iter([a + b for a, b in zip(*parts)])
    assert evaluate(Oracle(), Made(), boundary=True, add_up=lambda x: next(sums)) == whole


def test_results_are_written_as_json_and_csv(tmp_path):
    result = evaluate(Oracle(), Made())
    write_result(result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == result
    with (tmp_path / "out" / "classes.csv").open() as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert float(rows["a"]["iou"]) == pytest.approx(result["iou"]["a"], abs=1e-6)
    assert rows["c"]["iou"] == ""


def test_a_label_outside_the_classes_stops_the_evaluation_and_names_the_file(tmp_path):
    split = Made()
    split.pairs[1][1][5, 5] = 9
    with pytest.raises(InputError, match=r"1.png.*9"):
        evaluate(Oracle(), split, per_image=tmp_path / "images.csv")
    assert not list(tmp_path.iterdir())
