"""Figures of a comparison, against what a hand computes."""

import statistics
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixalign.comparing.results import Measured, gains, pareto_front, summarize, told_apart
from pixalign.errors import InputError

NAMES = ["a_001.png", "a_002.png", "b_001.png", "b_002.png", "c_001.png", "c_002.png"]


def measured(hits, names=NAMES):
    """A run that gets ``hits`` of 100 pixels of class 0 right in every image, and all of class 1; class 2 is absent."""
    each = np.array([[hits, 100, 0], [hits, 200 - hits, 0], [100, 100, 0]], np.int64)  # intersection, prediction, label
    edges = np.array([[hits, 100, 0], [100, 100, 0], [hits, 100, 0], [100, 100, 0]], np.int64)
    counts = {"miou": each, "boundary_f_1": edges, "boundary_f_3": edges}
    iou = {"road": hits / 100, "car": 100 / (200 - hits), "none": None}
    f = (hits / 100 + 1) / 2
    result = {
        "data": "made/val",
        "miou": (iou["road"] + iou["car"]) / 2,
        "iou": iou,
        "boundary": {"mean": {"1": f, "3": f}},
    }
    return Measured(result, list(names), {key: np.stack([value] * len(names)) for key, value in counts.items()})


def test_means_and_deviations_over_seeds_are_those_of_the_hand():
    found = summarize({0: measured(80), 7: measured(60)})
    first, second = (0.8 + 100 / 120) / 2, (0.6 + 100 / 140) / 2
    assert found["miou"]["mean"] == pytest.approx((first + second) / 2)
    assert found["miou"]["deviation"] == pytest.approx(abs(first - second) / 2**0.5)
    assert found["miou"]["seeds"] == {"0": first, "7": second}
    assert found["boundary_f_3"]["mean"] == pytest.approx(0.85)
    assert found["iou"] == {"road": pytest.approx(0.7), "car": pytest.approx((100 / 120 + 100 / 140) / 2), "none": None}


def test_one_seed_has_no_deviation():
    assert summarize({0: measured(80)})["miou"]["deviation"] is None


def test_a_gain_is_the_mean_of_the_differences_of_seeds_that_both_have():
    gain = gains({0: measured(80), 1: measured(90), 2: measured(10)}, {0: measured(70), 1: measured(60)})
    of = {hits: measured(hits).result["miou"] for hits in (60, 70, 80, 90)}
    expected = {"0": of[80] - of[70], "1": of[90] - of[60]}
    assert gain["miou"]["seeds"] == pytest.approx(expected)
    assert gain["miou"]["difference"] == pytest.approx(statistics.fmean(expected.values()))
    assert gain["boundary_f_3"]["difference"] == pytest.approx((0.9 + 0.95) / 2 - (0.85 + 0.8) / 2)
    assert gain["iou"]["road"] == pytest.approx(0.85 - 0.65)
    assert gain["iou"]["none"] is None


def test_images_that_are_all_alike_leave_an_interval_without_width():
    gain = gains({0: measured(80)}, {0: measured(70)})["miou"]
    assert gain["low"] == pytest.approx(gain["difference"]) == pytest.approx(gain["high"])
    assert told_apart(gain)


def test_a_method_against_itself_gains_nothing_and_is_not_told_apart():
    gain = gains({0: measured(80)}, {0: measured(80)})["miou"]
    assert (gain["difference"], gain["low"], gain["high"]) == (0, 0, 0)
    assert not told_apart(gain)


def test_without_a_common_seed_there_is_no_gain():
    assert gains({0: measured(80)}, {1: measured(70)}) is None
    assert gains({0: measured(80)}, {}) is None


def test_runs_that_were_measured_on_different_images_are_refused():
    with pytest.raises(InputError, match=r"made/val: .* different images"):
        gains({0: measured(80)}, {0: measured(70, NAMES[::-1])})


def test_the_front_is_what_no_other_beats():
    points = {"slow": (3.0, 0.5), "quick": (1.0, 0.4), "worse": (2.0, 0.4), "best": (3.0, 0.6), "same": (1.0, 0.4)}
    assert pareto_front(points) == ["quick", "best"]
    assert pareto_front({}) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_everything_off_the_front_is_beaten_or_equalled_by_something_on_it(points):
    named = {str(i): (float(x), float(y)) for i, (x, y) in enumerate(points)}
    front = pareto_front(named)
    for x, y in named.values():
        assert any(named[on][0] <= x and named[on][1] >= y for on in front)
    for first, second in pairwise(front):
        assert named[first][0] < named[second][0]
        assert named[first][1] < named[second][1]
