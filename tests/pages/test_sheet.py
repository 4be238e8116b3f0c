"""Pictures on a sheet."""

import numpy as np
from PIL import Image

from pixalign.pages.sheet import Panel, draw_sheet, grid


def test_pictures_stand_side_by_side_above_the_legend():
    panels = [Panel("one", Image.new("RGB", (40, 30), "red")), Panel("two", Image.new("RGB", (80, 60), (7, 128, 9)))]
    legend = [(f"class {i}", (0, 0, 200 + i), f"{i} %") for i in range(7)]
    sheet = np.asarray(draw_sheet("title", "subtitle", panels, legend))
    reds, greens = (np.argwhere((sheet == color).all(-1)) for color in ((255, 0, 0), (7, 128, 9)))
    assert reds[:, 1].max() < greens[:, 1].min()
    assert np.ptp(reds[:, 0]) == np.ptp(greens[:, 0])
    for _, color, _ in legend:
        swatch = np.argwhere((sheet == color).all(-1))
        assert len(swatch) > 200
        assert swatch[:, 0].min() > reds[:, 0].max()


def test_portrait_and_panorama_fit_too():
    for size in ((30, 300), (300, 30)):
        assert draw_sheet("t", "s", [Panel("p", Image.new("RGB", size))], [("c", (1, 2, 3), "")]).width > 96


def test_a_grid_has_columns_and_rows_as_large_as_their_largest():
    sizes = [(10, 20), (30, 5), (20, 8)]
    pictures = [Image.new("RGB", size, (i, 0, 0)) for i, size in enumerate(sizes)]
    sheet = grid(pictures, 2, 3, paper="white", edge=1)
    assert sheet.size == (20 + 3 + 30 + 2, 20 + 3 + 8 + 2)
    assert [sheet.getpixel(place) for place in ((1, 1), (24, 1), (1, 24))] == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    assert sheet.getpixel((0, 0)) == sheet.getpixel((11, 1)) == (255, 255, 255)
