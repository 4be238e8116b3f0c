"""Sheets of sample predictions: image, label, prediction, one row per sample."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pixalign.data.images import write_image
from pixalign.data.samples import Data
from pixalign.models.network import SegmentationNetwork
from pixalign.pages.sheet import grid
from pixalign.palette import color_table
from pixalign.predicting.inference import predict_ids
from pixalign.predicting.result import draw_overlay
from pixalign.runtime import open_runtime

_ROWS, _HEIGHT, _GAP = 4, 240, 6


def draw_predictions(model: SegmentationNetwork, data: Data, path: Path) -> None:
    """Draw the predictions of a network in evaluation mode for a few pairs spread over a split."""
    runtime = open_runtime(model, device=None)
    samples = []
    for index in sorted({round(i * (len(data) - 1) / (_ROWS - 1)) for i in range(_ROWS)}):
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
    pictures = []
    for image, label, prediction in samples:
        plain, overlay = (draw_overlay(image, prediction, colors, opacity) for opacity in (0, 0.6))
        width = max(1, round(_HEIGHT * image.shape[1] / image.shape[0]))
        shown = (plain, Image.fromarray(color_table(colors)[label]), overlay)
        pictures += [picture.resize((width, _HEIGHT), Image.Resampling.LANCZOS) for picture in shown]
    write_image(grid(pictures, 3, _GAP, paper="white", edge=_GAP), path, quality=90)
