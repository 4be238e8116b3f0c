"""Networks shared by requests: loaded once, freed when others are used, and stopped in time."""

import threading
import time
import weakref

import numpy as np
import pytest
import torch

from networks import network
from pixalign.errors import InputError
from pixalign.predicting import Predictor

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
from pixalign.app.models import Models, watched, within

IMAGE = np.zeros((64, 64, 3), np.uint8)


class Counted:
    """Opens networks and counts how often each."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.opened: list[str] = []
        self.seconds = seconds

    def __call__(self, key: str) -> Predictor:
        self.opened.append(key)
        time.sleep(self.seconds)
        return watched(Predictor(network("aligned_fpn-bilinear")))


def test_eight_threads_that_want_a_network_load_it_once_and_use_it_one_by_one():
    opened, inside, most = Counted(0.1), [0], [0]
    models = Models(opened, kept=2)

    def work() -> None:
        with models.use("a"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.opened == ["a"]
    assert most == [1]


def test_the_network_used_longest_ago_is_freed():
    opened = Counted()
    models = Models(opened, kept=2)
    held = {}
    for key in ("a", "b", "a", "c"):
        with models.use(key) as predictor:
            held[key] = weakref.ref(predictor.network)
        del predictor
    assert held["b"]() is None
    assert held["a"]() is not None
    with models.use("b"):
        pass
    assert opened.opened == ["a", "b", "c", "b"]
    models.clear()
    assert held["c"]() is None


def test_a_network_that_cannot_be_loaded_is_tried_again_by_the_next_request():
    answers = iter([InputError("broken: fix it"), Predictor(network("aligned_fpn-bilinear"))])

    def open_next(key: str) -> Predictor:
        answer = next(answers)
        if isinstance(answer, InputError):
            raise answer
        return answer

    models = Models(open_next, kept=1)
    with pytest.raises(InputError, match="broken"), models.use("a"):
        pass
    with models.use("a") as predictor:
        assert predictor(IMAGE).ids.shape == (64, 64)


def test_a_network_stops_once_its_time_is_over_and_works_for_the_next_request():
    predictor = watched(Predictor(network("aligned_fpn-bilinear")))
    with pytest.raises(InputError, match="stopped after 1e-06 s"), within(1e-6):
        predictor(IMAGE)
    with within(60):
        assert predictor(IMAGE).ids.shape == (64, 64)


def test_a_network_stops_within_its_layers():
    model = network("aligned_fpn-bilinear")
    ran = []
    slow = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    slow.register_forward_hook(lambda *_: time.sleep(0.3))
    last = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    last.register_forward_hook(lambda *_: ran.append(1))
    with pytest.raises(InputError, match="stopped after"), within(0.2):
        watched(Predictor(model))(IMAGE)
    assert ran == []
