"""Sheets for every network, and what they refuse."""

import numpy as np
import pytest
import torch
from PIL import Image

import pixalign
from networks import CLASSES, NETWORKS, network
from no_float64 import NoFloat64
from pixalign import InputError, create_model
from pixalign.aligners import Aligner
from pixalign.aligners.geometry import Displacement
from pixalign.explaining import explain
from pixalign.explaining import pictures as pictures_of
from pixalign.explaining.evidence import Evidence
from pixalign.explaining.explanation import least_certain_border
from pixalign.explaining.pictures import View, around, cells_in, paint, painted_errors, window
from pixalign.explaining.sections import one_network, words
from pixalign.predicting import Result
from pixalign.sampling import grid_of


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Paint fewer pixels than for a person."""
    monkeypatch.setattr(pictures_of, "SIDE", 240)


def street(height: int = 61, width: int = 83) -> np.ndarray:
    """An odd-sized picture: dark above, light below, with a post."""
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[: height // 2] = (40, 60, 90)
    pixels[:, width // 2 : width // 2 + 6] = (150, 30, 30)
    return pixels + np.random.default_rng(0).integers(0, 20, pixels.shape, dtype=np.uint8)


@pytest.mark.parametrize("key", NETWORKS)
def test_every_network_and_aligner_makes_a_sheet_also_where_there_is_no_float64(key):
    with NoFloat64():
        explanation = explain(network(key), street(), device="cpu")
    ((stem, sheet),) = explanation.sheets.items()
    assert stem.startswith("image_")
    assert sheet.width == 1600
    assert sheet.height > 1200
    assert "least certain" in explanation.notes[0]


class Shift(Aligner):
    """An aligner of somebody else's: the coarse map, from the right by one cell."""

    def forward(self, fine, coarse):
        (part,) = self.geometry(fine, coarse)
        return fine + part.read(coarse)

    def geometry(self, fine, coarse):
        flow = torch.tensor([1.0, 0]).view(1, 2, 1, 1)
        return [Displacement("coarse", flow.expand(1, 2, *fine.shape[-2:]), grid_of(coarse))]


def test_an_aligner_of_somebody_else_is_shown_too():
    model = network("sfnet")
    model.aligners = torch.nn.ModuleList(Shift() for _ in range(3))
    assert headings(model)[1:4] == [
        "Where features are fetched from",
        "The same for the window",
        "Features before and after",
    ]


def headings(model, **options) -> list[str]:
    seen = []
    real = one_network

    def spy(evidence, scene):
        sections = real(evidence, scene)
        seen.extend(section.heading for section in sections)
        return sections

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixalign.explaining.explanation.one_network", spy)
        explain(model, street(), device="cpu", **options)
    return seen


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("sfnet", ["Where features are fetched from", "The same for the window"]),
        ("bialignnet", ["Where features are fetched from", "The same for the window"]),
        ("ddsm", ["Where features are fetched from", "What the marked pixel reads", "Which channels are mixed"]),
        ("ifa", ["What the marked pixel reads, and answers between the pixels", "The maps that it reads"]),
        ("aligned_fpn-bilinear", ["Features, merged"]),
        ("aligned_fpn-implicit", ["What the marked pixel reads"]),
    ],
)
def test_a_sheet_shows_what_the_network_does(key, expected):
    found = headings(network(key))
    assert found[0] == "What the network answers"
    assert found[-1] == "The boundary"
    assert [heading for heading in found if heading in expected] == expected


def test_a_network_of_another_library_says_that_it_has_no_geometry():
    pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    model = create_model("smp/Unet", encoder="resnet18", num_classes=3).eval()
    explanation = explain(model, street(), device="cpu")
    assert any("no aligner" in note for note in explanation.notes)
    assert list(explanation.sheets) == ["image_smp_unet"]


def test_several_networks_are_shown_side_by_side():
    label = (street()[..., 0] > 100).astype(np.uint8)
    explanation = explain([network("sfnet"), network("sfnet_lite"), network("sfnet")], street(), label, device="cpu")
    names = ["image_sfnet_no_1", "image_sfnet_lite", "image_sfnet_no_3", "image_boundaries"]
    assert list(explanation.sheets) == names


def test_sheets_are_files_that_open(tmp_path):
    Image.fromarray(street()).save(tmp_path / "street.png")
    explanation = pixalign.explain(network("sfnet"), tmp_path / "street.png", pixel=(82, 60), device="cpu")
    (path,) = explanation.save(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "street_sfnet.png"
    with Image.open(path) as sheet:
        assert sheet.size == explanation.sheets["street_sfnet"].size
    assert [p.name for p in path.parent.iterdir()] == ["street_sfnet.png"]
    assert explanation.pixel == (82, 60)


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_than_three_channels_are_shown(channels):
    pixels = np.resize(street(), (40, 45, channels))
    assert explain(network("sfnet", in_channels=channels), pixels, device="cpu").sheets


def test_a_label_file_holds_ids_or_the_models_colors(tmp_path):
    model = network("sfnet_lite")
    ids = (street()[..., 0] > 100).astype(np.uint8)
    table = np.zeros((256, 3), np.uint8)
    table[:CLASSES] = model.config.colors
    Image.fromarray(ids).save(tmp_path / "ids.png")
    Image.fromarray(table[ids]).save(tmp_path / "colors.png")
    sheets = [
        next(iter(explain(model, street(), label, (5, 5), "cpu").sheets.values()))
        for label in (tmp_path / "ids.png", ids, tmp_path / "colors.png")
    ]
    assert (np.asarray(sheets[0]) == np.asarray(sheets[1])).all()
    assert (np.asarray(sheets[0]) == np.asarray(sheets[2])).all()


def test_label_values_without_a_class_are_named_and_not_judged():
    label = np.zeros((61, 83), np.int64)
    label[:2] = 11
    assert "11 (166 px)" in explain(network("sfnet"), street(), label, device="cpu").notes[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": np.zeros((60, 83), np.uint8)}, "label is 83 x 60 but the image 83 x 61"),
        ({"label": np.full((61, 83), 255)}, "no pixel of it has a class"),
        ({"label": np.zeros((61, 83, 3), np.uint8)}, r"\(H, W\) of ids is needed"),
        ({"label": "nowhere.png"}, "nowhere.png: no such file"),
        ({"pixel": (83, 0)}, "pixel 83,0 lies outside the image of 83 x 61: give x from 0 to 82 and y from 0 to 60"),
        ({"image": "nowhere.png"}, "nowhere.png: no such file"),
        ({"image": np.zeros((5000, 4000, 3), np.uint8)}, "more than 16,000,000"),
        ({"image": np.zeros((20, 40, 3), np.uint8)}, "too few"),
        ({"models": "no/such/model"}, "no such folder"),
        ({"models": []}, "models is empty"),
        ({"device": "abacus"}, "device 'abacus' is unknown"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    given = {"models": network("sfnet"), "image": street(), "device": "cpu", **arguments}
    with pytest.raises(InputError, match=message) as caught:
        explain(**given)
    assert "\n" not in str(caught.value)


def test_networks_of_other_classes_are_not_laid_side_by_side():
    other = create_model("sfnet", encoder="test_resnet", num_classes=3, channels=16).eval()
    with pytest.raises(InputError, match="classes"):
        explain([network("sfnet"), other], street(), device="cpu")


def evidence(probabilities: np.ndarray) -> Evidence:
    ids = probabilities.argmax(0).astype(np.uint8)
    pixels = np.zeros((*ids.shape, 3), np.uint8)
    result = Result(pixels, ids, ["a", "b"], [[0, 0, 0], [9, 9, 9]], probabilities)
    return Evidence("net", torch.nn.Identity(), result, [], [], result.ids.shape)


def test_the_marked_pixel_lies_on_the_border_that_is_least_certain():
    shares = np.full((80, 120), 0.95, np.float32)
    shares[:, 60:] = 0.05  # a certain border in the middle
    shares[50:60, 55:60] = 0.52  # that is uncertain further down
    shares[50:60, 60:65] = 0.48
    x, y = least_certain_border([evidence(np.stack((shares, 1 - shares)))])
    assert abs(x - 59.5) < 2
    assert 50 <= y < 60


def test_one_class_everywhere_still_gives_a_pixel():
    shares = np.full((40, 50), 0.9, np.float32)
    x, y = least_certain_border([evidence(np.stack((shares, 1 - shares)))])
    assert 0 <= x < 50
    assert 0 <= y < 40


@pytest.mark.parametrize(
    ("displacement", "text"),
    [
        ((3.0, 0.0), "3.0 px to the right"),
        ((0.0, 2.5), "2.5 px below"),
        ((-4.0, 0.1), "4.0 px to the left"),
        ((0.0, -120.0), "120 px above"),
        ((3.0, 3.0), "4.2 px to the lower right"),
        ((0.01, 0.0), "its own place"),
    ],
)
def test_displacements_are_said_in_words(displacement, text):
    assert words(np.array(displacement)) == text


def test_errors_are_magenta_and_what_has_no_label_is_not_judged():
    ids, label = np.zeros((2, 8), np.uint8), np.zeros((2, 8), np.uint8)
    label[0, 4:], label[1] = 1, 255
    picture = painted_errors(np.zeros((2, 8, 3), np.uint8), ids, label)
    magenta = (picture == (255, 0, 150)).all(-1)
    assert magenta[0].tolist() == [False] * 4 + [True] * 4
    assert not magenta[1].any()


@pytest.mark.parametrize("pixel", [(0, 0), (82, 60), (40, 30)])
def test_the_window_lies_in_the_image_and_holds_the_pixel(pixel):
    view = window(street(), pixel)
    assert view.left >= 0
    assert view.top >= 0
    assert view.left + view.width <= 83
    assert view.top + view.height <= 61
    assert 0 <= pixel[0] - view.left < view.width
    assert 0 <= pixel[1] - view.top < view.height


def test_a_painted_window_shows_the_pixels_that_it_covers():
    values = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    view = View(8, 6, 8, 6)
    shown = np.asarray(paint(values, view, (60, 80)))
    step = view.scale
    for column, row in ((0, 0), (7, 5), (3, 2)):
        place = int((row + 0.5) * step), int((column + 0.5) * step)
        assert (shown[place] == values[6 + row, 8 + column]).all()


def test_a_view_grows_until_it_holds_every_place():
    start = View(10, 10, 20, 15)
    assert around(start, np.array([[12.0, 12.0]]), (60, 80)) == start
    grown = around(start, np.array([[70.0, 20.0]]), (60, 80))
    assert grown.left < 10
    assert grown.left + grown.width > 70
    assert grown.width / grown.height == pytest.approx(80 / 60)


def test_arrows_start_in_the_window_and_end_where_the_field_says():
    field = np.zeros((2, 15, 20), np.float32)
    field[0], field[1] = 5, -2
    starts, ends = cells_in(View(20, 20, 24, 20), field, (60, 80))
    assert len(starts) > 4
    assert (starts >= 20).all()
    np.testing.assert_allclose(ends - starts, np.broadcast_to((5, -2), starts.shape))
