"""Batches, and the processes that load them: what stops them is one line, and they end when the iteration does."""

import multiprocessing
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from torch.utils.data import DataLoader

from pixalign.data import loader as module
from pixalign.data.loader import AugmentedPairs, Batches, EpochBatches, training_loader
from pixalign.data.samples import Samples
from pixalign.data.transforms import UsersTransform
from pixalign.errors import InputError


def batches(transform, workers):
    items = [(np.zeros((64, 80, 3), np.uint8), np.zeros((64, 80), np.uint8)) for _ in range(8)]
    samples = AugmentedPairs(Samples(items, ["a", "b"]), UsersTransform(transform), 0)
    return training_loader(samples, EpochBatches(8, 4, 0, 1), workers)


def growing(image, mask):
    side = 32 + np.random.randint(30)  # noqa: NPY002
    return image[:side, :side], mask[:side, :side]


def failing(image, mask):
    raise KeyError("angle")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (growing, r"transform: gave samples of \d+ x \d+ and \d+ x \d+ pixels \(height x width\) in a batch"),
        (failing, "transform: failed with KeyError: 'angle'"),
    ],
)
def test_what_a_transform_does_wrong_is_told_from_this_and_from_another_process(transform, said, workers):
    with pytest.raises(InputError, match=said):
        list(batches(transform, workers))
    assert multiprocessing.active_children() == []


def test_the_processes_end_with_the_iteration():
    iteration = iter(batches(lambda image, mask: (image, mask), 1))
    next(iteration)
    (process,) = multiprocessing.active_children()
    iteration.close()
    process.join(10)
    assert not process.is_alive()


def test_a_process_minds_the_second_request_to_end():
    code = "from pixalign.data.loader import _give_way; _give_way(0); print(1, flush=True); import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()


def test_what_cannot_be_sent_to_processes_is_told():
    loader = batches(lambda image, mask: (image, mask), 0).loader
    spawning = DataLoader(
        loader.dataset, batch_sampler=loader.batch_sampler, num_workers=1, multiprocessing_context="spawn"
    )
    with pytest.raises(InputError, match=r"data.workers is 1, and what .*lambda.* or set data.workers to 0"):
        next(iter(Batches(spawning)))


def test_a_process_that_ends_is_told():
    loader = batches(lambda image, mask: module.os._exit(3), 1)
    with pytest.raises(
        InputError, match=r"data.workers is 1: DataLoader worker .* exited unexpectedly: see what it said"
    ):
        list(loader)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_script_that_would_train_again_in_each_process_is_refused(method, monkeypatch, tmp_path):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: method)
    script = tmp_path / "mine.py"
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__file__=str(script)))
    script.write_text("# without if __name__ == '__main__':\npixalign.train()\n")
    with pytest.raises(
        InputError, match=r"mine.py: each process .* put what trains under `if __name__ == '__main__':`"
    ):
        batches(growing, 1)
    batches(growing, 0)
    script.write_text("if __name__ == '__main__':\n    pixalign.train()\n")
    batches(growing, 1)


def test_epochs_of_so_many_updates_go_through_round_after_round():
    keys = [key for batch in EpochBatches(5, 2, 0, 3, accumulate=2, updates=3) for key in batch]
    assert len(keys) == 3 * 3 * 2 * 2
    for start in range(0, len(keys) - 4, 5):
        rounds, indices = zip(*keys[start : start + 5])
        assert set(rounds) == {start // 5}
        assert sorted(indices) == [0, 1, 2, 3, 4]


def test_two_processes_divide_a_round_among_them():
    parts = [EpochBatches(6, 1, 0, 1, rank=rank, world=2, updates=3) for rank in (0, 1)]
    first, second = ([batch[0] for batch in part] for part in parts)
    assert sorted(index for _, index in first + second) == [0, 1, 2, 3, 4, 5]


def test_a_resumed_order_goes_on_where_it_stopped():
    for updates in (0, 3):
        whole = [*EpochBatches(7, 2, 0, 3, updates=updates)]
        assert [*EpochBatches(7, 2, 0, 3, start=4, updates=updates)] == whole[4:]
