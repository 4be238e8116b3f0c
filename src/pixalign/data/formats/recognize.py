"""Which tool wrote a folder: the readers of layouts, in the order in which they are asked.

To add a reader: write ``data/formats/NAME.py`` with a function ``find(root: Path) -> Layout | None`` (see
`pixalign.data.formats.layout`), import the module here, and put its ``find`` into `FINDERS`. The first that returns a
layout is taken; so one that asks for more goes before one that asks for less.
"""

import os
from collections.abc import Callable
from pathlib import Path

from pixalign.data.formats import coco, fiftyone, label_studio, paddleseg, plain, roboflow, supervisely, voc, yolo
from pixalign.data.formats.layout import Layout

FINDERS: tuple[Callable[[Path], Layout | None], ...] = (
    voc.find,
    roboflow.find,
    paddleseg.find,
    supervisely.find_masks,
    coco.find,
    fiftyone.find,
    plain.find,
    supervisely.find,
    label_studio.find,
    yolo.find,
)


def recognize(root: Path) -> Layout | None:
    """Return the layout of a folder, or None if no known tool writes such a one; InputError if it cannot be read."""
    if not os.access(root, os.R_OK | os.X_OK):
        return None
    return next((layout for find in FINDERS if (layout := find(root))), None)
