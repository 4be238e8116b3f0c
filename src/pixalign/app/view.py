"""What the page shows of results: the viewer's data, and panels as HTML whose texts are escaped."""

from html import escape
from typing import Any

import numpy as np
from PIL import Image

from pixalign.app.picking import Picked
from pixalign.app.service import Comparison, encoded
from pixalign.data.images import ID_MAP
from pixalign.explaining.pictures import rgb
from pixalign.pages import data_uri
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
        "image": data_uri(encoded(photo, "JPEG", quality=88), "jpeg"),
        "ids": data_uri(encoded(ids, "PNG", **ID_MAP), "png"),
        "width": width,
        "height": height,
        "classes": classes,
        "title": title,
        "alt": f"The image under its class colors, mostly {', '.join(c['name'] for c in classes[:3])}",
    }


def picked_panel(picked: Picked) -> str:
    """The class probabilities of a pixel as bars, and pictures of where its features came from."""
    bars = "".join(
        f"<dt>{escape(name)}</dt><dd class=bar aria-hidden=true><i style='width:{100 * share:.1f}%'></i></dd>"
        f"<dd class=number>{100 * share:.1f} %</dd>"
        for name, share in picked.probabilities[:_TOP]
    )
    figures = "".join(
        f"<figure><img src='{data_uri(encoded(_small(picture), 'JPEG', quality=88), 'jpeg')}' "
        f"alt='{escape(f'{title}: {told}', quote=True)}'>"
        f"<figcaption><b>{escape(title)}</b>: {escape(told)}.</figcaption></figure>"
        for title, picture, told in picked.pictures
    )
    x, y = picked.pixel
    return (
        f"<div class=pixel><div class=pixel-left><h2>Pixel {x}, {y}: {escape(picked.probabilities[0][0])}</h2>"
        f"<dl>{bars}</dl></div><div class=pixel-right><p>{escape(picked.about)}</p>"
        f"<div class=pictures>{figures}</div></div></div>"
    )


def verdict(comparison: Comparison) -> str:
    """How much two results differ, in a sentence."""
    if comparison.share is None:
        return (
            "<div class=verdict><p>The two models know different classes, so their pixels cannot be compared one by "
            "one.</p></div>"
        )
    share = f"{100 * comparison.share:.1f}" if comparison.share == 0 or comparison.share >= 0.0005 else "less than 0.1"
    return f"<div class=verdict><p>The two results differ at <strong>{share} %</strong> of the pixels.</p></div>"


def disagreement_panel(comparison: Comparison) -> str:
    """The map of `disagreement` with its key; empty where there is none to show."""
    if not comparison.share:
        return ""
    address = data_uri(encoded(_small(disagreement(comparison), 1120), "PNG"), "png")
    return (
        f"<div class=verdict><img src='{address}' alt='Map of the disagreement'>"
        "<small>Orange: the two results give different classes.</small></div>"
    )


def disagreement(comparison: Comparison) -> Image.Image:
    """The image in pale gray, orange where the two results differ."""
    assert comparison.differs is not None
    gray = 150 + 105 * (rgb(comparison.first.image).mean(-1, keepdims=True) / 255)
    picture = gray.repeat(3, -1)
    picture[comparison.differs] = (230, 110, 0)
    return Image.fromarray(picture.astype(np.uint8))


def _small(picture: Image.Image, side: int = 640) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture
