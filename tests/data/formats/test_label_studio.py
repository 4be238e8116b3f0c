"""Label Studio's tasks are drawn as masks."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixalign.data import open_data
from pixalign.data.folder import find as find_split
from pixalign.data.formats.label_studio import decode_brush
from pixalign.data.formats.recognize import recognize
from pixalign.errors import InputError

SIZE = (10, 20)


def encode(values, lengths=(3, 4, 8, 16)):
    """Values of 8 bits as Label Studio packs them, to read back."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    at = 0
    while at < len(values):
        run = 1
        while at + run < len(values) and values[at + run] == values[at] and run < 1 << lengths[-1]:
            run += 1
        repeated = run > 1
        if not repeated:
            while at + run < len(values) and values[at + run] != values[at + run - 1] and run < 8:
                run += 1
        which = next(i for i, length in enumerate(lengths) if run <= 1 << length)
        bits += f"{int(repeated)}{which:02b}{run - 1:0{lengths[which]}b}"
        bits += "".join(f"{value:08b}" for value in (values[at : at + 1] if repeated else values[at : at + run]))
        at += run
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def area(kind, label, **value):
    size = {"original_height": SIZE[0], "original_width": SIZE[1], "image_rotation": 0}
    return {
        "id": f"{kind}{len(value)}{label}",
        "type": f"{kind}labels",
        **size,
        "value": {**value, f"{kind}labels": [label]},
    }


def brush(inside, label="disc"):
    rgba = np.zeros((*SIZE, 4), np.uint8)
    rgba[..., :3], rgba[..., 3] = 7, np.where(inside, 255, 0)
    return area("brush", label, format="rle", rle=encode(rgba.ravel().tolist()))


LEFT = area("polygon", "box", points=[[0, 0], [10, 0], [10, 100], [0, 100]])  # two columns


def task(number, results, image=None, **more):
    annotation = {"id": 9, "result": results, "was_cancelled": False, "ground_truth": False}
    image = f"/data/upload/1/0a1b2c3d-im_{number}.png" if image is None else image
    return {"id": number, "annotations": [annotation], "data": {"image": image, "text": "a note"}, **more}


def write(root, tasks, names=None, name="project-1-at-2024-05-01.json"):
    (root / "images").mkdir(exist_ok=True)
    for file in names or [f"im_{i}.png" for i in range(len(tasks))]:
        (root / "images" / file).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(root / "images" / file)
    (root / name).write_text(json.dumps(tasks))


def masks_of(root, tasks, **more):
    write(root, tasks, **more)
    splits = [open_data("folder", root, split) for split in ("train", "val")]
    return {pairs.images[i].name: pairs[i][1] for pairs in splits for i in range(len(pairs))}


def mask_of(root, results):
    return masks_of(root, [task(0, results), task(1, [LEFT])])["im_0.png"]


@given(st.lists(st.integers(0, 255) | st.just(0), max_size=200), st.lists(st.integers(1, 16), min_size=3, max_size=3))
def test_packed_values_come_back(values, lengths):
    assert decode_brush(bytes(encode(values, (*sorted(lengths), 16)))).tolist() == values


def test_brush_strokes_cover_the_pixels_that_they_hide(tmp_path):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = (x - 12) ** 2 + (y - 4) ** 2 < 10
    mask = mask_of(tmp_path, [brush(disc)])
    assert open_data("folder", tmp_path, "train").classes == ["background", "box", "disc"]
    assert (mask == np.where(disc, 2, 0)).all()
    assert recognize(tmp_path).name == "Label Studio's JSON"


def test_points_are_percent_of_the_image_and_later_areas_lie_over_earlier_ones(tmp_path):
    over = area("polygon", "disc", points=[[5, 0], [20, 0], [20, 100], [5, 100]])
    assert (mask_of(tmp_path, [LEFT, over]) == [1, 2, 2, 2] + 16 * [0]).all()
    assert (mask_of(tmp_path, [over, LEFT]) == [1, 1, 2, 2] + 16 * [0]).all()


def test_a_rectangle_turns_about_its_upper_left_corner(tmp_path):
    mask = mask_of(tmp_path, [area("rectangle", "box", x=50, y=20, width=20, height=20, rotation=90)])
    expected = np.zeros(SIZE, int)
    expected[2:6, 8:10] = 1  # 4 x 2 pixels at x 10, y 2, turned clockwise
    assert (mask == expected).all()


def test_an_ellipse_covers_the_centers_that_it_holds(tmp_path):
    mask = mask_of(tmp_path, [area("ellipse", "box", x=50, y=50, radiusX=20, radiusY=30, rotation=0)])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    assert (mask == (((x - 10) / 4) ** 2 + ((y - 5) / 3) ** 2 < 1)).all()


def test_what_has_no_area_is_left_out_and_a_task_without_results_is_background(tmp_path):
    point = area("keypoint", "spot", x=5, y=5, width=0.5)
    choice = {"id": "c", "type": "choices", "value": {"choices": ["good"]}}
    assert (mask_of(tmp_path, [point, choice]) == 0).all()
    assert open_data("folder", tmp_path, "train").classes == ["background", "box"]


def test_an_area_that_is_told_apart_from_its_label_counts_once(tmp_path):
    labeled = {**LEFT, "type": "labels", "value": {**LEFT["value"], "labels": ["box"]}}
    del labeled["value"]["polygonlabels"]
    alone = {**labeled, "type": "polygon", "value": {"points": LEFT["value"]["points"]}}
    assert (mask_of(tmp_path, [alone, labeled]) == [1, 1] + 18 * [0]).all()


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("/data/upload/1/0a1b2c3d-my_disc.png", "my disc.png"),
        ("/data/upload/1/0a1b2c3d-my_disc.png", "0a1b2c3d-my_disc.png"),
        ("/data/local-files/?d=set%2F圆.png", "圆.png"),
        ("https://x.example/a/my%20disc.png?token=1", "my disc.png"),
        ("s3://bucket/a/disc.png", "disc.png"),
        ("images\\disc.png", "disc.png"),
    ],
)
def test_the_image_of_a_task_is_found_by_its_name(tmp_path, image, file):
    assert (masks_of(tmp_path, [task(0, [LEFT], image), task(1, [])], names=[file, "im_1.png"])[file][:, :2] == 1).all()


def test_of_two_images_of_a_name_the_one_in_the_tasks_folder_is_meant(tmp_path):
    tasks = [task(i, [LEFT] * i, f"/data/local-files/?d=images/{i}/a.png") for i in range(2)]
    write(tmp_path, tasks, ["0/a.png", "1/a.png"])
    pairs = [open_data("folder", tmp_path, split) for split in ("train", "val")]
    assert {p.images[0].parent.name: int(p[0][1].max()) for p in pairs} == {"0": 0, "1": 1}
    write(tmp_path, [task(0, [LEFT]), task(1, [], "a.png")], ["im_0.png"])
    with pytest.raises(InputError, match=r"task 1: .*0/a.png and .*1/a.png both have the name of its image"):
        open_data("folder", tmp_path, "train")


def test_json_min_is_read_alike(tmp_path):
    expected = masks_of(tmp_path, [task(0, [LEFT]), task(1, [brush(np.eye(*SIZE, dtype=bool))])])
    entries = [
        {
            "image": f"/data/upload/1/0a1b2c3d-im_{i}.png", "id": i, "annotator": 1, "annotation_id": 7,
            "label": [{**result["value"], "original_width": SIZE[1], "original_height": SIZE[0]}],
        }
        for i, result in enumerate((LEFT, brush(np.eye(*SIZE, dtype=bool))))
    ]  # fmt: skip
    found = masks_of(tmp_path, entries)
    assert found.keys() == expected.keys()
    assert all((found[name] == expected[name]).all() for name in found)


def test_drawn_pairs_can_be_pickled(tmp_path):
    write(tmp_path, [task(0, [LEFT]), task(1, [LEFT])])
    pairs = open_data("folder", tmp_path, "train")
    assert (pickle.loads(pickle.dumps(pairs))[0][1] == pairs[0][1]).all()


def test_the_ground_truth_is_taken_of_several_annotations(tmp_path):
    several = task(0, [LEFT])
    several["annotations"].append({"result": [], "ground_truth": True})
    several["annotations"].append({"result": [], "was_cancelled": True})
    assert (masks_of(tmp_path, [several, task(1, [LEFT])])["im_0.png"] == 0).all()
    del several["annotations"][1]["ground_truth"]
    with pytest.raises(InputError, match=r"task 0 \(.*im_0.png\) has 3 annotations: keep one, or mark one"):
        masks_of(tmp_path, [several, task(1, [LEFT])])


def test_what_lacks_a_partner_is_named(tmp_path):
    tasks = [task(0, [LEFT]), task(1, [LEFT]), task(2, [], annotations=[]), task(3, [LEFT])]
    write(tmp_path, tasks, [f"im_{i}.png" for i in range(3)])
    found = [find_split(tmp_path, split) for split in ("train", "val")]
    assert [path.name for part in found for path in part.lone_images] == ["im_2.png"]
    assert [path.name for part in found for path in part.lone_masks] == ["0a1b2c3d-im_3.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "vectorlabels", "value": {"vertices": [], "vectorlabels": ["a"]}}, "of the type vectorlabels"),
        ({"value": {"points": [[0, 0], [1, 1], [0, 1]], "polygonlabels": ["a", "b"]}}, r"has the labels \['a', 'b'\]"),
        ({"value": {"points": [[0, 0], [1, 1], [0, 1]], "polygonlabels": [" "]}}, "has the labels"),
        ({"value": {"points": [[0, 0], [1, 1], [0, 1]]}}, "has no label"),
        ({"value": {"points": [[0, 0], [1, 1]], "polygonlabels": ["a"]}}, "a polygon of 2 points"),
        ({"value": {"points": 5, "polygonlabels": ["a"]}}, "has no list of points"),
        ({"value": {"rle": "abc", "brushlabels": ["a"]}}, "brush strokes that are not a list of bytes"),
        ({"value": {"rle": [1, 2, 300], "brushlabels": ["a"]}}, "brush strokes that are not a list of bytes"),
        ({"value": {"rle": encode([0, 1, 2, 3])[:-2], "brushlabels": ["a"]}}, "brush strokes that end too early"),
        ({"value": {"rle": [0, 0, 0, 9], "brushlabels": ["a"]}}, "brush strokes that end too early"),
        ({"value": {"rle": encode([0, 1, 2, 3]), "brushlabels": ["a"]}}, "are of 1 pixels, and the image has 20 x 10"),
        ({"value": {"x": 1, "y": 2, "width": "?", "height": 3, "rectanglelabels": ["a"]}}, "has no list of points"),
        ({"image_rotation": 90}, "lies on an image turned by 90 degrees"),
        ({"original_height": [10], "id": [1]}, r"height and width are \[10\] and 20"),
        ({"original_height": None}, "height and width are None and 20"),
        ({"original_height": 11}, "the mask is 20 x 11 but its image"),
    ],
)
def test_a_wrong_area_is_one_line(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as caught:
        mask_of(tmp_path, [{**LEFT, **change}])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([task(0, [LEFT]), 5], "entry 1 is not a task"),
        ([task(0, [LEFT]), task(1, [], "a.mp4")], "task 1 names 0 images"),
        ([task(0, [LEFT]), task(1, [], annotations=5)], "task 1 has no list of annotations"),
        ([task(0, [LEFT]), task(1, 5)], "task 1 has no list of results"),
        ([task(0, [LEFT]), task(0, [LEFT])], "task 0 and task 0 have one image"),
        ([task(0, []), task(1, [])], "holds no labeled area"),
        ([task(5, [LEFT]), task(6, [LEFT])], "none of its annotated images is below .*, such as 0a1b2c3d-im_5.png"),
    ],
)
def test_a_wrong_task_is_one_line(tmp_path, tasks, message):
    with pytest.raises(InputError, match=message) as caught:
        masks_of(tmp_path, tasks)
    assert "\n" not in str(caught.value)


def test_exports_that_do_not_tell_the_images_are_refused(tmp_path):
    Image.new("L", (9, 6)).save(tmp_path / "task-1-annotation-1-by-1-tag-car-0.png")
    with pytest.raises(InputError, match="brush strokes as PNG, without their images' names: export JSON"):
        open_data("folder", tmp_path, "train")


def test_two_exports_are_named(tmp_path):
    for name in ("a.json", "b.json"):
        write(tmp_path, [task(0, [LEFT])], name=name)
    with pytest.raises(InputError, match=r"a.json and b.json: two exports of Label Studio"):
        open_data("folder", tmp_path, "train")
