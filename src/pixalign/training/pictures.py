"""Sheets of sample predictions: image, label, prediction, one row per sample."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pixalign.data.images import write_image
from pixalign.data.samples import Data
from pixalign.models.network import SegmentationNetwork
from pixalign.predicting.inference import predict_ids
from pixalign.predicting.result import draw_overlay
from pixalign.runtime import open_runtime

_HEIGHT, _GAP = 240, 6


def draw_predictions(model: SegmentationNetwork, data: Data, path: Path, count: int = 4) -> None:
    """Draw the predictions of a network in evaluation mode for ``count`` pairs spread over a split."""
    runtime = open_runtime(model, device=None)
    samples = []
    for index in sorted({round(i * (len(data) - 1) / (count - 1)) for i in range(count)}):
        image, label = data[index]
        samples.append((image, label, predict_ids(runtime, image)))
    prediction_sheet(samples, data.colors, path)


def prediction_sheet(
    samples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], colors: list[list[int]], path: Path
) -> None:
    """Write rows of (image (H, W, C), label (H, W), prediction (H, W)), all uint8, as one picture.

    Unlabeled pixels are black in the label; the prediction is laid over the image, of whose bands those are shown that
    `draw_overlay` shows.
    """
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = colors
    rows = []
    for image, label, prediction in samples:
        plain, overlay = (draw_overlay(image, prediction, colors, opacity) for opacity in (0, 0.6))
        shown = [plain, Image.fromarray(table[label]), overlay]
        width = max(1, round(_HEIGHT * image.shape[1] / image.shape[0]))
        rows.append([x.resize((width, _HEIGHT), Image.Resampling.LANCZOS) for x in shown])
    columns = max(row[0].width for row in rows)
    sheet = Image.new("RGB", (3 * columns + 4 * _GAP, len(rows) * (_HEIGHT + _GAP) + _GAP), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (_GAP + x * (columns + _GAP), _GAP + y * (_HEIGHT + _GAP)))
    write_image(sheet, path, quality=90)
