"""Any map-style data set, wrapped; and the same data held in memory."""

import numpy as np
import pytest
import torch
from PIL import Image

from pixalign.data.samples import Samples, cached
from pixalign.errors import InputError

IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
MASK = np.array([[0, 1, 2, 0, 1, 255]] * 4, np.uint8)
CLASSES = ["a", "b", "c"]


@pytest.mark.parametrize(
    "item",
    [
        (IMAGE, MASK),
        {"image": IMAGE, "mask": MASK, "name": "more keys"},
        [Image.fromarray(IMAGE), Image.fromarray(MASK)],
        (torch.from_numpy(IMAGE).permute(2, 0, 1), torch.from_numpy(MASK).long()),
        (IMAGE, MASK.astype(np.int64)),
    ],
    ids=["arrays", "dictionary", "pillow", "tensors", "int64"],
)
def test_samples_of_every_kind_come_out_as_arrays(item):
    image, mask = Samples([item], CLASSES)[0]
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(mask, MASK)
    assert image.dtype == mask.dtype == np.uint8


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((IMAGE, MASK + 3), r"dataset, sample 0: label value \d \(\d+ pixels\) lies outside the 3 classes"),
        ((IMAGE, MASK[:3]), r"image uint8 \(4, 6, 3\) and mask uint8 \(3, 6\)"),
        ((IMAGE / 255, MASK), "image float64"),
        ((IMAGE, MASK / 2), "mask float64"),
        (IMAGE, "is a ndarray, not"),
        ({"image": IMAGE}, "is a dict, not"),
    ],
)
def test_a_sample_that_cannot_be_used_is_one_line(item, message):
    with pytest.raises(InputError, match=message):
        _ = Samples([item], CLASSES)[0]


def test_an_empty_data_set_is_refused():
    with pytest.raises(InputError, match="dataset: has no sample"):
        Samples([], CLASSES)


def test_the_fingerprint_follows_content_and_classes():
    first = Samples([(IMAGE, MASK)], CLASSES)
    assert first.fingerprint() == Samples([(IMAGE.copy(), MASK)], CLASSES).fingerprint()
    assert first.fingerprint() != Samples([(IMAGE + 1, MASK)], CLASSES).fingerprint()
    assert first.fingerprint() != Samples([(IMAGE, MASK)], ["a", "b", "d"]).fingerprint()


def test_cached_data_are_the_same_data():
    data = Samples([(IMAGE, MASK), (IMAGE + 1, MASK)], CLASSES, name="mine/train")
    advanced = []
    kept = cached(data, advanced.append)
    assert len(kept) == len(advanced) == 2
    assert np.array_equal(kept[1][0], data[1][0])
    assert (kept.name, kept.classes, kept.colors) == (data.name, data.classes, data.colors)
    assert kept.where(1) == data.where(1)
    assert kept.fingerprint() == data.fingerprint()
