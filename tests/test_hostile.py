"""Hostile data: what is accepted is what was meant, pixel by pixel, and everything else is refused in one line."""

import numpy as np
import pytest
from PIL import Image

from hostile.case import KINDS, Case, Reading
from hostile.files import Page, packed, stored, write_png, write_tiff
from hostile.judge import judge
from hostile_data import make_case, run_case

SEEDS = 2
TRAINED = 24


def failures(results):
    return "\n".join(
        f"{label}: {kind} --seed {seed} ({', '.join(case.notes if case else [])}): {text}"
        for kind, seed, case, result in results
        for label, text in result.wrong
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_data_in_a_hostile_form_is_what_was_meant_or_refused_in_one_line(kind, tmp_path):
    results = [(kind, seed, *run_case(tmp_path / str(seed), kind, seed)) for seed in range(SEEDS)]
    assert not failures(results), failures(results)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, TRAINED, 4))
def test_what_the_check_accepts_can_be_trained_on_evaluated_and_predicted(first, tmp_path):
    kinds = sorted(KINDS)
    chosen = [(kinds[(7 * seed) % len(kinds)], 1000 + seed) for seed in range(first, first + 4)]
    results = [(kind, seed, *run_case(tmp_path / kind, kind, seed, full=True)) for kind, seed in chosen]
    assert not failures(results), failures(results)


def spoil_mask(case):
    """Turn the mask of the first image upside down."""
    path = next(iter(case.pairs)).replace("images/", "masks/")
    with Image.open(case.root / path) as image:
        ids = np.asarray(image)
    Image.fromarray(ids[::-1]).save(case.root / path)


def spoil_picture(case):
    """Invert the first image."""
    path = case.root / next(iter(case.pairs))
    with Image.open(path) as image:
        pixels = np.asarray(image)
    Image.fromarray(255 - pixels).save(path)


def spoil_a_pixel(case):
    path = next(iter(case.pairs)).replace("images/", "masks/")
    with Image.open(case.root / path) as image:
        ids = np.array(image)
    ids[-1, -1] = 1 if ids[-1, -1] == 0 else 0
    Image.fromarray(ids).save(case.root / path)


def spoil_the_number(case):
    first = next(iter(case.pairs))
    (case.root / first).unlink()
    (case.root / first.replace("images/", "masks/")).unlink()


@pytest.mark.parametrize(
    ("spoil", "label"),
    [(None, None), (spoil_mask, "WRONG PLACE"), (spoil_picture, "WRONG PICTURE"), (spoil_a_pixel, "WRONG COUNT"),
     (spoil_the_number, "LEFT OUT")],
)  # fmt: skip
def test_the_judge_sees_what_is_not_as_meant(spoil, label, tmp_path):
    case = Case(tmp_path / "data", "plain", 0)
    for stem, pair in case.scenes(3, void=True, count=4):
        path = case.root / "images" / f"{stem}.png"
        case.write_image(pair, path)
        write_png(case.root / "masks" / f"{stem}.png", pair.ids)
        case.expect(path, pair)
    if spoil:
        spoil(case)
    result = judge(case)
    assert [kind for kind, _ in result.wrong] == ([label] if label else [])
    assert result.reading == ("" if label else Reading().name)


def test_a_refusal_is_a_failure_where_the_data_must_be_read(tmp_path):
    case = make_case(tmp_path, "lossless_formats", 0)
    (case.root / next(iter(case.pairs))).write_bytes(b"")
    assert [kind for kind, _ in judge(case).wrong] == ["REFUSED"]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_values_are_packed_as_pillow_reads_them(bits, tmp_path):
    values = np.arange(7 * 13).reshape(7, 13) % (1 << bits)
    palette = np.arange(768).reshape(256, 3)[: 1 << bits] if bits < 16 else None
    write_png(tmp_path / "a.png", values, bits, palette=palette)
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == values).all()
    assert packed(values, bits).shape == (7, -(-13 * bits // 8))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "page", [{}, {"tile": 16}, {"rows": 3}, {"compression": 8, "predictor": 2}, {"compression": 32773}, {"planar": 2}]
)
def test_tiff_files_hold_what_was_written(page, order, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    values = np.random.default_rng(0).integers(0, 256, (21, 37, 3))
    write_tiff(tmp_path / "a.tif", [Page(values, photometric=2, **page), Page(values[..., 0])], order)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 2
        assert (np.asarray(image) == values).all()
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.read().transpose(1, 2, 0) == values).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_pixels_are_turned_back_by_their_orientation(orientation, tmp_path):
    from PIL import ImageOps

    values = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", stored(values, orientation), orientation=orientation)
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(ImageOps.exif_transpose(image)) == values).all()
