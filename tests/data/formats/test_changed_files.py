"""Whatever stands in an annotation file, it is read or refused in one line."""

import copy
import json
import random

import numpy as np
import pytest
from PIL import Image

from pixalign.data import open_data
from pixalign.errors import InputError

POINTS = [[0, 0], [5, 0], [5, 5]]
LABELME = {
    "shapes": [
        {"label": "a", "points": POINTS, "shape_type": "polygon"},
        {"label": "b", "points": POINTS[:2], "shape_type": "circle"},
    ],
    "imageHeight": 6, "imageWidth": 9,
}  # fmt: skip
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 9}],
    "categories": [{"id": 1, "name": "a", "supercategory": "b"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 5, 0, 5, 5]], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [6, 9], "counts": [14, 3, 37]}},
        {"id": 3, "image_id": 1, "category_id": 1, "segmentation": [], "bbox": [0, 0, 2, 2]},
    ],
}
SUPERVISELY = {
    "size": {"height": 6, "width": 9},
    "objects": [
        {"classTitle": "a", "geometryType": "polygon", "points": {"exterior": POINTS, "interior": [POINTS]}},
        {"classTitle": "a", "geometryType": "rectangle", "points": {"exterior": POINTS[:2], "interior": []}},
        {"classTitle": "a", "geometryType": "bitmap", "bitmap": {"data": "eJw=", "origin": [0, 0]}},
    ],
}
META = {"classes": [{"title": "a", "shape": "any", "color": "#000000"}, {"title": "b", "shape": "polygon"}]}
SIZE = {"original_height": 6, "original_width": 9}
TASKS = [
    {
        "id": i, "data": {"image": f"{name}.png"},
        "annotations": [{"result": [
            {"id": "x", "type": "polygonlabels", **SIZE, "value": {"points": POINTS, "polygonlabels": ["a"]}},
            {"id": "y", "type": "ellipselabels", **SIZE,
             "value": {"x": 5, "y": 5, "radiusX": 9, "radiusY": 9, "rotation": 5, "ellipselabels": ["a"]}},
            {"id": "z", "type": "brushlabels", **SIZE, "value": {"rle": [0, 0, 0, 4, 57], "brushlabels": ["b"]}},
        ]}],
    }
    for i, name in enumerate("ab")
]  # fmt: skip
VALUES = [None, 0, -1, 1, 1e9, 1e300, 10**400, -5.5, True, "", "x", "1", [], {}, [1], [[1, 2]], {"a": 1}, "a/b", "é"]


def paths(content, above=()):
    """Where each value in nested lists and dictionaries is."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        yield (*above, key)
        yield from paths(value, (*above, key))


def changed(content, draw):
    content = copy.deepcopy(content)
    *above, last = draw.choice([*paths(content)])
    place = content
    for key in above:
        place = place[key]
    if draw.random() < 0.3:
        del place[last]
    else:
        place[last] = draw.choice(VALUES)
    return content


@pytest.mark.parametrize(
    ("file", "content", "others"),
    [
        ("images/train/a.json", LABELME, {"images/val/a.json": LABELME}),
        ("annotations/train.json", COCO, {"annotations/val.json": COCO}),
        ("train/ann/a.png.json", SUPERVISELY, {"val/ann/a.png.json": SUPERVISELY, "meta.json": META}),
        ("meta.json", META, {"train/ann/a.png.json": SUPERVISELY, "val/ann/a.png.json": SUPERVISELY}),
        ("tasks.json", TASKS, {}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_changed_file_is_read_or_refused_in_one_line(tmp_path, file, content, others):
    folders = {"images/train/a.json": "images/{}", "annotations/train.json": "images/{}", "tasks.json": "images"}
    for split, name in (("train", "a"), ("val", "a" if file != "tasks.json" else "b")):
        path = tmp_path / folders.get(file, "{}/img").format(split) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 9, 3), 90, np.uint8)).save(path)
    for name, sound in {**others, file: content}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(sound))
    draw = random.Random(3)
    for _ in range(25):
        (tmp_path / file).write_text(json.dumps(changed(content, draw)))
        for split in ("train", "val"):
            try:
                pairs = open_data("folder", tmp_path, split)
                assert pairs[0][1].shape == (6, 9)
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017
