"""A signal that asks for the end saves the run, whoever sends it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import pixalign.training.loop as loop
from conftest import write_folder
from pixalign.errors import Stopped
from pixalign.training.config import write_config
from pixalign.training.loop import train
from pixalign.training.signals import stop_on_signals
from short_run import short_run

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]


def lines(out):
    file = Path(out) / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_is_noted_and_handlers_are_as_before(number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with stop_on_signals() as stop:
        assert stop == []
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # a launcher passes on what reached this process already
        assert stop == [number, number]
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_another_ctrl_c_a_while_later_stops_at_once(monkeypatch):
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        later = time.monotonic() + 5
        monkeypatch.setattr(time, "monotonic", lambda: later)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop == [signal.SIGINT, signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_as_before_whichever_way_the_block_is_left():
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(RuntimeError), stop_on_signals():
        raise RuntimeError
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_another_thread_gets_no_signals_and_sets_no_handlers():
    seen = []

    def enter():
        with stop_on_signals() as stop:
            seen.append((list(stop), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [([], signal.getsignal(signal.SIGTERM))]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("signals") / "data")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run of two epochs that no signal reached."""
    return train(short_run(data, tmp_path_factory.mktemp("whole") / "run", epochs=2))


@pytest.mark.parametrize(
    ("number", "where"),
    [
        (signal.SIGTERM, "in a step"),
        (signal.SIGUSR1, "in the first evaluation"),
        (signal.SIGTERM, "in the last evaluation"),
    ],
)
def test_a_run_ended_by_a_signal_resumes_to_the_same_weights(data, whole, tmp_path, monkeypatch, number, where):
    config = short_run(data, tmp_path / "cut", epochs=2)
    name = "total_loss" if where == "in a step" else "evaluate"
    real, calls = getattr(loop, name), []

    def send(*arguments, **options):
        calls.append(1)
        if len(calls) == {"in a step": 3, "in the first evaluation": 1, "in the last evaluation": 2}[where]:
            os.kill(os.getpid(), number)
        return real(*arguments, **options)

    monkeypatch.setattr(loop, name, send)
    with pytest.raises(Stopped) as stopped:
        train(config)
    assert stopped.value.number == number
    assert signal.getsignal(number) is signal.SIG_DFL
    said = (tmp_path / "cut" / "log.txt").read_text().splitlines()[-1]
    assert f"stopped by {number.name} at step " in said
    assert said.endswith("of 4, saved: go on with --resume")
    done = {"in a step": 1, "in the first evaluation": 0, "in the last evaluation": 1}[where]
    assert len(lines(tmp_path / "cut")) == done
    monkeypatch.undo()
    train(config, resume=True)
    assert lines(tmp_path / "cut") == lines(whole)
    a, b = (load_file(run / "last" / "model.safetensors") for run in (whole, tmp_path / "cut"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    times = [json.loads(line) for line in (tmp_path / "cut" / "times.jsonl").read_text().splitlines()]
    assert all(time["images_per_second"] > 0 for time in times)


def started(config, folder, *launcher):
    """Start a training as a user does, in a process group of its own; return it once an epoch is written down."""
    write_config(config, folder / "config.yaml")
    command = [sys.executable, *launcher, "-m", "pixalign", "train", "--config", str(folder / "config.yaml")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    give_up = time.monotonic() + 240
    while not lines(config.out):
        assert process.poll() is None, process.stderr.read()[-3000:]
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return process


@pytest.mark.slow
def test_slurm_sends_sigterm_to_loading_processes_too_and_the_state_is_saved(data, tmp_path):
    config = short_run(data, tmp_path / "run", epochs=2000)
    config.data.workers = 2
    process = started(config, tmp_path)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM" in (tmp_path / "run" / "log.txt").read_text()
    assert list((tmp_path / "run" / "state").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("to", ["the launcher", "everyone"])
def test_under_torchrun_sigterm_saves_one_state_of_all_processes(data, tmp_path, to):
    config = short_run(data, tmp_path / "run", epochs=2000, batch_size=2)
    process = started(
        config, tmp_path, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29517"
    )
    if to == "everyone":
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "stopped by SIGTERM" in (tmp_path / "run" / "log.txt").read_text(), said[-2000:]
    (state,) = (tmp_path / "run" / "state").iterdir()
    assert np.isfinite(json.loads((state / "state.json").read_text())["seconds"])
