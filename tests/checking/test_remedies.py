"""What to write into classes.yaml is right when it is pasted, whatever the values of the masks."""

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import write_pair
from pixalign.checking import check_data
from pixalign.data import open_data
from pixalign.data.mask_values import proposed_ids
from pixalign.data.samples import Samples, require_two_labels
from pixalign.errors import InputError


def masks_of(root, values, kind=np.uint8, palette=False):
    """Pairs whose masks hold ``values``, in equal numbers of pixels, and the pixels of each in the training split."""
    for i in range(5):
        write_pair(root / f"images/{i}.png", root / f"masks/{i}.png", i)
        mask = Image.fromarray(np.array(values, kind)[np.arange(48 * 64).reshape(48, 64) // 7 % len(values)])
        if palette:
            mask.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        mask.save(root / f"masks/{i}.png")
    return np.bincount(np.arange(48 * 64) // 7 % len(values)).tolist()


VALUES = {
    "three grays": [0, 127, 255],
    "three grays by 128": [0, 128, 255],
    "four grays": [0, 85, 170, 255],
    "five grays": [0, 64, 128, 191, 255],
    "up to 254": [0, 127, 254],
    "without black": [50, 100, 150],
    "uneven": [0, 100, 200, 255],
    "binary": [0, 255],
    "one and white": [1, 255],
    "gray and white": [128, 255],
    "gaps and white": [7, 26, 255],
}


@pytest.mark.parametrize("case", VALUES)
@pytest.mark.parametrize("palette", [False, True])
def test_every_value_of_stretched_masks_is_listed_and_the_pasted_list_gives_the_right_counts(tmp_path, case, palette):
    pixels = masks_of(tmp_path, VALUES[case], palette=palette)
    (problem,) = check_data("folder", tmp_path).of("error")
    assert [entry["id"] for entry in yaml.safe_load(problem.snippet)["classes"]] == VALUES[case]
    if 255 in VALUES[case]:
        assert "or leave 255 out if it means no label" in problem.remedy or "255 is a class" in problem.remedy
    with pytest.raises(InputError, match=r"write .*classes.yaml: classes: \[") as caught:
        open_data("folder", tmp_path, "train")
    text = str(caught.value)
    for snippet in (problem.snippet, text[text.index("classes: [") :]):
        (tmp_path / "classes.yaml").write_text(snippet)
        report = check_data("folder", tmp_path)
        assert report.ready
        assert report.splits[1].pixels.tolist() == pixels
        (tmp_path / "classes.yaml").unlink()


@pytest.mark.parametrize("values", [[0, 32767, 65535], [0, 1000, 2000], [0, 255, 510]])
def test_stretched_masks_of_16_bits_are_listed_as_well(tmp_path, values):
    pixels = masks_of(tmp_path, values, np.uint16)
    (problem,) = check_data("folder", tmp_path).of("error")
    (tmp_path / "classes.yaml").write_text(problem.snippet)
    report = check_data("folder", tmp_path)
    assert report.ready
    assert report.splits[1].pixels.tolist() == pixels


def test_ids_from_1_leave_255_without_label_and_say_so(tmp_path):
    pixels = masks_of(tmp_path, [1, 2, 255])
    (problem,) = check_data("folder", tmp_path).of("error")
    assert "list 255 as well if it is a class" in problem.remedy
    (tmp_path / "classes.yaml").write_text(problem.snippet)
    assert check_data("folder", tmp_path).splits[1].pixels.tolist() == pixels[:2]


def test_names_that_are_listed_are_kept_and_255_is_a_class_where_there_are_as_many(tmp_path):
    pixels = masks_of(tmp_path, [0, 127, 255])
    for names, expected in ((["a", "b", "c"], pixels), (["a", "b"], pixels[:2])):
        (tmp_path / "classes.yaml").write_text(yaml.safe_dump({"classes": names}))
        (problem,) = check_data("folder", tmp_path).of("error")
        (tmp_path / "classes.yaml").write_text(problem.snippet)
        report = check_data("folder", tmp_path)
        assert report.labels.classes == names
        assert report.splits[1].pixels.tolist() == expected


def test_255_that_a_stretched_list_leaves_out_is_a_warning(tmp_path):
    masks_of(tmp_path, [0, 127, 255])
    (tmp_path / "classes.yaml").write_text("classes: [{name: a, id: 0}, {name: b, id: 127}]")
    report = check_data("folder", tmp_path)
    assert "unlisted-255" in [problem.kind for problem in report.problems]
    (tmp_path / "classes.yaml").write_text("classes: [{name: a, id: 0}, {name: b, id: 127}, {name: c, id: 255}]")
    assert "unlisted-255" not in [problem.kind for problem in check_data("folder", tmp_path).problems]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 255), min_size=2, max_size=12, unique=True).map(sorted))
def test_no_value_is_lost_from_a_proposal_without_a_word(numbers):
    listed, looks, note = proposed_ids(numbers)
    assert listed in (numbers, [value for value in numbers if value != 255])
    assert looks
    if 255 in numbers:
        assert "255" in note


# one class


@pytest.mark.parametrize(
    ("listed", "values"),
    [
        ("classes: [{name: crack, id: 255}]\nignore: [0]\n", [0, 255]),
        ("classes: [{name: crack, ids: [0]}]\n", [0, 255]),
        ("classes: [crack]\n", [0, 1]),
        ("classes: [{name: a crack, id: 7}]\nignore: [1, 3]\n", [1, 3, 7]),
    ],
)
def test_one_class_is_refused_with_a_list_of_two_to_paste(tmp_path, listed, values):
    masks_of(tmp_path, values)
    (tmp_path / "classes.yaml").write_text(listed)
    with pytest.raises(InputError, match=r"classes.yaml: one class cannot be learned: .*: classes: \[") as caught:
        open_data("folder", tmp_path, "train")
    (problem,) = check_data("folder", tmp_path).of("error")
    assert "one class cannot be learned" in problem.remedy
    text = str(caught.value)
    (tmp_path / "classes.yaml").write_text(text[text.index("classes: [") :])
    report = check_data("folder", tmp_path)
    assert report.ready
    assert len(report.labels.classes) == 2
    assert report.splits[1].pixels.sum() == 48 * 64


@pytest.mark.parametrize("value", [0, 1])
def test_masks_of_one_listed_class_throughout_are_an_error(tmp_path, value):
    masks_of(tmp_path, [value])
    (tmp_path / "classes.yaml").write_text("classes: [road, car]")
    report = check_data("folder", tmp_path)
    assert [problem.kind for problem in report.of("error")] == ["one-class"]
    with pytest.raises(InputError, match=f"hold the class '{['road', 'car'][value]}' alone"):
        require_two_labels(open_data("folder", tmp_path, "train"))


def test_samples_of_one_class_or_one_label_are_refused():
    image = np.zeros((8, 8, 3), np.uint8)
    masks = {value: np.full((8, 8), value, np.uint8) for value in (0, 1, 255)}
    with pytest.raises(InputError, match="has the class 'crack' alone, and one class cannot be learned"):
        Samples([(image, masks[0])], ["crack"])
    for values, message in (([0, 255, 0], "the class 'a' alone"), ([255, 255], "no class")):
        with pytest.raises(InputError, match=message):
            require_two_labels(Samples([(image, masks[value]) for value in values], ["a", "b"]))
    require_two_labels(Samples([(image, masks[value]) for value in (0, 255, 1)], ["a", "b"]))


def test_annotations_of_the_background_alone_are_refused(tmp_path):
    for i in range(3):
        write_pair(tmp_path / f"images/{i}.png", tmp_path / f"masks/{i}.png", i)
        (tmp_path / f"masks/{i}.png").unlink()
        shape = '{"label": "background", "shape_type": "rectangle", "points": [[0, 0], [10, 5]]}'
        (tmp_path / f"images/{i}.json").write_text(f'{{"imageHeight": 48, "imageWidth": 64, "shapes": [{shape}]}}')
    with pytest.raises(InputError, match="has the class 'background' alone, and one class cannot be learned"):
        open_data("folder", tmp_path, "train")
    assert not check_data("folder", tmp_path).ready
