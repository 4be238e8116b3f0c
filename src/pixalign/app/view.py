"""What the page shows of results: the viewer's data, and panels as HTML."""

from typing import Any

import numpy as np
from PIL import Image

from pixalign.app.picking import Picked
from pixalign.app.service import Comparison, encoded
from pixalign.data.images import ID_MAP, rgb
from pixalign.explaining.pictures import gray_with
from pixalign.pages import data_uri, jpeg, render
from pixalign.predicting import Result

_SHOWN = 1280  # pixels of the longer side that a browser gets
_TOP = 5  # classes of a picked pixel


def viewed(result: Result, title: str) -> dict[str, Any]:
    """A result as ``viewer.js`` draws it, reduced to at most 1280 pixels a side.

    Returns:
        ``image`` (JPEG) and ``ids`` (gray PNG) as data addresses, ``width`` and ``height`` of the whole image,
        ``classes`` (id, name, color, percent) that are there, largest first, ``title`` and ``alt``.
    """
    height, width = result.ids.shape
    factor = min(1.0, _SHOWN / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    photo = Image.fromarray(np.ascontiguousarray(rgb(result.image))).resize(size, Image.Resampling.LANCZOS)
    ids = Image.fromarray(result.ids).resize(size, Image.Resampling.NEAREST)
    areas = list(result.areas().values())
    present = sorted((i for i, share in enumerate(areas) if share), key=lambda i: -areas[i])
    classes: list[dict[str, Any]] = [
        {"id": i, "name": result.classes[i], "color": list(result.colors[i]), "percent": 100 * areas[i]}
        for i in present
    ]
    return {
        "image": jpeg(photo, 88).source,
        "ids": data_uri(encoded(ids, "PNG", **ID_MAP), "png"),
        "width": width,
        "height": height,
        "classes": classes,
        "title": title,
        "alt": f"The image under its class colors, mostly {', '.join(c['name'] for c in classes[:3])}",
    }


def picked_panel(picked: Picked) -> str:
    """The class probabilities of a pixel as bars, and pictures of where its features came from."""
    pictures = [(title, jpeg(_small(picture), 88).source, told) for title, picture, told in picked.pictures]
    return render("app_pixel", picked=picked, pictures=pictures, most=_TOP)


def verdict(comparison: Comparison) -> str:
    """How much two results differ, in a sentence."""
    return render("app_verdict", share=comparison.share)


def disagreement_panel(comparison: Comparison) -> str:
    """The map of `disagreement` with its key; empty where there is none to show."""
    if not comparison.share:
        return ""
    address = data_uri(encoded(_small(disagreement(comparison), 1120), "PNG"), "png")
    return render("app_disagreement", source=address)


def disagreement(comparison: Comparison) -> Image.Image:
    """The image in pale gray, orange where the two results differ."""
    assert comparison.differs is not None
    return Image.fromarray(gray_with(comparison.first.image, comparison.differs))


def _small(picture: Image.Image, side: int = 640) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture
