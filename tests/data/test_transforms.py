"""Augmentation: image and label stay together, and randomness is the sample's own."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from pixalign.data import Pairs
from pixalign.data.loader import AugmentedPairs, EpochBatches, training_loader
from pixalign.data.transforms import RandomLight, normalise, training_transform

GEOMETRY = {"crop": (40, 56), "scale": (0.5, 2.0), "flip": 0.5, "colour": 0.0, "blur": 0.0}


def blocks(height=64, width=80):
    """An image whose red channel is 40 times its label, in blocks of 16 pixels."""
    mask = (
        np.random.default_rng(0)
        .integers(0, 4, (height // 16, width // 16))
        .repeat(16, 0)
        .repeat(16, 1)
        .astype(np.uint8)
    )
    return np.stack([40 * mask, 0 * mask, 0 * mask], -1), mask


def pairs(count=6):
    image, mask = blocks()
    return Pairs(
        "blocks/train", [None] * count, [None] * count, list("abcd"), [[0, 0, 0]] * 4, cached=[(image, mask)] * count
    )


def augmented(index=0, epoch=0, seed=0, **changes):
    return AugmentedPairs(pairs(), training_transform(**{**GEOMETRY, **changes}), seed)[(epoch, index)]


@pytest.mark.parametrize("index", range(6))
def test_scaled_cropped_and_flipped_images_keep_their_labels(index):
    image, mask = augmented(index)
    assert image.shape == (3, 40, 56)
    assert mask.shape == (40, 56)
    labelled = mask != 255
    inside = labelled & (image[0] == 40 * mask)  # all but the block borders, which the resize blends
    assert inside.sum() > 0.6 * labelled.sum()
    assert set(mask.unique().tolist()) <= {0, 1, 2, 3, 255}


def test_padding_is_unlabelled():
    image, mask = augmented(crop=(200, 240), scale=(1.0, 1.0))
    assert (mask == 255).float().mean() == pytest.approx(1 - 64 * 80 / (200 * 240))
    assert (image[:, mask == 255] == 124).all()


def test_colour_and_blur_leave_the_label_alone():
    plain, mask = augmented(scale=(1.0, 1.0))
    changed, same = augmented(scale=(1.0, 1.0), colour=1.0, blur=1.0)
    assert torch.equal(mask, same)
    assert not torch.equal(plain, changed)


def test_light_of_strength_zero_changes_nothing():
    image = tv_tensors.Image(torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8))
    assert torch.equal(RandomLight(0.0)(image), image)


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    first = augmented(3, epoch=1)
    torch.manual_seed(123)
    assert all(torch.equal(a, b) for a, b in zip(first, augmented(3, epoch=1)))
    assert not torch.equal(first[0], augmented(3, epoch=2)[0])
    assert not torch.equal(first[0], augmented(3, epoch=1, seed=1)[0])


def test_augmentation_leaves_the_global_random_state_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    augmented(0, colour=1.0)
    assert torch.equal(before, torch.get_rng_state())


def test_the_number_of_workers_changes_no_batch():
    data = AugmentedPairs(pairs(), training_transform(**GEOMETRY), 0)
    loaded = [list(training_loader(data, EpochBatches(6, 2, 0, 2), workers)) for workers in (0, 2)]
    assert len(loaded[0]) == 6
    for (image0, mask0), (image2, mask2) in zip(*loaded):
        assert torch.equal(image0, image2)
        assert torch.equal(mask0, mask2)


def test_batches_are_a_permutation_of_each_epoch():
    keys = [key for batch in EpochBatches(12, 4, 0, 2) for key in batch]
    assert sorted(keys) == [(epoch, index) for epoch in (0, 1) for index in range(12)]
    assert keys[:12] != [(0, index) for index in range(12)]


def test_starting_later_skips_batches_and_changes_none():
    whole = list(EpochBatches(10, 3, 5, 4))
    assert list(EpochBatches(10, 3, 5, 4, start=7)) == whole[7:]
    assert len(EpochBatches(10, 3, 5, 4, start=7)) == len(whole) - 7


def test_processes_share_an_epoch_without_overlap():
    one = [set(batch) for batch in EpochBatches(12, 6, 0, 1)]
    halves = [list(EpochBatches(12, 3, 0, 1, rank=rank, world=2)) for rank in (0, 1)]
    assert [set(a) | set(b) for a, b in zip(*halves)] == one


def test_updates_of_accumulated_batches_are_whole():
    assert EpochBatches(100, 8, 0, 1, accumulate=4).per_epoch == 12
    assert EpochBatches(5, 8, 0, 1, accumulate=2).per_epoch == 2


def test_normalise_is_pixel_over_255_minus_mean_over_std():
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    expected = (images / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    torch.testing.assert_close(normalise(images, mean, std), expected)
