"""Augmentation: image and label stay together, and randomness is the sample's own."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

from pixalign.data.loader import AugmentedPairs, EpochBatches, training_loader
from pixalign.data.normalization import normalize
from pixalign.data.samples import Samples
from pixalign.data.transforms import (
    RandomDusk,
    RandomLight,
    RandomScaledCrop,
    TrainingTransform,
    UsersTransform,
)
from pixalign.errors import InputError

GEOMETRY = {"crop": (40, 56), "scale": (0.5, 2.0), "flip": 0.5, "color": 0.0, "dusk": 0.0, "blur": 0.0}


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
    return Samples([blocks()] * count, list("abcd"), name="blocks/train")


def augmented(index=0, epoch=0, seed=0, **changes):
    return AugmentedPairs(pairs(), TrainingTransform(**{**GEOMETRY, **changes}), seed)[(epoch, index)]


@pytest.mark.parametrize("index", range(6))
def test_scaled_cropped_and_flipped_images_keep_their_labels(index):
    image, mask = augmented(index)
    assert image.shape == (3, 40, 56)
    assert mask.shape == (40, 56)
    labeled = mask != 255
    inside = labeled & (image[0] == 40 * mask)  # all but the block borders, which the resize blends
    assert inside.sum() > 0.6 * labeled.sum()
    assert set(mask.unique().tolist()) <= {0, 1, 2, 3, 255}


def test_padding_is_unlabeled():
    image, mask = augmented(crop=(200, 240), scale=(1.0, 1.0))
    assert (mask == 255).float().mean() == pytest.approx(1 - 64 * 80 / (200 * 240))
    assert (image[:, mask == 255] == 124).all()


@example(size=(16, 16), crop=(47, 47), scale=3.0, focus=None)  # a tie on both axes
@given(
    size=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    crop=st.tuples(st.integers(32, 64), st.integers(32, 64)),
    scale=st.floats(0.3, 3.0),
    focus=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=60, deadline=None)
def test_a_crop_has_its_size_and_its_pixels_stay_with_their_labels(size, crop, scale, focus):
    mask = torch.from_numpy(np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.uint8))
    place = None if focus is None else (int(focus[0] * (size[0] - 1)), int(focus[1] * (size[1] - 1)))
    crops = {}
    for dtype in (torch.uint8, torch.float32):
        torch.manual_seed(0)
        shown, labels = RandomScaledCrop(crop, scale, scale)(mask.repeat(3, 1, 1).to(dtype), mask, place)
        assert shown.shape == (3, *crop)
        assert labels.shape == crop
        crops[dtype] = shown[0].float()
    labeled = labels != 255
    assert labeled.any()
    # Both show row + column of the source: what differs is nearest against linear, half a pixel on each axis.
    assert (crops[torch.float32] - labels.float()).abs()[labeled].max() <= 1 + 1 / scale + 1e-3
    # Bytes are rounded twice, once on each axis.
    assert (crops[torch.uint8] - crops[torch.float32]).abs()[labeled].max() <= 1 + 0.1


@pytest.mark.parametrize("focus", [(20, 30), (0, 0), (99, 129), (50, 128)])
def test_a_focused_crop_holds_its_pixel_and_is_centerd_where_the_image_allows(focus):
    image = torch.zeros(3, 100, 130, dtype=torch.uint8)
    mask = torch.zeros(100, 130, dtype=torch.uint8)
    mask[focus] = 1
    _, labels = RandomScaledCrop((40, 40), 1.0, 1.0)(image, mask, focus)
    row, column = (labels == 1).nonzero()[0].tolist()
    assert (labels == 1).sum() == 1
    assert row == (20 if 20 <= focus[0] <= 80 else pytest.approx(focus[0] % 60, abs=40))
    assert column == (20 if 20 <= focus[1] <= 110 else pytest.approx(focus[1] % 90, abs=40))


def test_a_crop_at_scale_one_is_a_cut_out():
    image, mask = (torch.from_numpy(x) for x in blocks())
    shown, labels = RandomScaledCrop((32, 48), 1.0, 1.0)(image.permute(2, 0, 1), mask, (32, 40))
    assert torch.equal(labels, mask[16:48, 16:64])
    assert torch.equal(shown, image.permute(2, 0, 1)[:, 16:48, 16:64])


def test_dusk_is_darker_and_of_probability_zero_nothing():
    image = tv_tensors.Image(torch.randint(60, 200, (3, 40, 50), dtype=torch.uint8))
    assert torch.equal(RandomDusk(0.0)(image), image)
    dusks = torch.stack([RandomDusk(1.0)(image).float().mean() for _ in range(20)])
    assert dusks.mean() < 0.7 * image.float().mean()
    assert len(dusks.unique()) == 20


def test_images_of_four_bands_are_augmented_too():
    transform = TrainingTransform(**{**GEOMETRY, "color": 1.0, "dusk": 1.0, "blur": 1.0}, channels=4)
    image, mask = blocks()
    shown, _ = transform(
        torch.from_numpy(np.concatenate([image, mask[..., None]], -1)).permute(2, 0, 1), torch.from_numpy(mask)
    )
    assert shown.shape == (4, 40, 56)


def test_half_of_the_crops_are_centerd_on_classes_drawn_uniformly():
    mask = np.zeros((2, 200, 200), np.uint8)
    mask[1, 100:104, 100:104] = 2  # 16 pixels of 80,000
    items = [(np.repeat(40 * m[..., None], 3, -1), m) for m in mask]
    data = Samples(items, list("abc"))
    presence = np.array([[True, False, False], [True, False, True]])
    geometry = TrainingTransform(**{**GEOMETRY, "scale": (1.0, 1.0)})
    seen = {}
    for uniform in (0.0, 0.5):
        samples = AugmentedPairs(data, geometry, 0, presence, uniform)
        seen[uniform] = np.mean([(samples[(epoch, 0)][1] == 2).any().item() for epoch in range(200)])
    assert seen[0.0] == 0.0  # index 0 is the image without the rare class
    assert seen[0.5] == pytest.approx(0.25, abs=0.08)  # half of the crops, half of those for the rare class


def test_another_set_is_mixed_in_at_its_ratio():
    other = Samples([(np.full((64, 80, 3), 200, np.uint8), np.full((64, 80), 3, np.uint8))], list("abcd"))
    samples = AugmentedPairs(pairs(), TrainingTransform(**GEOMETRY), 0, mix=other, mix_ratio=0.3)
    share = np.mean([(samples[(epoch, 0)][0] > 160).any().item() for epoch in range(300)])
    assert share == pytest.approx(0.3, abs=0.08)


def test_a_UsersTransform_is_seeded_and_checked():
    def noisy(image, mask):
        return image[:32, :32] + np.random.randint(0, 50, (32, 32, 3), np.uint8), mask[:32, :32]  # noqa: NPY002

    samples = AugmentedPairs(pairs(), UsersTransform(noisy), 0)
    (first, mask), (again, _), (other, _) = samples[(0, 1)], samples[(0, 1)], samples[(1, 1)]
    assert first.shape == (3, 32, 32)
    assert mask.shape == (32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (lambda image, mask: (image / 255, mask), r"returned (ndarray (64, 80, 3) float64, ndarray (64, 80) uint8)"),
        (lambda image, mask: (image, mask.astype(int)), "returned (ndarray (64, 80, 3) uint8, ndarray (64, 80) int64)"),
        (lambda image, mask: (image[:9], mask), "returned (ndarray (9, 80, 3) uint8, ndarray (64, 80) uint8)"),
        (lambda image, mask: (image[..., :1], mask), "returned (ndarray (64, 80, 1) uint8"),
        (lambda image, mask: (image.transpose(2, 0, 1), mask), "returned (ndarray (3, 64, 80) uint8"),
        (lambda image, mask: (torch.from_numpy(image), mask), "returned (Tensor (64, 80, 3) torch.uint8"),
        (lambda image, mask: (image[:0], mask[:0]), "returned (ndarray (0, 80, 3) uint8"),
        (lambda image, mask: {"image": image, "mask": mask}, "returned a dictionary of 'image', 'mask'"),
        (lambda image, mask: None, "returned None"),
        (lambda image, mask: image, "returned ndarray (64, 80, 3) uint8"),
        (lambda image, mask: (image,), "returned a tuple of 1"),
        (lambda image, mask: (image, None), "returned (ndarray (64, 80, 3) uint8, None)"),
    ],
)
def test_what_a_UsersTransform_returns_is_said_and_what_is_needed(transform, said):
    samples = AugmentedPairs(pairs(), UsersTransform(transform), 0)
    with pytest.raises(InputError) as error:
        _ = samples[(0, 0)]
    assert f"transform: {said}" in str(error.value)
    assert str(error.value).endswith("(image, mask) is needed, uint8 arrays (H, W, 3) and (H, W)")


def test_a_UsersTransform_that_fails_says_how():
    samples = AugmentedPairs(pairs(), UsersTransform(lambda image, mask: 1 / 0), 0)
    with pytest.raises(InputError, match="transform: failed with ZeroDivisionError: division by zero"):
        _ = samples[(0, 0)]


def test_a_UsersTransform_may_not_make_up_classes():
    samples = AugmentedPairs(pairs(), UsersTransform(lambda image, mask: (image, np.full_like(mask, 7)), 3), 0)
    with pytest.raises(InputError, match="a mask with the value 7, and there are 3 classes"):
        _ = samples[(0, 0)]
    unlabeled = AugmentedPairs(pairs(), UsersTransform(lambda image, mask: (image, np.full_like(mask, 255)), 3), 0)
    assert (unlabeled[(0, 0)][1] == 255).all()


def test_a_UsersTransform_that_changes_its_arguments_does_not_change_the_data():
    def blacken(image, mask):
        image[:], mask[:] = 0, 255
        return image, mask

    data = pairs()
    before = [part.copy() for part in data[0]]
    _ = AugmentedPairs(data, UsersTransform(blacken), 0)[(0, 0)]
    for part, unchanged in zip(data[0], before):
        np.testing.assert_array_equal(part, unchanged)


def test_normalize_gives_float32_whatever_torch_makes_by_default():
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    expected = normalize(images, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3])
    torch.set_default_dtype(torch.float64)
    try:
        found = normalize(images, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3])
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_color_and_blur_leave_the_label_alone():
    plain, mask = augmented(scale=(1.0, 1.0))
    changed, same = augmented(scale=(1.0, 1.0), color=1.0, blur=1.0)
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
    augmented(0, color=1.0)
    assert torch.equal(before, torch.get_rng_state())


def test_the_number_of_workers_changes_no_batch():
    data = AugmentedPairs(pairs(), TrainingTransform(**GEOMETRY), 0)
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


def test_normalize_is_pixel_over_255_minus_mean_over_std():
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    expected = (images / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    torch.testing.assert_close(normalize(images, mean, std), expected)


def test_turned_crops_show_all_quarters_alike_and_masks_turn_with_them():
    image = torch.arange(32 * 32, dtype=torch.int64).reshape(1, 32, 32).remainder(251).to(torch.uint8).expand(3, -1, -1)
    mask = image[0].clone()
    seen = Counter()
    for seed in range(200):
        torch.manual_seed(seed)
        turned = TrainingTransform((32, 32), (1.0, 1.0), 0, 0, 0, 0, turn=0.75)
        shown, labels = turned(image, mask)
        assert torch.equal(shown[0], labels)
        seen[next(k for k in range(4) if torch.equal(labels, mask.rot90(k)))] += 1
    assert min(seen.values()) > 25
    assert len(seen) == 4


def test_crops_that_are_not_square_are_turned_by_quarters_too():
    """The red and green of a pixel are its row and column, so their steps tell how a crop lies."""
    rows, columns = torch.meshgrid(torch.arange(100), torch.arange(100), indexing="ij")
    image = torch.stack([rows, columns, 0 * rows]).to(torch.uint8)
    seen = Counter()
    for seed in range(200):
        torch.manual_seed(seed)
        shown, labels = TrainingTransform((32, 64), (1.0, 1.0), 0, 0, 0, 0, turn=0.75)(image, image[0])
        assert shown.shape == (3, 32, 64)
        assert torch.equal(shown[0], labels)
        place = shown[:2].int()
        seen[tuple((place[:, 1, 0] - place[:, 0, 0]).tolist())] += 1
    assert len(seen) == 4
    assert min(seen.values()) > 25


def test_a_turned_crop_holds_the_pixel_that_it_is_centered_on():
    mask = torch.zeros(100, 130, dtype=torch.uint8)
    mask[95, 20] = 1
    for seed in range(20):
        torch.manual_seed(seed)
        turned = TrainingTransform((32, 64), (1.0, 1.0), 0.5, 0, 0, 0, turn=1)
        assert (turned(mask.expand(3, -1, -1), mask, (95, 20))[1] == 1).sum() == 1


STRONG = {**GEOMETRY, "color": 1.0, "dusk": 0.5, "blur": 0.5}


def test_gray_images_change_their_light_and_get_no_tint():
    light = torch.randint(0, 256, (1, 64, 80), dtype=torch.uint8).expand(3, -1, -1)
    transform, brightness = TrainingTransform(**STRONG, turn=0.5), set()
    for seed in range(60):
        torch.manual_seed(seed)
        shown, _ = transform(light, light[0])
        assert shown.shape == (3, 40, 56)
        assert torch.equal(shown[0], shown[1])
        assert torch.equal(shown[0], shown[2])
        brightness.add(round(shown.float().mean().item()))
    assert len(brightness) > 20


def test_an_image_with_a_little_color_is_tinted_as_before():
    image = torch.full((3, 64, 80), 120, dtype=torch.uint8)
    image[2] = 121
    torch.manual_seed(0)
    shown, _ = TrainingTransform(**STRONG)(image, image[0])
    assert (shown[0].float() - shown[1].float()).abs().mean() > 2


def test_a_gray_image_without_changes_of_light_is_what_it_was():
    light = torch.randint(0, 256, (1, 64, 80), dtype=torch.uint8).expand(3, -1, -1)
    shown = {}
    for bands in (light, torch.cat([light, light[:1]])):  # four bands are never taken for gray
        torch.manual_seed(3)
        shown[len(bands)] = TrainingTransform(**{**GEOMETRY, "blur": 1.0}, channels=len(bands))(bands, light[0])[0]
    assert torch.equal(shown[3], shown[4][:3])
