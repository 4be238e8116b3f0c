"""Adaptive decoding of a fused IFA: the logits of the network's own, from fewer sums."""

import pytest
import torch

from graphs import relative_error
from networks import image, network
from pixalign import fuse
from pixalign.fusing import networks
from pixalign.models.ifa import least_sure, pixels_of
from pixalign.sampling import resize

SIZES = ((64, 96), (256, 384), (45, 61), (9, 7))  # the image's, 4x, and finer and coarser than the finest map's cells


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", [{}, {"convention": "sfnet"}, {"local_ensemble": True}, {"encoding": "none"}])
def test_refined_and_resized_pixels_are_the_networks(size, options):
    """Which cells are chosen is asked of the fused logits: rounding may turn two that are nearly as sure."""
    model = network("ifa", **options)
    quick, x = fuse(model), image(64, 96, batch=2)
    with torch.inference_mode():
        features = model.encode(x)
        everywhere, coarse = model.decode(features, size, refine=1), model.decode(features)
        chosen = least_sure(quick.decode(quick.encode(x)), 0.2)
        expected = resize(coarse, size, model.convention)
        for i, (rows, columns) in enumerate(pixels_of(chosen, size, model.convention)):
            expected[i, :, rows, columns] = everywhere[i, :, rows, columns]
        assert relative_error(quick.decode(quick.encode(x), size, refine=0.2), expected) < 1e-4


def test_pieces_of_any_length_change_nothing(monkeypatch):
    quick, x = fuse(network("ifa")), image(64, 96)
    with torch.inference_mode():
        features = quick.encode(x)
        whole = quick.decode(features, (100, 100), refine=0.3)
        monkeypatch.setattr(networks, "_AT_ONCE", 7)
        assert relative_error(quick.decode(features, (100, 100), refine=0.3), whole) < 1e-5


@pytest.mark.parametrize("size", [(200, 300), (65, 47)])
def test_bfloat16_refines_as_well_as_it_decodes(size):
    model, x = network("ifa"), image(64, 96)
    low = fuse(model, precision="bf16")
    with torch.inference_mode():
        features = low.encode(x)
        everywhere, refined = (low.decode(features, size, refine=share) for share in (1, 0.5))
        ((rows, columns),) = pixels_of(least_sure(low.decode(features), 0.5), size)
        assert refined.dtype == torch.bfloat16
        fine = [logits[0, :, rows, columns].float() for logits in (refined, everywhere)]
        assert relative_error(*fine) < 0.05


def test_a_size_that_another_thread_asks_for_meanwhile_does_not_change_what_is_read(monkeypatch):
    quick, x = fuse(network("ifa")), image(64, 96)
    with torch.inference_mode():
        features = quick.encode(x)
        other = quick.encode(image(33, 47))
        grids, pixels = ([(y.shape[-2], y.shape[-1]) for y in maps] for maps in (features, other))
        mine, theirs = quick._find_places(tuple(grids)), quick._find_places(tuple(pixels))
        kept = {
            "kept": [(tuple(grids), mine), (tuple(pixels), theirs)],
            "kept_pixels": [
                ((size, *grids), quick._find_pixel_places(features, size)) for size in ((50, 60), (64, 96))
            ],
        }
        for name, values in kept.items():  # as if another thread replaced it after each look
            looks = iter(values)
            monkeypatch.setattr(type(quick), name, property(lambda self, looks=looks: next(looks)), raising=False)
        assert quick._places(tuple(grids)) is mine
        assert quick._pixel_places(features, (50, 60)) is kept["kept_pixels"][0][1]
