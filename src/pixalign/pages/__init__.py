"""HTML pages, made from the templates beside this file: one base, one style, everything inside one file.

A room prepares figures and texts; what is HTML stands in its template, where every text is escaped.
"""

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from pixalign.text import number_of, percent, points, shown


class Picture(NamedTuple):
    """A picture inside a page: its address, which holds all of it, and its size in pixels."""

    source: str
    width: int
    height: int


def render(template: str, **values: Any) -> str:
    """The text of ``template``, a file of this folder without its ``.html.j2``, filled with values."""
    return _environment().get_template(f"{template}.html.j2").render(values)


def jpeg(picture: Image.Image, quality: int) -> Picture:
    """A picture as JPEG."""
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=quality)
    return Picture(data_uri(encoded.getvalue(), "jpeg"), *picture.size)


def data_uri(encoded: bytes, kind: str) -> str:
    """The bytes of a picture as an address; ``kind`` is jpeg or png."""
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def css_color(color: Sequence[int]) -> str:
    """An RGB triple (0 to 255) in CSS."""
    return f"rgb({color[0]},{color[1]},{color[2]})"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters |= {"css": css_color, "number_of": number_of, "percent": percent, "points": points, "shown": shown}
    return made
