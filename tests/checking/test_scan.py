"""The check of a data set: every kind of problem is found, named with its files, and has a remedy."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape
from PIL import Image

from conftest import write_pair
from pixalign.checking import check_data, check_splits, write_report
from pixalign.data import open_data
from pixalign.data.folder import folder
from pixalign.errors import InputError
from pixalign.text import percent, shown
from tiffs import write_bands


@pytest.fixture
def data(tmp_path):
    """A clean folder: 8 training and 4 validation pairs of three classes."""
    root = tmp_path / "data"
    for split, count in (("train", 8), ("val", 4)):
        for i in range(count):
            write(root, split, f"{split}{i}", seed=i + 100 * (split == "val"))
    (root / "classes.yaml").write_text("classes: [road, car, sky]")
    return root


def write(root, split, stem, seed, suffix=".png"):
    write_pair(root / "images" / split / f"{stem}{suffix}", root / "masks" / split / f"{stem}.png", seed)


def edit(path, change):
    """Replace a picture by what ``change`` makes of its pixels."""
    Image.fromarray(change(np.asarray(Image.open(path)).copy())).save(path)


def edit_all(root, change):
    for path in (root / "masks").rglob("*.png"):
        edit(path, change)


def set_pixels(value, count):
    def change(pixels):
        pixels.reshape(-1)[:count] = value
        return pixels

    return change


def found(report, kind):
    """The one problem of a kind."""
    (problem,) = [problem for problem in report.problems if problem.kind == kind]
    return problem


def kinds(report):
    return {problem.kind for problem in report.problems}


def files(problem):
    return [example.file for example in problem.examples]


def test_a_clean_folder_is_clean(data):
    report = check_data("folder", data)
    assert report.problems == []
    assert report.ready
    assert report.verdict() == "Ready to train"


def test_a_folder_without_a_list_of_classes_is_clean_too(folder_data):
    report = check_data("folder", folder_data)
    assert report.problems == []
    assert report.labels == folder(folder_data, "train").labels


def test_shares_are_those_of_a_direct_count(data, tmp_path):
    edit(data / "masks/train/train0.png", set_pixels(255, 300))
    masks = [np.asarray(Image.open(path)) for path in sorted((data / "masks/train").iterdir())]
    pixels = np.bincount(np.concatenate([mask.ravel() for mask in masks]), minlength=256)
    write_report(check_data("folder", data), tmp_path / "out")
    split = json.loads((tmp_path / "out/report.json").read_text())["splits"]["train"]
    assert [c["pixels"] for c in split["classes"]] == pixels[:3].tolist()
    assert [c["share"] for c in split["classes"]] == pytest.approx((pixels[:3] / pixels[:3].sum()).tolist())
    assert [c["images"] for c in split["classes"]] == [sum(int((mask == i).any()) for mask in masks) for i in range(3)]
    assert split["unlabeled_pixels"] == pixels[255] >= 300
    assert split["sizes"] == [{"height": 48, "width": 64, "images": 8}]


def test_a_divided_folder_without_a_split_that_training_needs_is_an_error(data):
    """Training refuses it, so the check may not say that all is ready."""
    for kind in ("images", "masks"):
        shutil.rmtree(data / kind / "val")
    report = check_data("folder", data)
    assert found(report, "no-split").severity == "error"
    assert not report.ready


def test_all_problems_are_reported_at_once(data):
    (data / "images/train/train0.png").write_bytes(b"")
    edit(data / "masks/train/train1.png", set_pixels(37, 11))
    (data / "masks/val/val0.png").unlink()
    report = check_data("folder", data)
    assert kinds(report) >= {"empty", "label-values", "no-mask"}
    assert report.verdict().startswith("3 errors: training would stop")
    assert [problem.severity for problem in report.problems] == sorted(problem.severity for problem in report.problems)


def test_images_and_masks_without_partner_are_named_with_the_nearest_name(data):
    (data / "masks/train/train3.png").rename(data / "masks/train/trian3.png")
    report = check_data("folder", data)
    problem = found(report, "no-mask")
    assert problem.severity == "error"
    assert files(problem) == ["images/train/train3.png"]
    assert "masks/train/trian3.png" in problem.examples[0].note
    assert files(found(report, "no-image")) == ["masks/train/trian3.png"]
    assert found(report, "no-image").severity == "warning"


def test_masks_of_another_name_are_met_with_the_template_to_use(data):
    for path in (data / "masks").rglob("*.png"):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    problem = found(check_data("folder", data), "no-mask")
    assert len(problem.examples) == 12
    template = re.search(r"--data.mask_template '(.*?)'", problem.remedy).group(1)
    assert check_data("folder", data, mask_template=template).problems == []


@pytest.mark.parametrize("part", ["images", "masks"])
def test_an_empty_file_is_found(data, part):
    (data / part / "val/val1.png").write_bytes(b"")
    problem = found(check_data("folder", data), "empty")
    assert files(problem) == [f"{part}/val/val1.png"]
    assert "copy them again" in problem.remedy


def test_a_truncated_jpeg_among_many_is_found(data):
    for i in range(30):
        write(data, "train", f"more{i}", seed=1000 + i, suffix=".jpg")
    file = data / "images/train/more17.jpg"
    file.write_bytes(file.read_bytes()[:-200])
    problem = found(check_data("folder", data), "damaged")
    assert files(problem) == ["images/train/more17.jpg"]
    assert "truncated" in problem.examples[0].note


def test_a_truncated_mask_does_not_hide_the_classes(folder_data):
    file = folder_data / "masks/img3.png"
    file.write_bytes(file.read_bytes()[:70])
    report = check_data("folder", folder_data)
    assert files(found(report, "damaged")) == ["masks/img3.png"]
    assert kinds(report) == {"damaged"}
    assert len(report.labels.classes) == 3


def test_a_file_that_is_no_image_is_found(data):
    (data / "images/train/train2.png").write_text("<html>404</html>")
    problem = found(check_data("folder", data), "unreadable-image")
    assert files(problem) == ["images/train/train2.png"]


def test_sizes_that_differ_are_named(data):
    edit(data / "masks/train/train5.png", lambda mask: mask[::2, ::2])
    problem = found(check_data("folder", data), "sizes")
    assert problem.examples[0].note == "image 64 x 48, mask 32 x 24"


def test_an_image_turned_by_its_exif_orientation_is_told_from_other_sizes(data):
    exif = Image.Exif()
    exif[0x0112] = 6
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    (data / "images/train/train6.png").unlink()
    picture.save(data / "images/train/train6.jpg", exif=exif)
    report = check_data("folder", data)
    note = found(report, "transposed").examples[0].note
    assert "image 48 x 64, mask 64 x 48" in note
    assert "EXIF" in note
    assert found(report, "turned").severity == "warning"


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_half_turn_by_exif_that_sizes_do_not_tell_is_a_warning_unless_the_mask_turns_alike(data, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in (data / "images/train").iterdir():
        with Image.open(path) as image:
            image.save(path.with_suffix(".jpg"), quality=95, exif=exif)
        path.unlink()
    problem = found(check_data("folder", data), "half-turn")
    assert problem.severity == "warning"
    assert len(problem.examples) == 8
    assert problem.examples[0].note == f"orientation {orientation}"
    assert "give them the same EXIF orientation" in problem.remedy
    upright = open_data("folder", data, "train")[0][1]
    for path in (data / "masks/train").iterdir():
        with Image.open(path) as mask:
            mask.save(path, exif=exif)
    assert check_data("folder", data).problems == []
    turned = open_data("folder", data, "train")[0][1]
    assert (turned == {2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1]}[orientation]).all()


def test_a_mask_that_its_own_exif_turns_is_a_warning(data):
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(data / "masks/val/val1.png") as mask:
        mask.save(data / "masks/val/val1.png", exif=exif)
    problem = found(check_data("folder", data), "half-turn")
    assert problem.examples[0].note == "orientation 1, of the mask 3"


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_images_of_several_pages_are_a_warning(data, suffix):
    (data / "images/train/train2.png").unlink()
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(3)]
    pages[0].save(data / f"images/train/train2.{suffix}", save_all=True, append_images=pages[1:])
    problem = found(check_data("folder", data), "pages")
    assert problem.severity == "warning"
    assert files(problem) == [f"images/train/train2.{suffix}"]
    assert problem.examples[0].note == "3 pages"


def test_masks_of_several_pages_are_an_error(data):
    masks = [Image.fromarray(np.full((48, 64), value, np.uint8)) for value in (0, 1)]
    (data / "masks/train/train2.png").unlink()
    masks[0].save(data / "masks/train/train2.tif", save_all=True, append_images=masks[1:])
    problem = found(check_data("folder", data), "unreadable-mask")
    assert problem.examples[0].note == "the mask has 2 pages"
    assert "store one picture of class ids" in problem.remedy


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_bands_that_are_left_out_are_a_warning_that_names_the_setting(data):
    rng = np.random.default_rng(0)
    bands = rng.integers(0, 256, (4, 48, 64), dtype=np.uint8)
    clear = np.concatenate([bands[:3], np.where(np.arange(64) < 20, 0, 255).astype(np.uint8)[None, None].repeat(48, 1)])
    cases = {
        "train0": (bands, {}),
        "train1": (bands, {"photometric": "rgb", "alpha": "unspecified"}),
        "train2": (bands.astype(np.uint16) * np.uint16(257), {"photometric": "rgb", "alpha": "yes"}),
        "train3": (clear, {}),
        "train4": (bands[:2], {}),
        "train5": (clear[2:], {"alpha": "yes"}),
    }
    for name, (pixels, options) in cases.items():
        (data / f"images/train/{name}.png").unlink()
        write_bands(data / f"images/train/{name}.tif", pixels, **options)
    problem = found(check_data("folder", data), "unused-bands")
    assert [Path(file).stem for file in files(problem)] == ["train0", "train1", "train2", "train4"]
    assert "--model.in_channels 4" in problem.remedy
    assert problem.severity == "warning"


def test_values_outside_the_classes_are_counted_over_the_data(data):
    edit(data / "masks/train/train1.png", set_pixels(37, 11))
    edit(data / "masks/val/val2.png", set_pixels(37, 9))
    edit(data / "masks/val/val2.png", lambda mask: set_pixels(9, 5)(mask[::-1, ::-1])[::-1, ::-1])
    problem = found(check_data("folder", data), "label-values")
    assert problem.details == [
        "value 37 in 2 files, 20 pixels, first masks/train/train1.png",
        "value 9 in 1 file, 5 pixels, first masks/val/val2.png",
    ]
    assert files(problem) == ["masks/train/train1.png", "masks/val/val2.png"]
    assert problem.snippet == "ignore: [37, 9]"


REPAIRS = {
    "binary": lambda mask: np.where(mask > 0, 255, 0).astype(np.uint8),
    "one-based": lambda mask: mask + 1,
    "stretched": lambda mask: mask * 85,
    "stretched to white": lambda mask: np.array([0, 51, 255], np.uint8)[mask],
    "gaps": lambda mask: np.array([0, 7, 26], np.uint8)[mask],
    "16 bits": lambda mask: mask.astype(np.uint16) * 1000,
    "colors": lambda mask: np.array([[0, 0, 0], [128, 64, 128], [0, 0, 142]], np.uint8)[mask],
}


@pytest.mark.parametrize("case", REPAIRS)
@pytest.mark.parametrize("listed", [True, False])
def test_the_proposed_list_of_classes_repairs_the_data(data, case, listed):
    (data / "classes.yaml").unlink()
    if listed:
        names = ["road", "car"] if case == "binary" else ["road", "car", "sky"]
        (data / "classes.yaml").write_text(yaml.safe_dump({"classes": names}))
    edit_all(data, REPAIRS[case])
    problems = check_data("folder", data).of("error")
    expected = "classes" if not listed else "binary" if case == "binary" else "label-values"
    assert [problem.kind for problem in problems] == [expected]
    (data / "classes.yaml").write_text(problems[0].snippet)
    report = check_data("folder", data)
    assert report.of("error") == []
    assert len(report.labels.classes) == (2 if case == "binary" else 3)


@pytest.mark.parametrize(
    ("case", "remedy"),
    [
        ("binary", "binary masks"),
        ("one-based", "count from 1"),
        ("stretched", "steps of 85"),
        ("gaps", "name the classes"),
        ("colors", "stored in colors"),
    ],
)
def test_the_remedy_says_what_the_values_look_like(data, case, remedy):
    (data / "classes.yaml").unlink()
    edit_all(data, REPAIRS[case])
    assert remedy in found(check_data("folder", data), "classes").remedy


@pytest.mark.parametrize("colors", [False, True])
def test_masks_that_were_resized_with_smoothing_are_told(data, colors):
    (data / "classes.yaml").unlink()
    table = np.array([[0, 0, 0], [128, 64, 128], [0, 0, 142]], np.uint8)

    def smooth(mask):
        wide = Image.fromarray(table[mask] if colors else mask * 120).resize((192, 150), Image.Resampling.BICUBIC)
        return np.asarray(wide.resize((64, 48), Image.Resampling.BICUBIC, box=(3.3, 1.7, 180.2, 140.9)))

    edit_all(data, smooth)
    problem = found(check_data("folder", data), "classes")
    assert "smoothing" in problem.remedy
    assert not problem.snippet


def test_one_id_too_many_is_told(data):
    (data / "classes.yaml").write_text("classes: [road, car]")
    problem = found(check_data("folder", data), "label-values")
    assert "one id more than the 2 classes" in problem.remedy


def test_a_wrong_list_of_classes_is_reported_with_the_rest(data):
    (data / "classes.yaml").write_text("classes: [road, road]")
    (data / "images/train/train0.png").write_bytes(b"")
    report = check_data("folder", data)
    assert "occurs twice" in found(report, "classes").remedy
    assert "empty" in kinds(report)


def test_masks_in_lossy_formats_are_refused(data):
    Image.open(data / "masks/train/train0.png").save(data / "masks/train/train0.jpg")
    (data / "masks/train/train0.png").unlink()
    problem = found(check_data("folder", data), "lossy-mask")
    assert files(problem) == ["masks/train/train0.jpg"]
    assert "PNG" in problem.remedy


def test_a_renamed_copy_in_another_split_is_an_error(data):
    shutil.copy(data / "images/train/train4.png", data / "images/val/holiday.png")
    shutil.copy(data / "masks/train/train4.png", data / "masks/val/holiday.png")
    problem = found(check_data("folder", data), "leak")
    assert problem.severity == "error"
    assert files(problem) == ["images/val/holiday.png"]
    assert "images/train/train4.png" in problem.examples[0].note


def test_a_copy_in_another_format_is_found_by_its_pixels(data):
    Image.open(data / "images/train/train4.png").save(data / "images/val/holiday.bmp")
    shutil.copy(data / "masks/train/train4.png", data / "masks/val/holiday.png")
    assert files(found(check_data("folder", data), "leak")) == ["images/val/holiday.bmp"]


def test_a_copy_within_a_split_is_a_warning_that_tells_other_masks(data):
    shutil.copy(data / "images/train/train4.png", data / "images/train/train4b.png")
    shutil.copy(data / "masks/train/train5.png", data / "masks/train/train4b.png")
    problem = found(check_data("folder", data), "duplicate")
    assert problem.severity == "warning"
    assert "with another mask" in problem.examples[0].note


def test_one_file_in_two_splits_is_a_warning(data):
    pairs = open_data("folder", data, "train")
    report = check_splits({"train": pairs, "again": pairs})
    assert kinds(report) == {"shared"}
    assert report.ready


def test_masks_without_label_are_a_warning_and_a_split_without_label_an_error(data):
    edit(data / "masks/train/train0.png", lambda mask: mask * 0 + 255)
    for path in (data / "masks/val").iterdir():
        edit(path, lambda mask: mask * 0 + 255)
    report = check_data("folder", data)
    assert len(found(report, "unlabeled").examples) == 5
    assert "val" in found(report, "no-label").title
    assert found(report, "no-label").severity == "error"


def test_classes_that_do_not_occur_are_named(data):
    (data / "classes.yaml").write_text("classes: [road, car, sky, bus]")
    for path in (data / "masks/train").iterdir():
        edit(path, lambda mask: np.where(mask == 1, 0, mask))
    for path in (data / "masks/val").iterdir():
        edit(path, lambda mask: np.where(mask == 2, 1, mask))
    report = check_data("folder", data)
    assert found(report, "absent-class").details == ["bus (id 3)"]
    assert found(report, "untrained-class").details == ["car: in 4 images of val"]
    assert found(report, "unmeasured-class").details == ["sky"]
    assert report.ready


def test_rare_and_dominant_classes_are_named(data):
    for path in (data / "masks").rglob("*.png"):
        edit(path, lambda mask: set_pixels(2, 1)(set_pixels(1, 60)(mask * 0)))
    report = check_data("folder", data)
    assert "sky: 0.03 %" in found(report, "rare-class").details[0]
    assert "road: 98.0 %" in found(report, "dominant-class").details[0]


def test_pictures_of_kinds_that_are_not_read_are_a_warning(data):
    (data / "images/train/phone.HEIC").write_bytes(b"x")
    problem = found(check_data("folder", data), "other-kinds")
    assert files(problem) == ["images/train/phone.HEIC"]
    assert "convert them to JPEG or PNG" in problem.remedy


def test_tiny_blank_and_single_images_are_warnings(data):
    for path in [*(data / "images/val").iterdir(), *(data / "masks/val").iterdir()]:
        path.unlink()
    write_pair(data / "images/val/a.png", data / "masks/val/a.png", seed=7, size=(16, 40))
    edit(data / "images/train/train0.png", lambda image: image * 0 + 9)
    report = check_data("folder", data)
    assert found(report, "tiny").examples[0].note == "40 x 16"
    assert found(report, "blank").examples[0].note == "value 9"
    assert "val" in found(report, "one-image").title
    assert report.ready


def test_12_bit_data_in_16_bit_files_are_a_warning(data):
    edit(data / "images/train/train0.png", lambda image: image[..., 0].astype(np.uint16) * 16)
    edit(data / "images/train/train1.png", lambda image: image[..., 0].astype(np.uint16) * 257)
    problem = found(check_data("folder", data), "narrow")
    assert files(problem) == ["images/train/train0.png"]
    assert "full range" in problem.remedy


def test_labels_of_annotations_that_are_no_class_are_counted(data):
    def annotate(label):
        shape = {"label": label, "shape_type": "rectangle", "points": [[0, 0], [10, 5]]}
        return json.dumps({"imageHeight": 48, "imageWidth": 64, "shapes": [shape]})

    (data / "classes.yaml").write_text("classes: [background, road, car, sky]")
    for path in (data / "masks").rglob("*.png"):
        path.unlink()
        path.with_suffix(".json").write_text(annotate("raod" if path.stem == "val1" else "road"))
    problem = found(check_data("folder", data), "label-values")
    assert problem.details == ["label raod in 1 file, 50 pixels, first masks/val/val1.json"]


def test_coco_annotations_are_checked(data, tmp_path):
    root = tmp_path / "coco"
    shutil.copytree(data / "images/train", root / "images")
    images = [{"id": i, "file_name": f"train{i}.png", "height": 48, "width": 64 - (i == 2)} for i in range(9)]
    areas = [
        {"id": i, "image_id": i, "category_id": 1 + i % 2, "segmentation": [[4, 4, 40, 4, 40, 20]]} for i in range(9)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": areas, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))
    report = check_data("folder", root)
    assert report.labels.classes == ["background", "cat", "dog"]
    assert found(report, "no-image").severity == "error"
    assert files(found(report, "no-image")) == ["images/train8.png"]
    assert found(report, "sizes").examples[0].note == "image 64 x 48, mask 63 x 48"


def test_camvid_is_checked_and_a_missing_test_split_is_a_warning(camvid_data):
    report = check_data("camvid", camvid_data)
    assert [split.name for split in report.splits] == ["train", "val"]
    assert found(report, "closed").severity == "warning"


def test_what_cannot_be_looked_at_at_all_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        check_data("folder", tmp_path / "nowhere")
    with pytest.raises(InputError, match="unknown"):
        check_data("nothing", tmp_path)


def test_progress_names_the_split_and_counts_to_its_end(data):
    calls = []
    check_data("folder", data, progress=lambda *call: calls.append(call))
    assert calls[0] == ("train", 0, 8)
    assert calls[-1] == ("val", 4, 4)
    assert len(calls) == 9 + 5


def test_the_page_says_what_the_folder_was_recognized_as(data, tmp_path):
    page = write_report(check_data("folder", data), tmp_path / "out").read_text(encoding="utf-8")
    assert "images/SPLIT/ and masks/SPLIT/: 2 splits, 3 classes from classes.yaml" in page


def test_the_page_escapes_every_name(data, tmp_path):
    name = "<b>&\"'"
    (data / "classes.yaml").write_text(yaml.safe_dump({"classes": [name, "car", "sky"]}))
    for part in ("images", "masks"):
        (data / part / "train/train0.png").rename(data / part / f"train/{name}.png")
    edit(data / f"masks/train/{name}.png", set_pixels(37, 11))
    page = write_report(check_data("folder", data), tmp_path / "out").read_text()
    assert "<b>" not in page
    assert page.count(str(escape(name))) >= 3
    assert "<script" not in page
    assert set(re.findall(r"(?:src|href)=['\"]?(.{5})", page)) == {"data:"}


def test_the_sheet_shows_every_class_and_at_most_24_pairs(data, tmp_path):
    for i in range(40):
        write(data, "train", f"more{i:02}", seed=500 + i)
    edit_all(data, lambda mask: np.where(mask == 2, 0, mask))
    edit(data / "masks/train/more23.png", set_pixels(2, 70))
    write_report(check_data("folder", data), tmp_path / "out")
    page = (tmp_path / "out/index.html").read_text()
    samples = page[page.index("<h2>Samples") :]
    assert samples.count("<figure>") == 24
    assert "more23.png" in samples
    assert "val0.png" in samples
    with Image.open(tmp_path / "out/sheet.jpg") as sheet:
        assert sheet.width > 1000


def test_a_report_without_a_single_pair_can_be_written(data, tmp_path):
    for path in (data / "masks").rglob("*.png"):
        path.unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sheet.jpg").write_bytes(b"of an earlier report")
    report = check_data("folder", data)
    page = write_report(report, tmp_path / "out")
    assert "No pair could be drawn" in page.read_text()
    assert not (tmp_path / "out/sheet.jpg").exists()
    assert not report.ready


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=80), limit=st.integers(8, 40))
def test_shown_text_is_printable_and_short(text, limit):
    assert shown(text, limit).isprintable()
    assert len(shown(text, limit)) <= limit


@settings(max_examples=50, deadline=None)
@given(share=st.floats(1e-4, 1))
def test_percentages_keep_two_digits(share):
    assert float(percent(share).removesuffix(" %")) == pytest.approx(100 * share, abs=0.05 if share >= 0.1 else 0.005)


def test_names_of_classes_that_are_all_but_one_are_told(data):
    (data / "classes.yaml").write_text("[Tree Top, tree_top, disc]")
    assert found(check_data("folder", data), "alike-classes").details == ["'Tree Top', 'tree_top'"]
