"""The functions below the page: results, limits, and errors that are sentences."""

import base64
import csv
import io
import re
import threading
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

import pixalign
from networks import NETWORKS, network
from pixalign.errors import InputError
from pixalign.predicting import Predictor

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
from pixalign.app.picking import pick
from pixalign.app.service import Limits, Service
from pixalign.app.view import disagreement, disagreement_panel, picked_panel, verdict, viewed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two model folders of the same classes, one of others, and a photograph."""
    folder = tmp_path_factory.mktemp("service")
    pixalign.save(network("sfnet"), folder / "one" / "best")
    pixalign.save(network("ddsm"), folder / "two" / "best")
    other = network("aligned_fpn-bilinear")
    other.config.classes = [f"other_{i}" for i in range(5)]
    pixalign.save(other, folder / "other")
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def service(folder):
    service = Service(
        [str(folder / name) for name in ("one/best", "two/best", "other")], Limits(pixels=10_000, files=3)
    )
    yield service
    service.close()


def test_models_are_called_by_the_end_of_their_paths(service):
    assert service.names[:2] == ["one/best", "two/best"]
    assert service.names[2].endswith("/other")


def test_a_result_is_the_predictors(service, folder):
    expected = Predictor(str(folder / "two/best"))(folder / "photo.png")
    result = service.segment(folder / "photo.png", "two/best")
    np.testing.assert_array_equal(result.ids, expected.ids)
    assert abs(sum(result.areas().values()) - 1) < 1e-9


def test_the_fused_back_end_gives_the_same_classes_up_to_rounding(service, folder):
    comparison = service.compare(folder / "photo.png", ("one/best", "pytorch"), ("one/best", "fused"))
    assert comparison.share is not None
    assert comparison.share < 0.01


def test_an_export_is_made_beside_the_requests_and_its_failure_is_told(folder, monkeypatch):
    service = Service([str(folder / "one/best")])
    started, go_on = threading.Event(), threading.Event()

    def export(source, path):
        started.set()
        go_on.wait(60)
        if started.is_set() and not path.parent.joinpath("tried").exists():
            path.parent.joinpath("tried").touch()
            raise InputError("ONNX Runtime cannot run this model (a test)")
        return folder / "one/best"  # a network in place of a file

    monkeypatch.setattr(service, "_export", export)
    monkeypatch.setattr(service, "backends", lambda name: ["pytorch", "onnxruntime"])
    ask = partial(service.segment, folder / "photo.png", "one/best", "onnxruntime")
    with pytest.raises(InputError, match=r"ONNX Runtime: one/best is being exported for it: try again"):
        ask()
    started.wait(60)
    assert service.segment(folder / "photo.png", "one/best", "pytorch").ids.shape == (70, 90)
    go_on.set()
    service._exporter.submit(int).result()
    with pytest.raises(InputError, match="cannot run this model"):
        ask()
    with pytest.raises(InputError, match="is being exported"):
        ask()
    service._exporter.submit(int).result()
    assert ask().ids.shape == (70, 90)
    service.close()


def test_a_comparison_counts_the_pixels_that_differ(service, folder):
    comparison = service.compare(folder / "photo.png", ("one/best", ""), ("two/best", ""))
    expected = (comparison.first.ids != comparison.second.ids).mean()
    assert comparison.share == pytest.approx(expected)
    assert f"{100 * expected:.1f} %" in verdict(comparison)
    orange = (np.asarray(disagreement(comparison)) == (230, 110, 0)).all(-1)
    np.testing.assert_array_equal(orange, comparison.differs)
    assert "data:image/png" in disagreement_panel(comparison)


def test_models_of_other_classes_are_shown_side_by_side_without_a_share(service, folder):
    comparison = service.compare(folder / "photo.png", ("one/best", ""), (service.names[2], ""))
    assert comparison.share is None
    assert "different classes" in verdict(comparison)
    assert disagreement_panel(comparison) == ""


@pytest.mark.parametrize("name", ["nope", "one", "../one/best", "/etc/passwd", "someone/model", "two\0"])
def test_no_model_is_had_that_was_not_offered(service, folder, name):
    with pytest.raises(InputError, match="is not offered here: choose one of one/best, two/best"):
        service.segment(folder / "photo.png", name)


def test_with_the_hub_allowed_a_path_is_still_no_model(folder, monkeypatch):
    monkeypatch.chdir(folder)
    service = Service(["default"], allow_hub=True)
    with pytest.raises(InputError, match="is not offered here"):
        service.segment("photo.png", "one/best")
    service.close()


def test_an_unknown_back_end_is_told(service, folder):
    with pytest.raises(InputError, match="'cuda' is not available for one/best: choose one of pytorch, fused"):
        service.segment(folder / "photo.png", "one/best", "cuda")


def test_a_model_that_is_not_there_is_told_before_anything_is_served(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Service([str(tmp_path / "none")])
    with pytest.raises(InputError, match="--models is empty"):
        Service([])


def test_images_above_the_limits_are_refused_before_they_are_decoded(service, tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (5000, 5000)).save(bomb)  # 25 million pixels in a small file
    with pytest.raises(InputError, match=r"^bomb.png: 5000 x 5000 pixels are more than 10,000: make it smaller$"):
        service.segment(bomb)
    heavy = Service(["default"], Limits(upload=100))
    with pytest.raises(InputError, match=r"MB are more than"):
        heavy.segment(bomb)
    heavy.close()


def test_errors_do_not_tell_where_files_lie(service, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"^broken.png: is not an image") as caught:
        service.segment(broken)
    assert str(tmp_path) not in str(caught.value)
    small = tmp_path / "small.png"
    Image.new("RGB", (8, 8)).save(small)
    with pytest.raises(InputError, match=r"^small.png: 8 x 8 pixels are too few"):
        service.segment(small)


def test_a_request_that_takes_too_long_is_stopped(folder):
    service = Service([str(folder / "one/best")], Limits(seconds=1e-6))
    with pytest.raises(InputError, match=r"^photo.png: stopped after 1e-06 s, the time that this server gives"):
        service.segment(folder / "photo.png")
    service.close()


def test_a_batch_is_a_zip_with_a_table_and_what_failed(service, folder, tmp_path):
    broken = tmp_path / "=broken.png"
    broken.write_bytes(b"x")
    twin = tmp_path / "photo.jpg"
    Image.open(folder / "photo.png").save(twin)
    counted = []
    failed = service.batch([folder / "photo.png", broken, twin], tmp_path / "out.zip", advance=counted.append)
    assert counted == [1, 2, 3]
    assert len(failed) == 1
    assert failed[0].startswith("=broken.png: is not an image")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = {"photo.png", "photo_overlay.jpg", "photo_2.png", "photo_2_overlay.jpg", "areas.csv", "errors.txt"}
        assert set(archive.namelist()) == names
        ids = np.asarray(Image.open(io.BytesIO(archive.read("photo.png"))))
        np.testing.assert_array_equal(ids, service.segment(folder / "photo.png").ids)
        rows = list(csv.reader(io.StringIO(archive.read("areas.csv").decode())))
    assert rows[0] == ["file", "width", "height", *service.segment(folder / "photo.png").classes]
    assert rows[1][:3] == ["photo.png", "90", "70"]
    assert sum(map(float, rows[1][3:])) == pytest.approx(100, abs=0.01)


def test_a_batch_without_a_result_leaves_nothing_behind(service, folder, tmp_path):
    for images, problem in (([], "no images"), ([folder / "photo.png"] * 4, "more than the 3"), (["none.png"], "none")):
        with pytest.raises(InputError, match=problem):
            service.batch(images, tmp_path / "out.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", NETWORKS)
def test_a_pixel_of_any_network_has_probabilities_and_a_geometry_or_a_sentence(key):
    predictor = Predictor(network(key))
    image = np.random.default_rng(1).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    picked = pick(predictor, image, (89, 69))
    shares = [share for _, share in picked.probabilities]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert picked.probabilities[0][0] == f"class_{predictor(image).ids[69, 89]}"
    assert bool(picked.pictures) == (key != "aligned_fpn-bilinear")
    page = picked_panel(picked)
    assert page.count("<figure>") == len(picked.pictures)
    assert "Pixel 89, 69" in page


@pytest.mark.parametrize("pixel", [(0, 0), (2999, 39), (1500, 20), (1056, 0)])
def test_a_large_image_is_looked_at_around_the_pixel(pixel):
    predictor = Predictor(network("sfnet"))
    image = np.random.default_rng(1).integers(0, 255, (40, 3000, 3), dtype=np.uint8)
    picked = pick(predictor, image, pixel)
    assert picked.pixel == pixel
    assert re.search(r"on the 10\d\d × 40 pixels around it", picked.about)


@pytest.mark.parametrize("pixel", [(-1, 0), (90, 0), (0, 70)])
def test_a_pixel_outside_the_image_is_told(service, folder, pixel):
    with pytest.raises(InputError, match="lies outside the image of 90 x 70"):
        service.pick(folder / "photo.png", *pixel)


def test_the_viewers_percents_sum_to_a_hundred_and_its_ids_are_the_results(service, folder):
    result = service.segment(folder / "photo.png")
    value = viewed(result, "title")
    assert sum(entry["percent"] for entry in value["classes"]) == pytest.approx(100)
    assert [c["percent"] for c in value["classes"]] == sorted((c["percent"] for c in value["classes"]), reverse=True)
    ids = np.asarray(Image.open(io.BytesIO(base64.b64decode(value["ids"].split(",")[1]))))
    np.testing.assert_array_equal(ids, result.ids)


def test_texts_of_a_model_are_escaped_on_the_page():
    model = network("sfnet")
    model.config.classes = ["<script>", "a&b", "c", "d", "e"]
    picked = pick(Predictor(model), np.zeros((64, 64, 3), np.uint8), (1, 1))
    assert "<script>" not in picked_panel(picked)
