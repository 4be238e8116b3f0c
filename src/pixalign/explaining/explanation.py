"""`explain`: what networks do with one image, as sheets of pictures that a person understands at a glance."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

from pixalign.data.images import read_image, write_image
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.explaining.evidence import Evidence, look
from pixalign.explaining.pictures import Scene, borders
from pixalign.explaining.sections import leads, one_network, several_networks
from pixalign.models.network import NetworkConfig
from pixalign.pages.sheet import draw_page
from pixalign.palette import IGNORE
from pixalign.predicting import Predictor
from pixalign.weights import check_classes

LARGEST = 16_000_000  # pixels: all maps of the network are kept, and a sheet shows no more

_NAMES = {
    "alignseg": "AlignSeg",
    "bialignnet": "BiAlignNet",
    "ddsm": "DDSM",
    "ifa": "IFA",
    "sfnet": "SFNet",
    "sfnet_lite": "SFNet-Lite",
}


@dataclass
class Explanation:
    """Sheets about networks and an image.

    Attributes:
        sheets: file stem -> RGB picture, 1600 pixels wide: one per network, and "..._boundaries" for several.
        pixel: the marked pixel (x, y).
        notes: what else to know, one line each: how the pixel was chosen, what the label lacks.
    """

    sheets: dict[str, Image.Image]
    pixel: tuple[int, int]
    notes: list[str] = field(default_factory=list)

    def save(self, folder: str | Path) -> list[Path]:
        """Write each sheet as ``folder``/<stem>.png, whole or not at all; return the paths.

        Raises:
            InputError: the file system refuses the write.
        """
        paths = [Path(folder) / f"{stem}.png" for stem in self.sheets]
        for path, sheet in zip(paths, self.sheets.values()):
            write_image(sheet, path)
        return paths


def explain(
    models: nn.Module | str | Path | Sequence[nn.Module | str | Path],
    image: str | Path | Image.Image | np.ndarray,
    label: str | Path | np.ndarray | None = None,
    pixel: tuple[int, int] | None = None,
    device: str | None = None,
) -> Explanation:
    """Draw what networks do with an image: where features are fetched from, gates, sampled points, boundaries.

    Args:
        models: one or several of what `pixalign.Predictor` takes. Several, of the same classes, also get one sheet that
            shows their boundaries side by side.
        image: a file, a Pillow image, or an array (H, W, C) uint8.
        label: the true classes: a mask file of class ids or of the model's colors, or an array (H, W) of ids; 255 is
            "no label", and so is, with a note, every value that means no class.
        pixel: (x, y), the pixel to look at, (0, 0) at the upper left. None takes the place where the class borders
            are least certain: the largest sum, under a gaussian of 6 pixels, of 1 - the lead of the likeliest class
            over the next one at predicted borders, over all networks, away from the outer twelfth (our choice).
        device: a torch device by name; None takes CUDA if it is there.

    Raises:
        InputError: no such model, image, label or device; networks of other classes; a label of another size; a pixel
            outside the image; an image of more than 16 million pixels.
    """
    given = [models] if isinstance(models, nn.Module | str | Path) else list(models)
    if not given:
        raise InputError("models is empty: give one or more")
    predictors = [Predictor(model, device) for model in given]
    for other in predictors[1:]:
        check_classes(other.config.classes, predictors[0].config.classes)
    names = _names(given, predictors)
    evidences = [look(p, _read(image, p.channels), name) for p, name in zip(predictors, names)]
    result = evidences[0].result
    height, width = result.ids.shape
    notes: list[str] = []
    truth = None if label is None else _read_label(label, result.ids.shape, predictors[0].config, notes)
    chosen = pixel is None
    if pixel is None:
        pixel = least_certain_border(evidences)
    if not (0 <= pixel[0] < width and 0 <= pixel[1] < height):
        raise InputError(
            f"pixel {pixel[0]},{pixel[1]} lies outside the image of {width} x {height}: "
            f"give x from 0 to {width - 1} and y from 0 to {height - 1}"
        )
    for evidence in evidences:
        if not evidence.alignments and not evidence.model.has_aligners:
            notes.append(f"{evidence.name}: has no aligner, so no geometry is shown: prediction and features alone")
    stem = Path(image).stem if isinstance(image, str | Path) else "image"
    called = Path(image).name if isinstance(image, str | Path) else "the image"
    about = f"{called}, {width} × {height} pixels. Marked pixel: {pixel[0]}, {pixel[1]}"
    if chosen:
        notes.append(f"marked pixel {pixel[0]},{pixel[1]}: where the predicted class borders are least certain")
        about += ", where the predicted class borders are least certain"
    sheets: dict[str, Image.Image] = {}
    for evidence, predictor in zip(evidences, predictors):
        scene = Scene(evidence.result.image, pixel, truth, evidence.covered)
        encoder = predictor.config.arguments["encoder"]
        sheets[_free(f"{stem}_{_slug(evidence.name)}", sheets)] = draw_page(
            f"How {evidence.name} sees {called}", f"{about}. Encoder: {encoder}.", one_network(evidence, scene)
        )
    if len(evidences) > 1:
        scene = Scene(result.image, pixel, truth)
        sheets[_free(f"{stem}_boundaries", sheets)] = draw_page(
            f"{len(evidences)} networks at one boundary", f"{about}.", several_networks(evidences, scene)
        )
    return Explanation(sheets, pixel, notes)


def least_certain_border(evidences: Sequence[Evidence]) -> tuple[int, int]:
    """The pixel (x, y) on a predicted class border around which borders are least certain (see `explain`)."""
    doubt = np.mean([(1 - leads(e)) * borders(e.result.ids) for e in evidences], axis=0)
    if not doubt.any():
        doubt = np.mean([1 - leads(e) for e in evidences], axis=0)
    middle = np.zeros(doubt.shape, bool)
    rows, columns = (side // 12 for side in doubt.shape)
    middle[rows : doubt.shape[0] - rows, columns : doubt.shape[1] - columns] = True
    inner = (doubt > 0) & middle
    score = gaussian_filter(doubt, 6.0, mode="constant") * (inner if inner.any() else doubt > 0)
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    return int(column), int(row)


def _read(image: Any, channels: int) -> Any:
    if isinstance(image, str | Path):
        image = read_image(image, channels=channels)
    size = image.size if isinstance(image, Image.Image) else np.shape(image)[1::-1]
    if len(size) == 2 and size[0] * size[1] > LARGEST:
        raise InputError(
            f"image: {size[0]} x {size[1]} pixels are more than {LARGEST:,} to look into: cut out the part of interest"
        )
    return image


def _read_label(
    label: str | Path | np.ndarray, shape: tuple[int, ...], config: NetworkConfig, notes: list[str]
) -> np.ndarray:
    """Class ids (H, W) uint8 with 255 for "no label"; what means no class is noted."""
    classes, colors = config.classes, config.colors
    if isinstance(label, str | Path):
        where = str(label)
        by_color = {(c[0], c[1], c[2]): i for i, c in enumerate(colors)}
        if not Path(label).is_file():
            raise InputError(f"{label}: no such file")
        ids, unknown = Labels(classes, colors, None, by_color).decode(Path(label))
    else:
        where, values = "label", np.asarray(label)
        if values.ndim != 2 or values.dtype.kind not in "iu":
            raise InputError(
                f"label is an array of shape {values.shape} and type {values.dtype}: (H, W) of ids is needed"
            )
        inside = (values >= 0) & (values < len(classes))
        strange = values[~inside & (values != IGNORE)]
        unknown = {str(value): int((strange == value).sum()) for value in np.unique(strange)}
        ids = np.where(inside, values, IGNORE).astype(np.uint8)
    if ids.shape != shape:
        raise InputError(
            f"{where}: the label is {ids.shape[1]} x {ids.shape[0]} but the image {shape[1]} x {shape[0]}: both must "
            "have one size"
        )
    if (ids == IGNORE).all():
        raise InputError(
            f"{where}: no pixel of it has a class of the model ({len(classes)} classes, ids 0 to {len(classes) - 1}): "
            "give a mask of these ids or of the model's colors"
        )
    if unknown:
        listed = ", ".join(f"{value} ({count:,} px)" for value, count in list(unknown.items())[:5])
        notes.append(f"{where}: means no class of the model and counts as no label: {listed}")
    return ids


def _names(given: Sequence[Any], predictors: Sequence[Predictor]) -> list[str]:
    """What to call each network; where two would be called the same, what it was given as, or a number, follows."""
    plain = []
    for predictor in predictors:
        architecture, arguments = predictor.config.architecture, predictor.config.arguments
        name = _NAMES.get(architecture, architecture)
        plain.append(f"FPN with {arguments.get('aligner', 'bilinear')}" if architecture == "aligned_fpn" else name)
    names = []
    for index, (name, source) in enumerate(zip(plain, given)):
        if plain.count(name) > 1:
            called = f"no. {index + 1}" if isinstance(source, nn.Module) else str(source)
            name = f"{name} ({called})"
        names.append(name)
    return names


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _free(stem: str, taken: dict[str, Any]) -> str:
    """The stem, with a number if it is taken."""
    stems = (stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 2)))
    return next(free for free in stems if free not in taken)
