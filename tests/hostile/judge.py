"""Run the commands on a case, and compare what they made of it with what was meant."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from hostile.case import VOID, Case, Reading

LIMIT = 60.0  # seconds for one command on one core; the slowest take a few
TRAIN = [
    "--model.encoder", "test_resnet", "--model.options", "channels=8", "--data.crop", "[32,32]", "--data.workers", "0",
    "--epochs", "1", "--updates_per_epoch", "2", "--batch_size", "2", "--precision", "fp32", "--device", "cpu",
]  # fmt: skip


@dataclass
class Result:
    """How a case ended.

    Attributes:
        ended: command -> "ok", "refused" or "in part".
        reading: the reading that was found right, if any.
        wrong: (class of failure, what) each.
        unguarded: data that the check refuses is read all the same, and not as meant.
    """

    ended: dict[str, str] = field(default_factory=dict)
    reading: str = ""
    wrong: list[tuple[str, str]] = field(default_factory=list)
    unguarded: bool = False


class TooLong(BaseException):
    """A command took more than `LIMIT`; no handler of errors may catch it."""


@contextlib.contextmanager
def limited(seconds: float = LIMIT) -> Iterator[None]:
    """Raise `TooLong` in the block after so many seconds."""

    def stop(number: int, frame: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def descriptor_2(file: Any) -> Iterator[None]:
    """Send what C libraries write to stderr into a file."""
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def command(arguments: list[str], encoding: str = "utf-8") -> tuple[int, str, str]:
    """Run a command line in this process, on a terminal of an encoding; return status, stdout and stderr."""
    from pixalign.cli import main

    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace", write_through=True)
    with tempfile.TemporaryFile() as below:
        with limited(), descriptor_2(below), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
        below.seek(0)
        text = below.read().decode(errors="replace")
    said = (stream.buffer.getvalue().decode(encoding, "replace") for stream in (out, err))  # type: ignore[attr-defined]
    printed, errors = said
    return status, printed, errors + text


def command_apart(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command line in a process of its own under an ASCII locale."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    run = subprocess.run(
        [sys.executable, "-m", "pixalign", *arguments], env=environment, capture_output=True, timeout=LIMIT, check=False
    )
    return run.returncode, run.stdout.decode(errors="replace"), run.stderr.decode(errors="replace")


def run_step(
    case: Case, result: Result, name: str, arguments: list[str], allowed: tuple[int, ...] = (0, 2), apart: bool = False
) -> tuple[int | None, str]:
    """Run a command, note how it ended and what is wrong with that; return its status (None: failure) and error."""
    began = time.perf_counter()
    try:
        status, printed, said = command_apart(arguments) if apart else command(arguments, case.encoding)
    except (TooLong, subprocess.TimeoutExpired):
        result.wrong.append(("HANG", f"{name}: took more than {LIMIT:.0f} s"))
        return None, ""
    except BaseException:
        result.wrong.append(("TRACEBACK", f"{name}: {traceback.format_exc()}"))
        return None, ""
    seconds = time.perf_counter() - began
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("pixalign: error: ")]
    if "Traceback (most recent call last)" in said:
        result.wrong.append(("TRACEBACK", f"{name}: {said[-1500:]}"))
        return None, said
    if status not in allowed:
        result.wrong.append(("EXIT STATUS", f"{name}: status {status} after {seconds:.0f} s: {said[-600:]}"))
        return None, said
    if status == 2 and len(errors) != 1:
        result.wrong.append(("LINES", f"{name}: {len(errors)} lines of error: {said[-800:]}"))
    if strays := [line for line in lines if "Warning:" in line or (status == 2 and not line.startswith("pixalign: "))]:
        result.wrong.append(("LINES", f"{name}: says {strays[:3]}"))
    if control := re.findall(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]", printed + said):
        result.wrong.append(("LINES", f"{name}: prints control characters {sorted(set(control))}"))
    result.ended[name] = {0: "ok", 1: "in part"}.get(status, "refused")
    return status, errors[0] if errors else ""


def judge(case: Case, full: bool = False, apart: bool = False) -> Result:
    """Take a case through ``data check`` and reading; with ``full`` also through train, evaluate and predict."""
    result = Result()
    check = ["data", "check", str(case.root), f"--out={case.out / 'check'}"]
    if case.template:
        check += ["--data.mask_template", case.template]
    status, said = run_step(case, result, "check", [*check, "--data.channels", str(case.channels)], apart=apart)
    report = _report(case)
    if report and "<script>alert" in (case.out / "check" / "index.html").read_text(encoding="utf-8"):
        result.wrong.append(("PAGE", "index.html holds a name as it stands"))
    if status == 0:
        if not case.writable:
            result.wrong.append(("ACCEPTED", "check: says that it has written where nothing can be written"))
        if report is None:
            result.wrong.append(("EXIT STATUS", "check: succeeds without a report.json"))
        else:
            _compare(case, result, report, case.readings)
    elif status == 2:
        if case.refusal == "no" and case.writable:
            result.wrong.append(("REFUSED", f"check: {said[:700]}"))
        splits = _open(case)
        result.unguarded = isinstance(splits, dict) and bool(splits) and not _right(case, splits)
        if case.follow and report and (lines := [p["classes_yaml"] for p in report["problems"] if p["classes_yaml"]]):
            _follow(case, result, check, lines[0])
    if full:
        _full(case, result)
    left = [path for path in case.root.parent.rglob("*") if ".tmp" in path.name or path.name.startswith(".pixalign")]
    if left:
        result.wrong.append(("LEFT", f"left half-written: {left[:3]}"))
    return result


def _report(case: Case) -> dict[str, Any] | None:
    file = case.out / "check" / "report.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return None


def _follow(case: Case, result: Result, check: list[str], lines: str) -> None:
    """Write the proposed classes.yaml, and judge what comes of it."""
    (case.root / "classes.yaml").write_text(lines, encoding="utf-8")
    case.classes = None
    status, said = run_step(case, result, "check as told", check)
    report = _report(case)
    if status == 0 and report:
        readings = [Reading(), *(reading for reading in case.readings if not reading.warning)]
        _compare(case, result, report, readings, "with the proposed classes.yaml, ")
    elif status == 2:
        result.wrong.append(("REMEDY", f"check: the proposed classes.yaml is refused: {said[:500]}"))


# Reading --------------------------------------------------------------------------------------------------------------


Splits = dict[str, list[tuple[str, np.ndarray, np.ndarray]]]


def _open(case: Case, names: list[str] | None = None) -> Splits | str:
    """All pairs of all splits as `open_data` gives them, or why not.

    Without ``names``, those that there are; nothing if train or val cannot be read.
    """
    from pixalign.data import open_data
    from pixalign.errors import InputError

    splits: Splits = {}
    for split in names or ["train", "val", "test"]:
        try:
            data = open_data("folder", case.root, split, case.template, case.channels)
            pairs = []
            for i in range(len(data)):
                image, mask = data[i]
                path = data.images[i]
                name = path.relative_to(case.root) if path.is_relative_to(case.root) else path
                pairs.append((name.as_posix(), image, mask))
            splits[split] = pairs
            case.found = list(data.classes)
        except InputError as error:
            if names:
                return str(error)
            if split != "test":
                return {}
        except Exception:
            return traceback.format_exc()
    return splits


def _compare(case: Case, result: Result, report: dict[str, Any], readings: list[Reading], when: str = "") -> None:
    """Hold what was read, and what the report counts, against each reading that is right."""
    splits = _open(case, [*report["splits"]])
    if isinstance(splits, str):
        kind = "TRACEBACK" if splits.startswith("Traceback") else "UNREADABLE"
        result.wrong.append((kind, f"check: {when}says {report['verdict']!r}, and reading: {splits[-900:]}"))
        return
    if not readings:
        result.wrong.append(("ACCEPTED", f"check: {when}accepts what is wrong or not known: {_summary(case, report)}"))
        return
    found = [(reading, *_differences(case, reading, splits, report)) for reading in readings]
    for reading, kind, _ in found:
        if not kind:
            result.reading = reading.name
            return
    _, kind, text = found[0]
    others = "; ".join(f"{reading.name}: {why}" for reading, _, why in found[1:])
    result.wrong.append(
        (kind, f"check: {when}{text} {_summary(case, report)}" + (f" (nor {others})" if others else ""))
    )


def _right(case: Case, splits: Splits) -> bool:
    return any(not _differences(case, reading, splits, None)[0] for reading in case.readings)


def _summary(case: Case, report: dict[str, Any]) -> str:
    warnings = [problem["kind"] for problem in report["problems"]]
    return f"[{report['verdict']}; classes {[c['name'] for c in report['classes']]}; problems {warnings}]"


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _differences(case: Case, reading: Reading, splits: Splits, report: dict[str, Any] | None) -> tuple[str, str]:
    """Class of failure and text, ("", "") if what was read is this reading."""
    names = case.found
    table = np.arange(256)
    if case.classes is not None:
        meant = [_plain(name) for name in case.classes]
        table[: len(names)] = [meant.index(_plain(name)) if _plain(name) in meant else 254 for name in names]
    seen: dict[str, str] = {}
    counts: dict[str, np.ndarray] = {}
    for split, pairs in splits.items():
        counts[split] = np.zeros(256, np.int64)
        for path, image, mask in pairs:
            if path not in case.pairs:
                return "WRONG PAIR", f"{path!r} was read, which is not an image of the data"
            pair = case.pairs[path]
            if path in seen and not reading.twice:
                return "WRONG SPLIT", f"{path!r} is in {seen[path]} and in {split}"
            seen[path] = split
            if pair.split not in ("", split) and not reading.twice:
                return "WRONG SPLIT", f"{path!r} is of {pair.split} and was read in {split}"
            ids = reading.ids(path, pair) if reading.ids else pair.ids
            own = table[mask]
            if ids.size and (own.shape != ids.shape or (own != ids).any()):
                kind = "WRONG SIZE" if own.shape != ids.shape else "WRONG COUNT"
                same = (
                    kind == "WRONG COUNT"
                    and (np.bincount(own.ravel(), minlength=256) == np.bincount(ids.ravel(), minlength=256)).all()
                )
                if same:
                    kind = "WRONG PLACE"
                return kind, f"{path!r} ({split}): {_counts(own)} was read and {_counts(ids)} meant;"
            counts[split] += np.bincount(mask.ravel(), minlength=256)
            if problem := _picture(reading, path, pair, image):
                return "WRONG PICTURE", f"{path!r} ({split}): {problem};"
    if lacking := [path for path in case.pairs if path not in seen and path not in reading.absent]:
        return "LEFT OUT", f"{lacking[0]!r} and {len(lacking) - 1} more of {len(case.pairs)} images were not read;"
    if report is None:
        return "", ""
    for split, stats in report["splits"].items():
        listed = [entry["pixels"] for entry in stats["classes"]]
        if listed != counts[split][: len(names)].tolist() or [e["name"] for e in stats["classes"]] != list(names):
            return (
                "WRONG REPORT",
                f"report.json counts {listed} in {split}, and reading {counts[split][: len(names)].tolist()};",
            )
        if stats["pairs"] != len(splits[split]) or stats["unlabeled_pixels"] != counts[split][VOID]:
            return (
                "WRONG REPORT",
                f"report.json has {stats['pairs']} pairs, {stats['unlabeled_pixels']} unlabeled in {split};",
            )
    said = " ".join(
        " ".join([p["title"], p["remedy"], *p["details"], *(f["note"] for f in p["files"])]) for p in report["problems"]
    )
    if reading.warning and not re.search(reading.warning, said, re.IGNORECASE):
        return "NOT SAID", f"no warning of {reading.warning!r};"
    return "", ""


def _counts(ids: np.ndarray) -> str:
    values, counts = np.unique(ids, return_counts=True)
    return f"{ids.shape} {dict(zip(values.tolist(), counts.tolist()))}"


def _picture(reading: Reading, path: str, pair: Any, image: np.ndarray) -> str:
    """What is wrong with the pixels of an image, "" if nothing is."""
    if reading.picture is False:
        return ""
    meant = reading.picture(path, pair) if callable(reading.picture) else pair.picture
    if image.shape != meant.shape:
        return f"the image is {image.shape}, and {meant.shape} was meant"
    got, want = image.astype(float), meant.astype(float)
    if reading.picture == "affine":
        for band in range(want.shape[2]):
            a, b = got[..., band].ravel(), want[..., band].ravel()
            if not a.std() or np.corrcoef(a, b)[0, 1] < 0.97:
                return f"band {band} is not what was drawn up to a scale"
        return ""
    for label in np.unique(pair.ids):
        here = pair.ids == label
        if (difference := np.abs(got[here] - want[here]).mean()) > pair.tolerance:
            colors = f"{got[here].mean(0).round().tolist()} instead of {want[here].mean(0).round().tolist()}"
            return f"under class {label} the colors are {colors} (mean difference {difference:.1f})"
    return ""


# Training and after ---------------------------------------------------------------------------------------------------


def _full(case: Case, result: Result) -> None:
    """Train an epoch, evaluate and predict, with what the check said in mind."""
    out, root = case.out, str(case.root)
    template = ["--data.mask_template", case.template] if case.template else []
    pictures = ["--pictures_every", "0"] if case.dice.random() < 0.7 else []
    curves = "pixalign.training.loop.draw_curves"  # half of the time
    with patch(curves, lambda lines, path: None) if case.dice.random() < 0.8 else contextlib.nullcontext():
        status, said = run_step(
            case, result, "train",
            ["train", f"--data.root={root}", *template, "--model.in_channels", str(case.channels), *TRAIN, *pictures,
             f"--out={out / 'run'}"],
        )  # fmt: skip
    if status == 0 and not case.writable:
        result.wrong.append(("ACCEPTED", "train: says that it has written where nothing can be written"))
    if status == 0 and case.refusal == "must" and not case.readings and not case.by_check and not result.unguarded:
        result.wrong.append(("ACCEPTED", "train: accepts data that cannot be trained on"))
    if status == 2 and result.ended.get("check") == "ok" and case.writable and not _too_small(said):
        result.wrong.append(("REFUSED", f"train: refuses what the check accepts: {said[:500]}"))
    if status != 0 or not case.writable:
        return
    model = str(out / "run" / "last")
    splits = _open(case)
    for split, pairs in (splits if isinstance(splits, dict) else {}).items():
        status, said = run_step(
            case, result, "evaluate",
            ["evaluate", model, f"--data.root={root}", *template, "--data.split", split, "--device", "cpu",
             f"--out={out / split}"],
        )  # fmt: skip
        if status == 0:
            metrics = json.loads((out / split / "metrics.json").read_text(encoding="utf-8"))
            counts = np.sum([np.bincount(mask.ravel(), minlength=256) for *_, mask in pairs], 0)
            if [*metrics["class_pixels"].values()] != counts[: len(metrics["class_pixels"])].tolist():
                result.wrong.append(
                    ("WRONG COUNT", f"evaluate: {metrics['class_pixels']} in {split}, and {counts.tolist()}")
                )
        elif status == 2 and result.ended.get("check") == "ok":
            result.wrong.append(("REFUSED", f"evaluate: refuses what train accepts: {said[:500]}"))
    images = [str(case.root / path) for path in case.pairs if (case.root / path).exists()]
    if not images:
        return
    status, said = run_step(
        case, result, "predict",
        ["predict", *images[:3], "--model", model, "--device", "cpu", f"--out={out / 'predicted'}"], (0, 1, 2),
    )  # fmt: skip
    if status == 0:
        sizes = []
        for file in (out / "predicted").rglob("*.png"):
            with Image.open(file) as ids:
                sizes.append(ids.size[::-1])
                if ids.mode != "P" or np.asarray(ids).max() >= max(2, len(case.found)):
                    result.wrong.append(("WRONG COUNT", f"predict: {file.name} holds ids that are no class"))
        meant = [pair.ids.shape for path, pair in case.pairs.items() if str(case.root / path) in images[:3]]
        if sorted(sizes) != sorted(meant):
            result.wrong.append(("WRONG SIZE", f"predict: ids of the sizes {sizes} for images of {meant}"))


def _too_small(said: str) -> bool:
    """Whether an error is about too few labels in the sample at hand, which the check warns of."""
    return "pixel" in said or "label" in said
