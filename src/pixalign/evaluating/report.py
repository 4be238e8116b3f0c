"""The report of an evaluation: ``index.html`` beside its figures, with the worst and the best images.

The figures come from the result of `pixalign.evaluating.evaluate` and its counts per image. Only the images that are
shown are predicted again, one after the other, so memory does not grow with the split. An image's mIoU is the mean over
the classes that its label holds; an image without a labeled pixel has none and is left out.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pixalign.data.samples import Data
from pixalign.errors import InputError
from pixalign.evaluating import resize_ids
from pixalign.evaluating.page import Shown, page
from pixalign.files import write_text
from pixalign.metrics.confusion import confusion_matrix
from pixalign.metrics.intervals import read_images
from pixalign.pages import Picture, data_uri
from pixalign.palette import IGNORE
from pixalign.predicting.result import draw_overlay

SHOWN = 10  # worst images, and best ones

_SIDE, _ENLARGED = 480, 3  # pixels: longest side of a picture; enlargement of the crop
_BYTES = 30_000  # of a picture: 100 of them, in base64, stay below 4.1 MB
_QUALITIES = (85, 75, 65, 50, 35)
_NEAR = 3  # pixels from a border of the label within which errors choose the crop
_MAGENTA, _IGNORED, _FRAME = (255, 0, 150), (138, 138, 144), (20, 20, 22)


def write_report(
    result: Mapping[str, Any],
    pairs: Data,
    predict: Callable[[np.ndarray], np.ndarray],
    folder: str | Path,
    *,
    per_image: str | Path,
    model: str,
    about: str = "",
    advance: Callable[[int], None] = lambda count: None,
) -> Path:
    """Write ``index.html``, one page with everything inside, into ``folder``; return its path.

    Args:
        result: what `pixalign.evaluating.evaluate` gave; parts that it does not have (boundaries) are left out.
        pairs: the split that was measured.
        predict: gives ids (H, W) uint8 of any size for an image (H, W, C) uint8; those of another size than the label's
            are compared at the places of its pixel centers, as in `evaluate`.
        folder: where to write.
        per_image: the file of counts per image that `evaluate` wrote for this split.
        model: what the model is called, the page's title.
        about: what it is, in a line.
        advance: called with 1 after each image that is shown, `shown_images` in all, for a progress bar.

    Raises:
        InputError: a pair that cannot be read any more, counts of another split, or a write that is refused.
    """
    names, classes, counts = read_images(per_image)
    if len(names) != len(pairs) or classes != list(pairs.classes):
        raise InputError(
            f"{per_image}: holds {len(names)} images of the classes {', '.join(classes)}, and {pairs.name} has "
            f"{len(pairs)} of {', '.join(pairs.classes)}: evaluate it again"
        )
    scores = image_miou(counts["intersection"], counts["prediction"], counts["label"])
    worst, best = choose(scores)
    looked = {}
    for index in (*worst, *best):
        looked[index] = _look(pairs, predict, index, names[index], float(scores[index]))
        advance(1)
    shown = ([looked[index] for index in chosen] for chosen in (worst, best))
    text = page(result, pairs.colors, model, about, scores[~np.isnan(scores)].tolist(), *shown)
    write_text(Path(folder) / "index.html", text)
    return Path(folder) / "index.html"


def shown_images(pairs: Data) -> int:
    """How many images of a split a report shows at most."""
    return min(2 * SHOWN, len(pairs))


def image_miou(intersection: np.ndarray, prediction: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(N,) mean IoU of each image over the classes that its label holds, NaN where it holds none; of (N, K) pixels."""
    iou = intersection / np.maximum(prediction + label - intersection, 1)
    present = label > 0
    return np.where(present.any(1), (iou * present).sum(1) / np.maximum(present.sum(1), 1), np.nan)


def choose(scores: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the images of the lowest scores, lowest first, and of the highest, highest first; none twice, no NaN."""
    order = [int(i) for i in np.argsort(scores, kind="stable") if not np.isnan(scores[i])]
    worst = order[: min(SHOWN, (len(order) + 1) // 2)]
    return worst, order[len(worst) :][::-1][:SHOWN]


# Pictures ------------------------------------------------------------------------------------------------------------


def _look(pairs: Data, predict: Callable[[np.ndarray], np.ndarray], index: int, name: str, score: float) -> Shown:
    """Predict an image again and draw what there is to see."""
    image, label = pairs[index]
    ids = resize_ids(predict(image), label.shape)
    confused = confusion_matrix(ids, label, len(pairs.classes))
    np.fill_diagonal(confused, 0)
    true, called = divmod(int(confused.argmax()), len(pairs.classes))
    factor = min(1.0, _SIDE / _ENLARGED / max(label.shape))  # a crop that, enlarged, is as large as the other pictures
    crop = crop_of_errors(ids, label, (max(1, round(label.shape[0] * factor)), max(1, round(label.shape[1] * factor))))
    plain = _fit(draw_overlay(image, label, pairs.colors, 0))
    pictures = {
        "image": plain,
        "label": _fit(draw_overlay(image, label, pairs.colors, 0.65)),
        "prediction": _fit(draw_overlay(image, ids, pairs.colors, 0.65)),
        "errors": _errors(plain, ids, label, crop),
        f"enlarged {_ENLARGED}x": _zoom(image, ids, label, pairs.colors, crop),
    }
    return Shown(
        index=index,
        name=name,
        miou=score,
        wrong=int(confused.sum()) / int((label != IGNORE).sum()),
        mistake=(pairs.classes[true], pairs.classes[called]) if confused.any() else None,
        pictures={what: Picture(data_uri(jpeg(drawn), "jpeg"), *drawn.size) for what, drawn in pictures.items()},
    )


def _errors(picture: Image.Image, ids: np.ndarray, label: np.ndarray, crop: tuple[slice, slice]) -> Image.Image:
    """The picture in pale gray, wrong pixels in magenta, those without a label in gray, and the crop's frame."""
    picture = picture.convert("L").convert("RGB")
    picture = Image.blend(picture, Image.new("RGB", picture.size, "white"), 0.7)
    ignored = label == IGNORE
    for where, color, gain in ((ignored, _IGNORED, 1), ((ids != label) & ~ignored, _MAGENTA, 2)):
        share = np.asarray(Image.fromarray(where.astype(np.float32)).resize(picture.size, Image.Resampling.BOX))
        picture.paste(color, mask=Image.fromarray((np.minimum(gain * share, 1) * 255).astype(np.uint8)))
    factors = (picture.width / label.shape[1], picture.height / label.shape[0])
    (top, bottom), (left, right) = ((part.start, part.stop) for part in crop)
    x, y = left * factors[0], top * factors[1]
    box = (x, y, max(x, right * factors[0] - 1), max(y, bottom * factors[1] - 1))  # a pixel at least
    ImageDraw.Draw(picture).rectangle(box, outline=_FRAME, width=max(1, round(picture.width / 160)))
    return picture


def crop_of_errors(ids: np.ndarray, label: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the part of a size (height, width) with most wrong pixels near borders of the label.

    Without such pixels it is the part with most borders; the upper left one if there are none.
    """
    border = Image.fromarray(_borders(label)).filter(ImageFilter.MaxFilter(2 * _NEAR + 1))
    near = (np.asarray(border) > 0) & (label != IGNORE)
    weight = near + label.size * (near & (ids != label)).astype(np.int64)
    summed = np.pad(weight.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = size
    inside = summed[height:, width:] - summed[:-height, width:] - summed[height:, :-width] + summed[:-height, :-width]
    top, left = divmod(int(inside.argmax()), inside.shape[1])
    return slice(top, top + height), slice(left, left + width)


def _zoom(
    image: np.ndarray, ids: np.ndarray, label: np.ndarray, colors: list[list[int]], crop: tuple[slice, slice]
) -> Image.Image:
    """The crop enlarged: the prediction over the image, the label's borders in white."""
    large = [np.repeat(np.repeat(part[crop], _ENLARGED, 0), _ENLARGED, 1) for part in (image, ids, label)]
    picture = draw_overlay(large[0], large[1], colors, 0.5)
    outline = Image.fromarray(_borders(large[2]))
    picture.paste((0, 0, 0), mask=outline.filter(ImageFilter.MaxFilter(5)))
    picture.paste((255, 255, 255), mask=outline.filter(ImageFilter.MaxFilter(3)))
    return picture


def _borders(label: np.ndarray) -> np.ndarray:
    """(H, W) uint8: 255 where a pixel and its right or lower neighbor have different labels."""
    border = np.zeros(label.shape, np.uint8)
    labeled = label != IGNORE
    border[:-1][(label[:-1] != label[1:]) & labeled[:-1] & labeled[1:]] = 255
    border[:, :-1][(label[:, :-1] != label[:, 1:]) & labeled[:, :-1] & labeled[:, 1:]] = 255
    return border


def _fit(picture: Image.Image) -> Image.Image:
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return picture


def jpeg(picture: Image.Image) -> bytes:
    """A picture as JPEG in the best of a few qualities that takes 30 kB or less, smaller if none does."""
    while True:
        for quality in _QUALITIES:
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=quality)
            if encoded.tell() <= _BYTES:
                return encoded.getvalue()
        picture = picture.resize((-(-picture.width * 3 // 4), -(-picture.height * 3 // 4)), Image.Resampling.LANCZOS)
