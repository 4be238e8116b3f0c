"""What a run leaves beside its models: log, versions and data, curves, and metrics that a crash does not falsify."""

import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pixalign.data.samples import Data
from pixalign.errors import InputError
from pixalign.files import replacing, write_text
from pixalign.text import encodable


class Log:
    """Lines on the console and, with the time, in ``log.txt``; silent in all processes but the main one."""

    def __init__(self, file: Path, main: bool) -> None:
        self.file, self.main = file, main
        self.console = Console(quiet=not main)

    def __call__(self, text: str) -> None:
        """Say a line to both."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        self.note(text)

    def note(self, text: str) -> None:
        """Write a line into the file alone."""
        if self.main:
            append(self.file, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}")


def append(file: Path, line: str) -> None:
    """Add a line to a text file; InputError if the disk refuses it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(encodable(line) + "\n")
    except OSError as error:
        raise InputError(
            f"{file}: cannot be written ({error.strerror or error}): free space or choose another --out"
        ) from error


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a .jsonl file; one that a crash cut short is left out."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def cut_back(file: Path, step: int) -> None:
    """Drop the lines of a .jsonl file that are later than ``step``: what they tell of will be done again."""
    if file.exists():
        kept = [json.dumps(line) + "\n" for line in read_lines(file) if line["step"] <= step]
        write_text(file, "".join(kept))


def clear_leftovers(out: Path) -> None:
    """Remove what a killed run left half-written, all under hidden names; the state tells what is to be done again."""
    for folder in (out, out / "pictures"):
        for path in folder.glob(".*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_run(out: Path, command: str, data: Mapping[str, Data], processes: int, device: str) -> None:
    """Write run.json: which data, versions and machine made the weights, an entry for each start of the run."""
    file = out / "run.json"
    starts = json.loads(file.read_text(encoding="utf-8"))["starts"] if file.exists() else []
    versions = {name: importlib.metadata.version(name) for name in ("torch", "timm", "torchvision", "accelerate")}
    from pixalign import __version__

    starts.append(
        {
            "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "command": command,
            "versions": {"pixalign": __version__, **versions, "python": platform.python_version()},
            "device": device,
            "processes": processes,
        }
    )
    described = {
        key: {"name": d.name, "pairs": len(d), "classes": d.classes, "fingerprint": d.fingerprint()}
        for key, d in data.items()
    }
    write_text(file, json.dumps({"data": described, "starts": starts}, indent=1, ensure_ascii=False) + "\n")


def draw_curves(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw loss, learning rate and mIoU by epoch from the lines of metrics.jsonl as one picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in lines]
    marker = "o" if len(lines) < 3 else ""
    left.plot(epochs, [line["loss"] for line in lines], color="#1f4e8c", marker=marker)
    left.set(xlabel="epoch", title="training loss", ylim=(0, None))
    rate = left.twinx()
    rate.plot(epochs, [line["lr"] for line in lines], color="#b0b0b0", linewidth=1)
    rate.set_ylabel("learning rate", color="#808080")
    rate.tick_params(colors="#808080")
    measured = [line for line in lines if "val" in line]
    for split in measured[-1]["val"] if measured else []:
        scores = [100 * (line["val"][split]["miou"] or 0) for line in measured]
        right.plot([line["epoch"] for line in measured], scores, marker="o", markersize=4, label=split)
        right.annotate(
            f"{scores[-1]:.1f}", (measured[-1]["epoch"], scores[-1]), (6, 0), textcoords="offset points", va="center"
        )
    right.set(xlabel="epoch", title="mIoU %", ylim=(0, 100), xlim=(0, max(epochs) * 1.1))
    if measured:
        right.legend(loc="lower right", frameon=False)
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    rate.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
