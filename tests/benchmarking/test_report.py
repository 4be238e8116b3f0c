"""The report of a benchmark: every row in table, file and picture; what failed says why."""

import io
import json

import pytest
from PIL import Image
from rich.console import Console

from pixalign.benchmarking import BACKENDS, result_table, write_report
from pixalign.benchmarking.report import HEADINGS, rows_of
from pixalign.errors import InputError


def row(model="default", backend="eager", size=(64, 96), speed=1.0, **other):
    figures = {"latency": 0.02 / speed, "p95": 0.03 / speed, "throughput": 50 * speed, "speed": speed, "share": 0.5}
    known = {"memory": 3 * 2**20, "parameters": 3_230_000, "operations": 4_100_000_000, "error": None}
    return {"model": model, "backend": backend, "size": list(size), **figures, **known, **other}


def failed(**where):
    unknown = dict.fromkeys(("latency", "p95", "throughput", "speed", "share", "memory"))
    return row(**where) | unknown | {"error": "pip install 'pixalign[export]'"}


@pytest.fixture
def result():
    rows = [
        made
        for size in ((64, 96), (512, 1024))
        for made in (
            row(size=size),
            row(size=size, backend="openvino", speed=3.2),
            row("smp/FPN@resnet18", size=size, speed=0.4),
            failed(model="smp/FPN@resnet18", backend="openvino", size=size),
        )
    ]
    machine = {"processor": "a processor", "cores": 2, "threads": 1, "system": "Linux", "versions": {"torch": "2.6"}}
    names = {name: BACKENDS[name] for name in ("eager", "openvino")}
    random, peaks = ["smp/FPN@resnet18"], {"64x96": 1e11, "512x1024": 1e11}
    return {
        "machine": machine, "rounds": 20, "batch": 1, "random": random, "backends": names, "peaks": peaks, "rows": rows,
    }  # fmt: skip


def test_figures_are_shown_in_their_units(result):
    first, *_, last = rows_of(result, [64, 96])
    assert dict(zip(HEADINGS, first)) == {
        "model": "default", "back-end": "eager", "ms": "20.0", "p95": "30.0", "images/s": "50.00", "speed": "× 1.00",
        "MiB": "3", "M params": "3.23", "GFLOPs": "4.1", "of peak": "50 %",
    }  # fmt: skip
    assert last[2:7] == ("failed", "–", "–", "–", "–")


def test_all_three_files_are_written_and_json_gives_the_result_back(result, tmp_path):
    write_report(result, tmp_path / "new" / "report")
    assert sorted(file.name for file in (tmp_path / "new" / "report").iterdir()) == [
        "benchmark.json",
        "benchmark.png",
        "table.md",
    ]
    assert json.loads((tmp_path / "new" / "report" / "benchmark.json").read_text()) == result
    with Image.open(tmp_path / "new" / "report" / "benchmark.png") as picture:
        assert min(picture.size) > 300


def test_the_markdown_has_a_table_for_each_size_and_the_reason_once(result, tmp_path):
    write_report(result, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert text.count("## ") == 2
    assert text.count("| default | openvino | 6.2 |") == 2
    assert text.count("smp/FPN@resnet18 on openvino failed: pip install 'pixalign[export]'") == 1
    assert "Random weights, 19 classes: smp/FPN@resnet18." in text


def test_the_table_fits_a_terminal_of_80_columns(result):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(result_table(result))
    text = console.export_text()
    assert "…" not in text
    for expected in (*HEADINGS[1:], "smp/FPN@resnet18", "openvino", "× 3.20"):
        assert expected in text


def test_a_picture_of_failures_alone_can_be_drawn(result, tmp_path):
    write_report({**result, "rows": [failed(), failed(backend="openvino")]}, tmp_path)
    assert (tmp_path / "benchmark.png").is_file()


def test_a_folder_that_is_a_file_is_one_line(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        write_report(result, tmp_path / "file")
