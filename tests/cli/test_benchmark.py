"""The command: a table on the terminal, the files in the folder, one line for what cannot be used."""

import json

import pytest

from pixalign.benchmarking import BACKENDS, DEFAULT, measure
from pixalign.cli import build_parser, main


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    monkeypatch.setattr(measure, "memory_of", lambda *asked: 2**20)


def test_a_report_is_printed_and_written(tmp_path, capsys):
    arguments = [
        "--size",
        "64x96",
        "--size",
        "32x32",
        "--backends",
        "eager,fused",
        "--rounds",
        "2",
        "--threads",
        "1",
    ]
    assert main(["benchmark", "sfnet@test_resnet", *arguments, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "sfnet@test_resnet" in printed.out
    assert f"written: {tmp_path}/benchmark.json" in printed.out
    assert printed.err == ""  # progress is for terminals
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert [(row["size"], row["backend"]) for row in result["rows"]] == [
        ([64, 96], "eager"), ([64, 96], "fused"), ([32, 32], "eager"), ([32, 32], "fused"),
    ]  # fmt: skip
    assert result["machine"]["threads"] == 1


def test_status_is_1_if_nothing_could_be_measured(monkeypatch, capsys):
    def refuse(*arguments):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(measure, "source_for", refuse)
    assert main(["benchmark", "sfnet@test_resnet", "--size", "64x96", "--rounds", "2"]) == 1
    assert "sfnet@test_resnet on openvino failed: no such instruction" in " ".join(capsys.readouterr().out.split())


def test_the_default_and_the_help_name_the_backends_there_are(capsys):
    assert tuple(build_parser(["benchmark"]).parse_args(["benchmark", "x"]).benchmark.backends.split(",")) == DEFAULT
    with pytest.raises(SystemExit):
        main(["benchmark", "--help"])
    printed = capsys.readouterr().out.replace("\n", " ")
    assert all(name in printed for name in BACKENDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["default", "--size", "512"], "--size '512' cannot be read: give HEIGHTxWIDTH"),
        (["default", "--backends", "tvm"], "back-end 'tvm' is unknown: choose from eager"),
        (["default", "--rounds", "0"], "rounds is 0: give 2 or more"),
        (["sfnet"], "write sfnet@resnet18"),
        (["default", "--out", __file__], "is a file: name a folder"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main(["benchmark", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
