"""Losses are read now and then, and what they tell is the same as if each had been read at once."""

import json
import math

import pytest
import torch

import pixalign.training.loop as loop
import pixalign.training.pending as pending
from pixalign.errors import InputError
from pixalign.training.config import OptimConfig
from pixalign.training.loop import train
from pixalign.training.pending import Pending
from short_run import short_run


def test_what_is_read_is_the_mean_over_processes_and_what_any_of_them_asks_for():
    def two_processes(row):
        other = torch.tensor([[0.5, 4.0, 15.0, 1.0, 7.0]])
        return torch.cat((row, other))

    readings = Pending(two_processes)
    for loss in (1.5, 2.0):
        readings.add(torch.tensor(loss, requires_grad=True))
    assert readings.read(stop=0, save=False) == ([1.0, 3.0], 15, False)  # the first process alone decides on saving
    assert readings.losses == []


def test_readings_are_a_second_apart_but_no_more_than_twenty_steps(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(pending.time, "perf_counter", lambda: clock[0])
    readings = Pending(lambda row: row)
    for seconds, expected in ((0.25, 4), (1e-6, 20), (7.0, 1)):
        while not readings.is_due():
            readings.add(torch.zeros(()))
            clock[0] += seconds
        readings.read(0, False)
        while not readings.is_due():
            readings.add(torch.zeros(()))
            clock[0] += seconds
        readings.read(0, False)
        assert readings.interval == expected


def test_no_step_waits_for_the_device_to_say_its_loss_and_the_mean_is_exact(folder_data, tmp_path, monkeypatch):
    values, reads = [], []
    real_loss, real_read = loop.total_loss, Pending.read

    def noted(*arguments, **options):
        loss, parts = real_loss(*arguments, **options)
        values.append(loss.detach())
        return loss, parts

    def read(self, *arguments):
        reads.append(len(self.losses))
        return real_read(self, *arguments)

    monkeypatch.setattr(loop, "total_loss", noted)
    monkeypatch.setattr(Pending, "read", read)
    monkeypatch.setattr(pending, "_SECONDS", 1000.0)  # as if steps took no time
    config = short_run(folder_data, tmp_path / "run", epochs=2, batch_size=2)
    out = train(config)
    assert sum(reads) == 8
    assert len(reads) <= 3  # the first step, then as far as an epoch goes
    lines = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    exact = [value.double().item() for value in values]
    assert lines == [sum(exact[:4]) / 4, sum(exact[4:]) / 4]


def test_a_loss_that_is_not_a_number_ends_the_run_at_its_step_before_anything_is_saved(
    folder_data, tmp_path, monkeypatch
):
    real_loss, calls = loop.total_loss, []

    def broken(*arguments, **options):
        calls.append(1)
        loss, parts = real_loss(*arguments, **options)
        return loss * (math.nan if len(calls) == 3 else 1), parts

    monkeypatch.setattr(loop, "total_loss", broken)
    monkeypatch.setattr(pending, "_SECONDS", 1000.0)
    config = short_run(folder_data, tmp_path / "run", batch_size=2)
    with pytest.raises(InputError, match=r"the loss is nan at epoch 1, step 2: lower optim\.lr \(0.003\)"):
        train(config)
    assert not (tmp_path / "run" / "state").exists()
    assert not (tmp_path / "run" / "last").exists()


def test_weights_that_are_not_numbers_are_not_saved_though_every_loss_was_one(folder_data, tmp_path, monkeypatch):
    config = short_run(folder_data, tmp_path / "run", epochs=1, batch_size=10, optim=OptimConfig("sgd", lr=0.1))
    real = torch.optim.SGD.step

    def step(self, *arguments):
        real(self, *arguments)
        self.param_groups[0]["params"][0].data.view(-1)[0] = math.inf

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    with pytest.raises(InputError, match=r"the weights are not all numbers after step 1: lower optim\.lr"):
        train(config)
    assert not (tmp_path / "run" / "state").exists()
    assert not (tmp_path / "run" / "last").exists()
