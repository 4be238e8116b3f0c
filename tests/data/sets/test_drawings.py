"""Drawn pictures of what the bundled models know, with labels that are exact."""

import numpy as np
from scipy import ndimage

from pixalign.data.sets.drawings import draw_nuclei, draw_retina


def test_a_seed_draws_one_picture():
    for draw in (draw_retina, draw_nuclei):
        (image, label), (again, same) = draw(3), draw(3)
        assert image.dtype == label.dtype == np.uint8
        assert image.shape == (*label.shape, 3)
        assert (image == again).all()
        assert (label == same).all()
        assert (draw(4)[0] != image).any()


def test_vessels_are_darker_than_what_is_beside_them_and_lie_in_the_disc():
    image, label = draw_retina(0, side=480)
    beside = np.roll(label, (9, 9), (0, 1)).astype(bool) & (label == 0) & (image.max(-1) > 60)
    assert image[label == 1].mean() < 0.9 * image[beside].mean()
    y, x = np.nonzero(label)
    assert np.hypot(y - 240, x - 240).max() < 0.48 * 480
    assert 0.03 < label.mean() < 0.12


def test_borders_cut_apart_the_nuclei_that_touch():
    image, label = draw_nuclei(0)
    assert set(np.unique(label)) == {0, 1, 2}
    assert image[label == 1].mean() > 3 * image[label == 0].mean()
    touching, apart = (ndimage.label(mask)[1] for mask in (label > 0, label == 1))
    assert apart > touching + 5
