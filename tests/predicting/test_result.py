"""A result: shares, overlay, id image, files."""

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixalign import InputError, Result
from pixalign.predicting.result import draw_overlay

COLORS = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.fixture
def result() -> Result:
    ids = np.zeros((40, 60), np.uint8)
    ids[:, 45:] = 2
    shares = np.full((3, 40, 60), 1 / 3, np.float32)
    return Result(np.full((40, 60, 3), 100, np.uint8), ids, ["road", "car", "sky"], COLORS, shares)


def test_areas_are_shares_of_all_classes(result):
    assert result.areas() == {"road": 0.75, "car": 0.0, "sky": 0.25}


def test_the_overlay_blends_and_draws_borders_stronger(result):
    overlay = np.asarray(result.overlay(0.5))
    assert tuple(overlay[20, 20]) == (177, 50, 50)
    assert overlay[20, 45, 2] > overlay[20, 55, 2] == 177
    assert (np.asarray(result.overlay(0)) == result.image).all()
    assert tuple(np.asarray(result.overlay(1))[0, 0]) == (255, 0, 0)


def test_drawing_in_bands_changes_nothing(result, monkeypatch):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 3, (25, 20)).repeat(60, 0).repeat(70, 1).astype(np.uint8)  # borders are two pixels thick
    large = Result(rng.integers(0, 256, (*ids.shape, 3), dtype=np.uint8), ids, result.classes, COLORS)
    whole = np.asarray(large.overlay())
    monkeypatch.setattr("pixalign.predicting.result._BAND", 7 * ids.shape[1])
    assert (np.asarray(large.overlay()) == whole).all()
    monkeypatch.setattr("pixalign.predicting.result._BAND", 1)
    assert (np.asarray(large.overlay()) == whole).all()


def test_of_many_channels_the_first_three_are_shown():
    image = np.zeros((40, 60, 5), np.uint8)
    image[..., 1] = 80
    ids = np.full((40, 60), 255, np.uint8)
    assert np.asarray(draw_overlay(image, ids, COLORS))[7, 7].tolist() == [0, 80, 0]


def test_unlabeled_pixels_stay_as_they_are_in_an_overlay(result):
    ids = np.full((40, 60), 255, np.uint8)
    assert (np.asarray(draw_overlay(result.image, ids, COLORS)) == result.image).all()


def test_the_id_image_holds_ids_as_values_and_colors_as_palette(result):
    picture = result.id_image()
    assert picture.mode == "P"
    assert (np.asarray(picture) == result.ids).all()
    assert picture.getpalette()[:9] == [255, 0, 0, 0, 255, 0, 0, 0, 255]


def test_files_hold_what_the_result_holds(result, tmp_path):
    paths = result.save(tmp_path / "new", "street")
    assert [p.name for p in paths] == ["street.png", "street_overlay.jpg", "street_probabilities.npz"]
    with Image.open(paths[0]) as ids:
        assert ids.mode == "P"
        assert (np.asarray(ids) == result.ids).all()
        assert ids.convert("RGB").getpixel((59, 0)) == (0, 0, 255)
    with Image.open(paths[1]) as overlay:
        assert overlay.size == (60, 40)
    stored = np.load(paths[2])["probabilities"]
    assert stored.dtype == np.float16
    assert stored.shape == (3, 40, 60)


def test_a_full_disk_leaves_no_part_of_a_file(result, tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(self, content):
        write(self, b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"street.png: cannot be written \(No space left on device\)"):
        result.save(tmp_path, "street")
    assert not list(tmp_path.iterdir())


def test_one_channel_is_shown_as_gray():
    image = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60, 1)
    ids = np.full((40, 60), 255, np.uint8)
    assert (np.asarray(draw_overlay(image, ids, COLORS)) == image).all()
