"""Sheets of sample predictions."""

import numpy as np
from PIL import Image

from pixalign.training.pictures import prediction_sheet


def test_a_sheet_has_a_row_per_sample_and_black_where_there_is_no_label(tmp_path):
    image = np.full((120, 160, 3), 200, np.uint8)
    label = np.full((120, 160), 255, np.uint8)
    prediction = np.ones((120, 160), np.uint8)
    prediction_sheet([(image, label, prediction)] * 2, [[255, 0, 0], [0, 255, 0]], tmp_path / "sheet.jpg")
    sheet = np.asarray(Image.open(tmp_path / "sheet.jpg")).astype(int)
    assert sheet.shape == (2 * 246 + 6, 3 * 320 + 24, 3)
    assert sheet[120, 160].min() > 190  # image
    assert sheet[120, 160 + 326].max() < 20  # label
    red, green, blue = sheet[120, 160 + 652]  # prediction, green over the image
    assert green > red + 100
    assert green > blue + 100
