"""Files are UTF-8 and output never fails, whatever the locale and the console have."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pixalign
from conftest import write_pair
from pixalign import create_model, save
from pixalign.cli import main

SOURCE = Path(pixalign.__file__).parent
_OTHERS = {"Image", "os", "rasterio", "_rasterio", "tarfile", "zipfile"}  # whose open is of no text


def _without_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the locale's encoding."""
    given = {keyword.arg for keyword in call.keywords}
    if "encoding" in given:
        return False
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text"):
        return isinstance(call.func, ast.Attribute)  # the function of this name is ours
    if name in ("run", "Popen", "check_output"):
        return bool({"text", "universal_newlines"} & given)
    if name not in ("open", "NamedTemporaryFile", "TextIOWrapper"):
        return False
    if isinstance(call.func, ast.Attribute) and _OTHERS & {
        getattr(part, "id", "") for part in ast.walk(call.func.value)
    }:
        return False
    modes = [*call.args[:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


def test_every_text_file_is_read_and_written_in_utf_8():
    wrong = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _without_encoding(node)
    ]
    assert wrong == []


COMMANDS = """
import json, os, sys
from pixalign.cli import main
commands = [[os.fsdecode(word.encode()) for word in words] for words in json.loads(sys.stdin.buffer.read())]
print(json.dumps([main(command) for command in commands]), file=sys.stderr)
"""
TINY = [
    "--model.encoder", "test_resnet", "--model.options", "channels=16", "--data.crop", "32,32", "--data.workers", "0",
    "--epochs", "1", "--updates_per_epoch", "1", "--batch_size", "2", "--precision", "fp32", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """Images, folders and classes with names outside ASCII."""
    root = tmp_path / "données"
    for i in range(4):
        write_pair(root / "images" / f"é{i}.png", root / "masks" / f"é{i}.png", seed=i, size=(40, 48))
    (root / "classes.yaml").write_text("classes: [chaussée, Straße, 道路]\n", encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "cp1252"},
    ],
    ids=["ASCII locale", "cp1252 console"],
)
def test_every_command_says_and_writes_names_outside_ascii_in_any_locale(locale, data, tmp_path):
    run, out = tmp_path / "läuft", tmp_path / "raus"
    (tmp_path / "compare.yaml").write_text(
        f"methods: {{Weg: {{}}}}\nbaseline: Weg\nout: {tmp_path / 'vergleich'}\nrecipe:\n  device: cpu\n  epochs: 1\n"
        f"  batch_size: 2\n  precision: fp32\n  data: {{root: {data}, crop: [32, 32], workers: 0}}\n"
        "  model: {encoder: test_resnet, options: {channels: 16}}\n",
        encoding="utf-8",
    )
    commands = [
        ["data", "check", data, "--out", out / "geprüft"],
        ["train", "--data.root", data, "--out", run, *TINY],
        ["evaluate", run / "last", "--data.root", data, "--out", out / "wert"],
        ["adjust", run / "last", "--data.root", data, "--out", out / "angepaßt"],
        ["predict", data / "images", "--model", run / "last", "--out", out / "karten"],
        ["explain", run / "last", data / "images" / "é0.png", "--out", out / "erklärt"],
    ]
    if "LC_ALL" in locale:
        commands.append(["compare", "--config", tmp_path / "compare.yaml"])
    given = json.dumps([list(map(str, command)) for command in commands], ensure_ascii=False).encode()
    environment = {**os.environ, **locale}
    done = subprocess.run([sys.executable, "-c", COMMANDS], input=given, capture_output=True, env=environment)
    said = done.stderr.decode("utf-8", "replace")
    assert said.splitlines()[-1:] == [json.dumps([0] * len(commands))], said[-3000:]
    config = json.loads((run / "last/config.json").read_text(encoding="utf-8"))
    assert config["classes"] == ["chaussée", "Straße", "道路"]
    assert config["data"]["name"] == "données/train"
    assert "chaussée" in (out / "wert/classes.csv").read_text(encoding="utf-8")
    assert "é" in (out / "wert/index.html").read_text(encoding="utf-8")
    assert str(data) in (run / "config.yaml").read_text(encoding="utf-8")
    assert {path.name for path in (out / "karten").glob("é*.png")} == {f"é{i}.png" for i in range(4)}


class ConsoleGoneError(Exception):
    pass


def test_what_is_measured_is_written_before_it_is_shown(data, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ConsoleGoneError

    made = create_model("sfnet", encoder="test_resnet", num_classes=3, channels=16)
    made.config.classes = ["chaussée", "Straße", "道路"]
    model = str(save(made, tmp_path / "model"))
    monkeypatch.setattr("rich.console.Console.print", fail)
    for command, written in (("evaluate", "metrics.json"), ("adjust", "config.json")):
        with pytest.raises(ConsoleGoneError):
            main([command, model, "--data.root", str(data), "--out", str(tmp_path / command)])
        assert (tmp_path / command / written).is_file()
