"""The models that the package carries."""

import pytest
from PIL import Image

import pixalign
from pixalign.data.sets.streets import draw_scene
from pixalign.weights import BUNDLED, bundled

LIMIT = 32_000_000  # bytes, all bundled weights together


def test_the_default_and_the_fast_one_are_bundled():
    assert bundled() == ["default", "default-fast"]


def test_bundled_weights_stay_small():
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < LIMIT


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_model_states_license_data_and_measured_figures(name):
    config = pixalign.load(name).config
    assert config.license == "Apache-2.0"
    assert config.data["name"]
    assert config.data["terms"]
    assert all({"data", "images", "miou", "iou"} <= set(figures) for figures in config.metrics)


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_model_finds_its_way_on_a_drawn_street(name):
    picture, label = draw_scene(seed=0)
    result = pixalign.Predictor(name)(Image.fromarray(picture))
    labeled = label != 255
    assert (result.ids == label)[labeled].mean() > 0.6
    for thing in ("sky", "road"):
        class_id = result.classes.index(thing)
        assert (result.ids == class_id)[label == class_id].mean() > 0.8
