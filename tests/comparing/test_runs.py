"""Runs: what is done, what may stand in one table, and trainings in processes of their own."""

import json
import os
import shutil
import signal
import sys
import threading
import time

import pytest
import yaml
from rich.console import Console

from comparing.made import content, finish
from pixalign.comparing import runs as module
from pixalign.comparing.config import expand, read_comparison
from pixalign.comparing.runs import check_alike, check_data, state_of, train_missing
from pixalign.data import open_data
from pixalign.errors import InputError

# Stands for the interpreter that is asked for `-m pixalign train ...`: it writes what a training writes, without one.
TRAINER = """#!{python}
import json, os, pathlib, signal, sys, time
arguments = sys.argv[4:]
at = arguments.index("--out" if "--resume" in arguments else "--config") + 1
folder = pathlib.Path(arguments[at]) if "--resume" in arguments else pathlib.Path(arguments[at]).parent
def note(text):
    with (folder.parent.parent / "calls.txt").open("a") as file:
        file.write(f"{{folder.parent.name}}/{{folder.name}} {{text}}\\n")
note("resumed" if "--resume" in arguments else "started")
note("GPU " + os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
if folder.parent.name == "broken":
    sys.exit("noise\\npixalign: error: aligner 'x' is unknown")
if folder.parent.name == "slow" and "--resume" not in arguments:
    def stop(number, frame):
        state = folder / "state" / "00000001"
        state.mkdir(parents=True)
        for name in ("state.json", "tensors.safetensors"):
            (state / name).write_text("x")
        sys.exit(130)
    signal.signal(signal.SIGINT, stop)
    note("waits")
    time.sleep(60)
(folder / "metrics.jsonl").write_text('{{"epoch": 1, "step": 2}}\\n')
(folder / "last").mkdir(exist_ok=True)
for name in ("model.safetensors", "config.json"):
    (folder / "last" / name).write_text("x")
"""


@pytest.fixture
def made(tmp_path):
    def make(**changes):
        file = tmp_path / "compare.yaml"
        file.write_text(yaml.safe_dump(content("data", tmp_path / "out", **changes)))
        return expand(read_comparison(file))

    return make


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """What the trainings that are started tell, line by line."""
    trainer = tmp_path / "python"
    trainer.write_text(TRAINER.format(python=sys.executable))
    trainer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(trainer))
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.02)
    return lambda: (tmp_path / "out" / "calls.txt").read_text().splitlines()


def quiet():
    return Console(quiet=True)


def change_json(file, *keys, to):
    found = values = json.loads(file.read_text())
    for key in keys[:-1]:
        values = values[key]
    values[keys[-1]] = to
    file.write_text(json.dumps(found))


def test_a_run_is_done_with_its_last_epoch_and_its_weights(made):
    run = made()[0]
    assert state_of(run) == "not run yet"
    finish(run)
    assert state_of(run) == "done"
    (run.folder / "last" / "model.safetensors").unlink()
    assert state_of(run) == "not run yet"
    (run.folder / "state" / "00000001").mkdir(parents=True)
    for name in ("state.json", "tensors.safetensors"):
        (run.folder / "state" / "00000001" / name).write_text("")
    assert state_of(run) == "begun"


def test_runs_of_one_protocol_are_alike(made):
    runs = made(seeds=[0, 1])
    for run in runs[:3]:
        finish(run)
    check_alike(runs)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: change_json(f / "run.json", "data", "train", "fingerprint", to="0" * 16), "not trained on the data"),
        (
            lambda f: (
                change_json(f / "run.json", "data", "train", "fingerprint", to="0" * 16),
                change_json(f / "last" / "config.json", "data", "fingerprint", to="0" * 16),
            ),
            r"flow/seed0: the training data's fingerprint is 0000.*but ffff.*in .*bilinear/seed0",
        ),
        (
            lambda f: change_json(f / "run.json", "data", "train", "classes", to=["a", "c"]),
            r"flow/seed0: the classes are a, c, but a, b in .*bilinear/seed0",
        ),
        (
            lambda f: (f / "metrics.jsonl").write_text('{"epoch": 1, "step": 3}\n'),
            r"flow/seed0: the batches trained are 3, but 2 in",
        ),
        (
            lambda f: (f / "config.yaml").write_text((f / "config.yaml").read_text().replace("epochs: 1", "epochs: 7")),
            r"flow/seed0/config.yaml: epochs is 7 but the comparison asks for 1",
        ),
        (
            lambda f: (f / "config.yaml").write_text((f / "config.yaml").read_text().replace("- 48", "- 64")),
            r"data.crop is \[32, 64\] but the comparison asks for \[32, 48\]",
        ),
        (lambda f: (f / "run.json").write_text("{"), "run.json: cannot be read"),
        (lambda f: (f / "config.yaml").unlink(), "config.yaml: cannot be read"),
    ],
)
def test_what_a_folder_really_holds_is_refused_where_it_differs(made, spoil, message):
    runs = made()
    for run in runs:
        finish(run)
    check_alike(runs)
    spoil(runs[1].folder)
    with pytest.raises(InputError, match=message) as error:
        check_alike(runs)
    assert "\n" not in str(error.value)


def test_other_data_than_the_finished_runs_had_is_refused_before_training(made, scenes):
    runs = made()
    for run in runs:
        run.config.data.root = str(scenes)
    finish(runs[0], fingerprint=open_data("folder", scenes, "train").fingerprint())
    check_data(runs)
    finish(runs[0])
    with pytest.raises(InputError, match=r"data.root .* has the fingerprint .*bilinear/seed0 was trained on ffff"):
        check_data(runs)


def test_only_what_is_missing_is_trained_and_a_failure_stops_no_other(made, calls):
    runs = made(methods={"bilinear": {}, "broken": {}, "flow": {}})
    finish(runs[0])
    failed = train_missing(runs, quiet())
    assert [line for line in calls() if line.endswith("started")] == ["broken/seed0 started", "flow/seed0 started"]
    assert list(failed) == [runs[1]]
    assert failed[runs[1]].startswith("aligner 'x' is unknown (all of it: ")
    assert "noise" in (runs[1].folder / "output.txt").read_text()
    assert state_of(runs[2]) == "done"


def test_an_interrupted_run_has_saved_its_state_and_is_resumed(made, calls):
    runs = made(methods={"bilinear": {}, "slow": {}})

    def interrupt():
        while not (runs[0].folder.parents[1] / "calls.txt").exists() or "slow/seed0 waits" not in calls():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        train_missing(runs, quiet())
    assert [state_of(run) for run in runs] == ["done", "begun"]
    assert train_missing(runs, quiet()) == {}
    assert [line for line in calls() if line.endswith(("started", "resumed"))] == [
        "bilinear/seed0 started",
        "slow/seed0 started",
        "slow/seed0 resumed",
    ]


def test_a_run_that_another_process_trains_is_left_alone(made, calls):
    runs = made()
    lock = module._locked(runs[0].folder)
    assert train_missing(runs, quiet()) == {runs[0]: "another process is training it"}
    lock.close()
    assert train_missing(runs, quiet()) == {}


def test_each_gpu_has_a_training_of_its_own(made, calls, monkeypatch):
    monkeypatch.setattr(module, "_visible_gpus", lambda: ["4", "6"])
    runs = made(seeds=[0, 1])
    for run in runs:
        run.config.device = "auto"
    assert train_missing(runs, quiet()) == {}
    used = [line.split()[-1] for line in calls() if " GPU " in line]
    assert set(used) == {"4", "6"}


def test_what_a_run_left_that_died_before_its_first_state_does_not_stand_in_the_way(made, calls):
    run = made()[0]
    finish(run)
    shutil.rmtree(run.folder / "last")
    assert train_missing([run], quiet()) == {}
    assert state_of(run) == "done"


def test_progress_without_a_terminal_is_a_line_for_each_beginning_and_end(made, calls, capsys):
    train_missing(made(methods={"bilinear": {}, "broken": {}}), Console())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[:2] == ["bilinear, seed 0: started", "bilinear, seed 0: done"]
    assert lines[3].startswith("broken, seed 0: failed: aligner 'x' is unknown")
    assert len(lines) == 4


@pytest.mark.parametrize(("seconds", "text"), [(5, "1 min"), (600, "10 min"), (8100, "2 h 15 min")])
def test_the_time_left_is_told_in_minutes(seconds, text):
    assert module._duration(seconds) == text
