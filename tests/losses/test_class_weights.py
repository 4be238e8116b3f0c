import math

import numpy as np
import pytest
import torch

from pixalign.errors import InputError
from pixalign.losses.weights import adjust_logits, class_weights

# Two images of 100 labeled pixels: 90 road + 10 car, and 100 road; no tree.
PIXELS = np.array([190, 10, 0])
IMAGE_PIXELS = np.array([200, 100, 0])


def test_no_scheme_weighs_every_class_alike():
    weights = class_weights("none", PIXELS, IMAGE_PIXELS)
    assert weights.dtype == torch.float32
    assert weights.tolist() == [1, 1, 1]


def test_median_frequency_balancing_worked_by_hand():
    road, car = 190 / 200, 10 / 100
    median = (road + car) / 2
    assert class_weights("median", PIXELS, IMAGE_PIXELS).tolist() == pytest.approx([median / road, median / car, 1])


def test_the_class_at_the_median_weighs_one():
    assert class_weights("median", [10, 20, 70], [100, 100, 100]).tolist() == pytest.approx([2, 1, 2 / 7])


def test_enet_weights_worked_by_hand():
    expected = [1 / math.log(1.02 + 0.95), 1 / math.log(1.02 + 0.05), 1]
    assert class_weights("enet", PIXELS, IMAGE_PIXELS).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("scheme", ["none", "median", "enet"])
def test_classes_without_a_pixel_weigh_one_also_if_that_is_all_of_them(scheme):
    weights = class_weights(scheme, np.zeros(4, np.int64), np.zeros(4, np.int64))
    assert weights.dtype == torch.float32
    assert weights.tolist() == [1, 1, 1, 1]


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'sqrt' are unknown: choose one of none, median, enet"):
        class_weights("sqrt", PIXELS, IMAGE_PIXELS)


@pytest.mark.parametrize(
    ("pixels", "image_pixels"), [([1, 2], [3]), ([[1]], [[1]]), ([-1, 2], [3, 3]), ([5, 2], [4, 3])]
)
def test_counts_that_cannot_come_from_one_split_are_refused(pixels, image_pixels):
    with pytest.raises(InputError, match="expected"):
        class_weights("median", pixels, image_pixels)


@pytest.mark.parametrize("name", ["sfnet", "bialignnet"])
def test_adjusting_by_the_whole_weights_undoes_them_in_the_probabilities(name):
    from pixalign import create_model

    torch.manual_seed(0)
    model = create_model(name, encoder="test_resnet", num_classes=3, channels=16).eval()
    image = torch.randn(1, 3, 32, 48)
    weight = torch.tensor([1.0, 4.0, 10.0])
    with torch.no_grad():
        before = model(image)
        after = adjust_logits(model, weight, 1.0)(image)
        half = adjust_logits(model, weight, 0.5)(image)
        again = model(image)
    expected = before.softmax(1) / weight.view(1, -1, 1, 1)
    torch.testing.assert_close(after.softmax(1), expected / expected.sum(1, keepdim=True))
    torch.testing.assert_close(half, (before + after) / 2)
    assert torch.equal(before, again)  # the model itself is left alone
