"""The runs of a comparison: which are done, whether they may stand in one table, and training those that are missing.

Each training is a process of its own (``python -m pixalign train``), so that one that fails takes no other with it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

from rich.console import Console
from rich.progress import BarColumn

from pixalign.comparing.config import Run, differences, read_training
from pixalign.comparing.processes import end, interrupt, locked, start
from pixalign.data import open_data
from pixalign.errors import InputError
from pixalign.progress import bars
from pixalign.training.config import write_config
from pixalign.training.run_folder import read_lines
from pixalign.training.state import find_state
from pixalign.weights import CONFIG, WEIGHTS

State = Literal["done", "begun", "not run yet"]
OUTPUT = "output.txt"
_LOOK_EVERY = 0.5  # seconds


def state_of(run: Run) -> State:
    """Done: the last epoch is in metrics.jsonl and the weights in last/. Begun: there is something to resume."""
    lines = read_lines(run.folder / "metrics.jsonl")
    finished = lines and lines[-1]["epoch"] >= run.config.epochs
    if finished and all((run.folder / "last" / name).is_file() for name in (WEIGHTS, CONFIG)):
        return "done"
    return "begun" if find_state(run.folder / "state") else "not run yet"


def known_of(run: Run) -> dict[str, Any]:
    """What run.json says: "data", by its use, and "starts", each with versions and device."""
    return _json(run.folder / "run.json")


def check_alike(runs: Sequence[Run]) -> None:
    """Raise InputError unless the folders that exist hold what their runs ask for, and runs of one protocol.

    What counts is what the folders contain: the configuration, the fingerprint and classes of the data, and the epochs
    and batches that were trained.
    """
    known: dict[str, tuple[Run, Any]] = {}
    for run in runs:
        if state_of(run) == "not run yet":
            continue
        file = run.folder / "config.yaml"
        for key, found, asked in differences(read_training(file), run.config):
            raise InputError(
                f"{file}: {key} is {found!r} but the comparison asks for {asked!r}: "
                "fix the comparison, remove this run folder, or choose another --out"
            )
        for what, value in _facts(run).items():
            other, theirs = known.setdefault(what, (run, value))
            if value != theirs:
                raise InputError(
                    f"{run.folder}: {what} {_short(value)}, but {_short(theirs)} in {other.folder}: runs of different "
                    "data, classes or budget are not compared: remove the one that is wrong"
                )


def check_data(runs: Sequence[Run]) -> None:
    """Raise InputError if the training data is not what the runs in the folders, if any, were trained on."""
    data = runs[0].config.data
    now = open_data(data.name, data.root, data.train, data.mask_template, runs[0].config.model.in_channels, data.groups)
    for run in runs:
        if state_of(run) == "not run yet":
            continue
        if (then := known_of(run)["data"]["train"]["fingerprint"]) != now.fingerprint():
            raise InputError(
                f"data.root {data.root}: its {data.train} has the fingerprint {now.fingerprint()}, but {run.folder} "
                f"was trained on {then}: give that data, or choose another --out"
            )


def train_missing(runs: Sequence[Run], console: Console, jobs: int | None = None) -> dict[Run, str]:
    """Train the runs that are not done, resuming those that are begun; return what the failed ones said.

    Each goes in a process of its own; its output is added to output.txt in its folder. On Ctrl-C, or when this process
    is told to end, each saves its state first; a second Ctrl-C does not wait for that.

    Args:
        runs: any runs; those that are done are left alone.
        console: for one line of progress on a terminal, otherwise a line per beginning and end of a run.
        jobs: how many at a time: None has one per GPU, or one on a CPU.

    Raises:
        InputError: a run folder that cannot be written.
        KeyboardInterrupt: after Ctrl-C.
    """
    waiting = deque(run for run in runs if state_of(run) != "done")
    gpus = [] if runs[0].config.device == "cpu" else _visible_gpus()
    jobs = jobs or max(1, len(gpus))
    free = deque(range(jobs))
    active: dict[int, _Training] = {}
    failed: dict[Run, str] = {}
    seconds: list[float] = []  # of the runs that ended
    total = len(waiting)
    bar = bars(console, "{task.completed:.0f} of {task.total:.0f} runs", BarColumn(20), "{task.description}")
    task = bar.add_task("", total=total)
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    with _ending_as_interrupt(), bar:
        try:
            while waiting or active:
                while waiting and free:
                    slot, run = free.popleft(), waiting.popleft()
                    if (training := _start(run, slot, jobs, gpus)) is None:
                        failed[run] = "another process is training it"
                        free.append(slot)
                    else:
                        active[slot] = training
                        say(f"{run}: {'resumed' if training.resumed else 'started'}")
                time.sleep(_LOOK_EVERY)
                for slot, training in list(active.items()):
                    status = training.process.poll()
                    if status is None:
                        continue
                    del active[slot]
                    free.append(slot)
                    training.output.close()
                    training.lock.close()
                    if status == 0 and state_of(training.run) == "done":
                        seconds.append(time.monotonic() - training.started)
                        say(f"{training.run}: done")
                    else:
                        failed[training.run] = _last_words(training.run, status)
                        say(f"{training.run}: failed: {failed[training.run]}")
                said = _under_way(list(active.values()), len(waiting), seconds)
                bar.update(task, completed=total - len(waiting) - len(active), description=said)
        except BaseException:
            say("saving the state of what is being trained; start the same command again to go on")
            _stop(list(active.values()))
            raise
    return failed


@dataclass
class _Training:
    """A run being trained."""

    run: Run
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    lock: IO[bytes]
    resumed: bool
    first_epoch: int
    started: float


def _start(run: Run, slot: int, jobs: int, gpus: Sequence[str]) -> _Training | None:
    """Start or resume a run; None if another process has it."""
    folder = run.folder
    lock = _locked(folder)
    if lock is None:
        return None
    resumed = state_of(run) == "begun"
    command = [sys.executable, "-m", "pixalign", "train"]
    if resumed:
        command += ["--resume", "--out", str(folder), "--data.root", run.config.data.root]
    else:
        for name in ("metrics.jsonl", "times.jsonl"):  # of a run killed before it had a state
            (folder / name).unlink(missing_ok=True)
        write_config(run.config, folder / "config.yaml")
        command += ["--config", str(folder / "config.yaml")]
    environment = {**os.environ, "COLUMNS": "160"}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    elif jobs > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    output = (folder / OUTPUT).open("ab")
    process = start(command, output, environment, lock)
    return _Training(run, process, output, lock, resumed, _epochs_done(run), time.monotonic())


def _stop(active: Sequence[_Training]) -> None:
    """Tell trainings to save and end, and wait for it; end them at once on another Ctrl-C."""
    for training in active:
        interrupt(training.process)
    try:
        for training in active:
            training.process.wait()
    except BaseException:
        for training in active:
            end(training.process)
        raise


def _locked(folder: Path) -> IO[bytes] | None:
    """An open file whose lock says that a process has this run; None if one has. Beside the folder, which training
    clears of hidden files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return locked(folder.parent / f".{folder.name}.lock")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}): choose another --out") from error


def _visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES would call each GPU that this process may use."""
    import torch

    listed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = torch.cuda.device_count()
    return listed[:count] if listed else [str(i) for i in range(count)]


@contextmanager
def _ending_as_interrupt() -> Iterator[None]:
    """Take being told to end as Ctrl-C."""
    try:
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _last_words(run: Run, status: int) -> str:
    """Why a training ended, in a line."""
    if status < 0:
        return f"ended by signal {-status} (9: often too little memory); see {run.folder / OUTPUT}"
    with (run.folder / OUTPUT).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 10_000))
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    said = lines[-1].strip().removeprefix("pixalign: error: ") if lines else f"exit status {status}"
    return f"{said[:300]} (all of it: {run.folder / OUTPUT})"


def _epochs_done(run: Run) -> int:
    lines = read_lines(run.folder / "metrics.jsonl")
    return int(lines[-1]["epoch"]) if lines else 0


def _time_left(active: Sequence[_Training], waiting: int, ended: Sequence[float]) -> float | None:
    """Seconds until all runs are done, from the epochs of those under way and the whole of those that ended."""
    now = time.monotonic()
    under_way, whole = 0.0, list(ended)
    for training in active:
        done = _epochs_done(training.run)
        if done > training.first_epoch:
            each = (now - training.started) / (done - training.first_epoch)
            under_way += each * (training.run.config.epochs - done)
            whole.append(each * training.run.config.epochs)
    if not whole:
        return None
    return (under_way + waiting * sum(whole) / len(whole)) / max(1, len(active))


def _under_way(active: Sequence[_Training], waiting: int, ended: Sequence[float]) -> str:
    """What is being trained, and the time left, in a line."""
    runs = "; ".join(f"{t.run}: epoch {_epochs_done(t.run)}/{t.run.config.epochs}" for t in active)
    left = _time_left(active, waiting, ended)
    return runs if left is None else f"{runs}  {_duration(left)} left"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{max(1, minutes)} min"


def _facts(run: Run) -> dict[str, Any]:
    """What runs of one table have in common, as their folders tell it: what it is -> its value."""
    data = known_of(run)["data"]
    facts = {
        "the training data's fingerprint is": data["train"]["fingerprint"],
        "the classes are": data["train"]["classes"],
        "the fingerprint of the data mixed in is": data.get("mix", {}).get("fingerprint"),
    }
    if state_of(run) == "done":
        last = read_lines(run.folder / "metrics.jsonl")[-1]
        facts |= {"the epochs trained are": last["epoch"], "the batches trained are": last["step"]}
        weights = _json(run.folder / "last" / CONFIG)
        if weights.get("data", {}).get("fingerprint") != data["train"]["fingerprint"]:
            raise InputError(f"{run.folder / 'last'}: was not trained on the data of run.json: remove this run folder")
    return facts


def _json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({' '.join(str(error).split())}): remove this run folder") from error


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."
