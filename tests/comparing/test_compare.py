"""A comparison as a whole: tiny networks, trained in processes of their own on drawn streets."""

import csv
import io
import json
import shutil

import pytest
import yaml
from rich.console import Console

import pixalign
from comparing.made import content
from pixalign.cli import main
from pixalign.comparing import compare, measure, result_table, runs
from pixalign.comparing.config import expand, read_comparison
from pixalign.errors import InputError
from pixalign.training.loop import train

SEEDS = [0, 1]
BEFORE = [("bilinear", 0), ("bilinear", 1), ("flow", 0)]


def write(folder, root, **changes):
    file = folder / "compare.yaml"
    file.write_text(yaml.safe_dump(content(root, folder / "out", **changes)))
    return file


@pytest.fixture(scope="module")
def compared(scenes, tmp_path_factory):
    """Two methods with two seeds, and a third that cannot be trained, compared from the command line.

    Of the six runs, three are done before, which is quicker in this process than in those that the command starts.
    """
    folder = tmp_path_factory.mktemp("compared")
    methods = {
        "bilinear": {"model": {"options": {"aligner": "bilinear"}}},
        "flow": {"model": {"options": {"aligner": "flow"}}},
        "broken": {"model": {"options": {"aligner": "none"}}},
    }
    for run in expand(read_comparison(write(folder, scenes, methods=methods, seeds=SEEDS))):
        if (run.method, run.seed) in BEFORE:
            train(run.config)
    file = write(folder, "", methods=methods, seeds=SEEDS)
    status = main(["compare", "--config", str(file), "--root", str(scenes), "--jobs", "2"])
    return folder, status


@pytest.fixture
def again(compared, scenes, tmp_path):
    """A copy of the two methods' runs, and their comparison's file."""
    shutil.copytree(compared[0] / "out", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "broken")
    return write(tmp_path, scenes, seeds=SEEDS)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(runs.subprocess, "Popen", refuse)


@pytest.mark.slow
def test_a_comparison_leaves_a_table_a_plot_and_a_page_for_what_could_be_trained(compared):
    folder, status = compared
    assert status == 1  # one method failed
    written = {path.name for path in (folder / "out").iterdir()}
    assert {
        "table.md",
        "table.csv",
        "results.json",
        "plot.png",
        "index.html",
        "cost.json",
        "bilinear",
        "flow",
    } <= written
    results = json.loads((folder / "out" / "results.json").read_text())
    assert set(results["methods"]) == {"bilinear", "flow"}
    flow = results["methods"]["flow"]
    figures = flow["splits"]["val"]
    assert list(figures["miou"]["seeds"]) == ["0", "1"]
    assert figures["gain"]["miou"]["low"] <= figures["gain"]["miou"]["difference"] <= figures["gain"]["miou"]["high"]
    assert flow["cost"]["parameters"] > results["methods"]["bilinear"]["cost"]["parameters"]
    failed = [run for run in results["unfinished"] if run["state"] == "failed"]
    assert [(run["method"], run["seed"]) for run in failed] == [("broken", 0), ("broken", 1)]
    assert "none" in failed[0]["reason"]
    assert "Failed: broken, seed 0" in (folder / "out" / "table.md").read_text()


@pytest.mark.slow
def test_the_figures_are_those_of_evaluating_the_last_weights(compared, scenes):
    folder, _ = compared
    results = json.loads((folder / "out" / "results.json").read_text())
    pairs = pixalign.data.open_data("folder", scenes, "val")
    measured = pixalign.evaluate(pixalign.load(folder / "out" / "flow" / "seed1" / "last"), pairs, boundary=True)
    figures = results["methods"]["flow"]["splits"]["val"]
    assert figures["miou"]["seeds"]["1"] == pytest.approx(measured["miou"], abs=1e-3)
    assert figures["boundary_f_3"]["seeds"]["1"] == pytest.approx(measured["boundary"]["mean"]["3"], abs=1e-3)
    with (folder / "out" / "flow" / "seed1" / "eval" / "val" / "images.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(pairs) * 11


@pytest.mark.slow
def test_what_is_done_is_neither_trained_nor_measured_again(again, no_training, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("measured again")

    monkeypatch.setattr(measure, "evaluate", refuse)
    results = compare(again)
    assert results["unfinished"] == []
    (again.parent / "out" / "flow" / "seed0" / "last" / "model.safetensors").open("ab").write(b"x")
    with pytest.raises((AssertionError, InputError)):  # other weights: measured, or found damaged
        compare(again)


@pytest.mark.slow
def test_a_part_of_the_runs_can_be_reported(again, no_training):
    shutil.rmtree(again.parent / "out" / "flow" / "seed1")
    results = compare(again, report_only=True)
    assert results["unfinished"] == [{"method": "flow", "seed": 1, "state": "not run yet"}]
    assert results["methods"]["flow"]["seeds"] == [0]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(result_table(results))
    assert "not run yet: flow (seed 1)" in console.export_text()
    shutil.rmtree(again.parent / "out" / "bilinear")
    results = compare(again, report_only=True)
    assert results["methods"]["flow"]["splits"]["val"]["gain"] is None
    assert (again.parent / "out" / "index.html").is_file()


@pytest.mark.slow
def test_runs_of_different_data_are_refused_by_name(again):
    folder = again.parent / "out" / "flow" / "seed0"
    for file, keys in ((folder / "run.json", ("data", "train")), (folder / "last" / "config.json", ("data",))):
        whole = found = json.loads(file.read_text())
        for key in keys:
            found = found[key]
        found["fingerprint"] = "0" * 16
        file.write_text(json.dumps(whole))
    with pytest.raises(InputError, match=r"flow/seed0: the training data's fingerprint is 0000"):
        compare(again, report_only=True)


def test_nothing_done_is_an_error_of_a_report(scenes, tmp_path, capsys):
    file = write(tmp_path, scenes)
    assert main(["compare", "--config", str(file), "--report-only"]) == 2
    assert "no run of the comparison is done yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "none"], "--only none: is none of the methods: choose among bilinear, flow"),
        (["--jobs", "0"], "--jobs is 0: it must be at least 1"),
        (["--root", "nowhere"], "nowhere"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(scenes, tmp_path, capsys, arguments, message):
    file = write(tmp_path, scenes)
    assert main(["compare", "--config", str(file), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
