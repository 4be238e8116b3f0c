"""Settings from the data: the rules of docs/settings.md, on drawn data sets whose traits are known."""

from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from networks import PEERS
from pixalign import DataConfig, InputError, ModelConfig, TrainConfig, choose_settings, create_model, list_models
from pixalign.cli import main
from pixalign.training import chosen as module
from pixalign.training.chosen import Traits, chosen, crops, enlargement, length, look_at
from pixalign.training.initial import check_parts

STREET = Traits(367, 360, 480, ["road", "pole", "car", "sky"], [0.5, 0.01, 0.09, 0.4], [130.0, 2.4, 22.0, 36.0], 0.98)
CELLS = Traits(400, 256, 256, ["background", "cell"], [0.8, 0.2], [140.0, 9.0], 0.01)


class Drawn:
    """Masks of one size, as a split."""

    name = "drawn/train"

    def __init__(self, masks, classes):
        self.masks, self.classes = masks, classes

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        return np.zeros((*self.masks[index].shape, 3), np.uint8), self.masks[index]


def striped(width):
    mask = np.zeros((120, 160), np.uint8)
    mask[:, 60 : 60 + width] = 1
    return mask


def test_the_width_of_a_stripe_is_about_its_width():
    """Outlines are counted as if they ran in all directions: straight ones seem pi / 4 as long."""
    for width in (2, 6, 20):
        traits = look_at(Drawn([striped(width)] * 3, ["ground", "stripe", "absent"]))
        assert traits.widths[1] == pytest.approx(width * 4 / np.pi)
        assert traits.widths[2] == inf
        assert traits.shares == pytest.approx([1 - width / 160, width / 160, 0])
        assert (traits.narrowest, traits.rarest) == (1, 1)


def test_each_pair_that_is_looked_at_is_told_of():
    told = []
    look_at(Drawn([striped(4)] * 100, ["ground", "stripe"]), told.append)
    assert told == [1] * 24


def test_unlabeled_pixels_have_no_width_and_no_share():
    mask = striped(4)
    mask[mask == 1] = 255
    traits = look_at(Drawn([mask], ["ground", "stripe"]))
    assert traits.shares == [1, 0]
    assert traits.widths[1] == inf


def test_a_split_without_labels_is_refused():
    with pytest.raises(InputError, match=r"drawn/train: none of the 1 masks looked at holds a label"):
        look_at(Drawn([np.full((64, 64), 255, np.uint8)], ["a", "b"]))


def test_what_has_an_upper_side_is_told_from_what_has_none():
    street = np.zeros((90, 60), np.uint8)
    street[45:] = 1
    generator = np.random.default_rng(0)
    cells = [(generator.random((90, 60)) < 0.2).astype(np.uint8) for _ in range(20)]
    assert look_at(Drawn([street], ["sky", "road"])).upper_side == 1
    assert look_at(Drawn(cells, ["background", "cell"])).upper_side < 0.05


def test_streets_are_never_turned_and_cells_are():
    street, lines = chosen(TrainConfig(), STREET, frozenset(), "cpu")
    assert (street.data.turn, street.data.flip) == (0, 0.5)
    cells, _ = chosen(TrainConfig(), CELLS, frozenset(), "cpu")
    assert (cells.data.turn, cells.data.flip) == (0.75, 0.5)
    assert len(lines) == 5


def test_nothing_is_mirrored_where_a_class_is_called_left():
    for name in ("left lung", "lung_Right"):
        sided, _ = chosen(TrainConfig(), replace(CELLS, classes=["background", name]), frozenset(), "cpu")
        assert (sided.data.turn, sided.data.flip) == (0, 0)
    other, _ = chosen(TrainConfig(), replace(CELLS, classes=["background", "bright"]), frozenset(), "cpu")
    assert other.data.flip == 0.5


def test_rare_classes_are_weighted_and_common_ones_are_not():
    street, _ = chosen(TrainConfig(), STREET, frozenset(), "cpu")
    assert (street.loss.class_weights, street.loss.adjust, street.loss.dice) == ("enet", 0.75, 0)
    few, _ = chosen(TrainConfig(), replace(CELLS, shares=[0.95, 0.05]), frozenset(), "cpu")
    assert (few.loss.class_weights, few.loss.dice) == ("none", 0.5)
    rarer, _ = chosen(TrainConfig(), replace(CELLS, shares=[0.995, 0.005]), frozenset(), "cpu")
    assert (rarer.loss.class_weights, rarer.loss.adjust, rarer.loss.dice) == ("enet", 0.25, 0.5)
    common, _ = chosen(TrainConfig(), CELLS, frozenset(), "cpu")
    assert (common.loss.class_weights, common.loss.dice) == ("none", 0)


def test_narrow_things_get_larger_images_as_far_as_the_machine_can_take_them():
    assert enlargement(STREET, 4, "cpu") == 2
    assert enlargement(STREET, 2, "cpu") == 1.5
    assert enlargement(replace(STREET, widths=[100, 7.0, 22, 36]), 4, "cpu") == 1.5
    assert enlargement(CELLS, 4, "cpu") == 1
    assert enlargement(replace(STREET, height=1080, width=1920), 4, "cpu") == 1
    assert enlargement(replace(STREET, height=1080, width=1920), 4, "cuda") == 2


def test_encoders_with_a_map_at_half_get_a_level_there():
    known, _ = chosen(TrainConfig(), STREET, frozenset(), "cpu")
    assert known.model.options == {"channels": 64, "detail": 24, "encoder_options": {"enlarge": 1.5}}
    other, _ = chosen(
        TrainConfig(model=ModelConfig(encoder="convnext_atto")), STREET, frozenset({"model.encoder"}), "cpu"
    )
    assert other.model.options == {"channels": 64, "encoder_options": {"enlarge": 2.0}}


sizes = st.integers(20, 9000)


@given(height=sizes, width=sizes, enlarge=st.sampled_from([1.0, 1.5, 2.0]), device=st.sampled_from(["cpu", "cuda"]))
def test_crops_fit_the_images_and_the_machine(height, width, enlarge, device):
    crop, batch = crops(replace(CELLS, height=height, width=width), enlarge, device)
    for side, whole in zip(crop, (height, width)):
        assert side % 32 == 0
        assert 32 <= side < whole + 32
        assert side <= 736
    assert 4 <= batch <= 16
    assert batch * crop[0] * crop[1] * enlarge**2 <= {"cpu": 1.3e6, "cuda": 5.5e6}[device]


def test_more_images_have_longer_runs_of_fewer_passes():
    assert [length(n) for n in (1, 16, 367, 10_000)] == [600, 600, 1916, 10_000]
    for images in (1, 16, 367, 10_000, 1_000_000):
        config, _ = chosen(TrainConfig(), replace(CELLS, images=images), frozenset(), "cpu")
        assert config.updates_per_epoch * config.epochs == pytest.approx(length(images), rel=0.1)
        assert 5 <= config.epochs <= 41


def test_what_is_given_stays():
    config = TrainConfig(epochs=100, batch_size=8, data=DataConfig(crop=(64, 96)))
    kept, _ = chosen(config, STREET, frozenset({"epochs", "batch_size", "data.crop"}), "cpu")
    assert (kept.epochs, kept.batch_size, kept.data.crop) == (100, 8, (64, 96))
    assert kept.loss.class_weights == "enet"
    weights, _ = chosen(TrainConfig(), STREET, frozenset({"loss.class_weights"}), "cpu")
    assert (weights.loss.class_weights, weights.loss.adjust) == ("none", 0)
    options, lines = chosen(TrainConfig(), STREET, frozenset({"model.options.channels"}), "cpu")
    assert options.model.options == {}
    assert "enlarged" not in lines[0]


def test_every_network_can_be_built_as_chosen_and_has_the_parts_that_rates_are_given_for():
    for name in [*list_models(), *PEERS]:
        config = TrainConfig(model=ModelConfig(name=name))
        config, lines = chosen(config, STREET, frozenset({"model.name"}), "cpu")
        model = config.model
        network = create_model(model.name, encoder=model.encoder, num_classes=4, **model.options)
        check_parts(network, config.optim.lr_parts)
        enlarged = name in list_models()
        assert ("enlarged 2 times" in lines[0]) == enlarged
        if enlarged:
            assert network.encoder.quarters == 8
            assert "encoder" in config.optim.lr_parts


def test_crops_are_smaller_where_images_are_enlarged_on_demand():
    asked = TrainConfig(model=ModelConfig(options={"encoder_options": {"enlarge": 4}}))
    enlarged, _ = chosen(asked, STREET, frozenset({"model.options"}), "cpu")
    assert np.prod(enlarged.data.crop) < np.prod(chosen(TrainConfig(), STREET, frozenset(), "cpu")[0].data.crop)


def test_a_run_started_from_a_model_has_its_network():
    config, lines = chosen(TrainConfig(init="default"), STREET, frozenset({"init"}), "cpu")
    assert config.model == TrainConfig().model
    assert "that of default" in lines[0]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Twelve images of 96 x 128 with a bright square."""
    root, generator = tmp_path_factory.mktemp("data") / "cells", np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i in range(12):
        mask = np.zeros((96, 128), np.uint8)
        y, x = generator.integers(0, 60, 2)
        mask[y : y + 30, x : x + 30] = 1
        image = (generator.normal(90, 20, (96, 128, 3)) + 80 * mask[..., None]).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
    return root


SMALL = ["--model.encoder", "test_resnet", "--model.options", "channels=16", "--data.crop", "64", "64"]
SMALL += ["--data.workers", "0", "--batch_size", "4", "--pictures_every", "0"]


def test_the_command_says_what_it_chose_and_writes_it(cells, tmp_path, capsys):
    length = ["--epochs", "1", "--updates_per_epoch", "2"]
    assert main(["train", "--data.root", str(cells), "--out", str(tmp_path / "run"), *SMALL, *length]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("settings from the data")
    assert [line.split()[0] for line in said[1:6]] == ["network", "samples", "loss", "steps", "length"]
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert written["model"]["pretrained"] is False
    assert written["data"]["crop"] == [64, 64]
    assert (written["epochs"], written["updates_per_epoch"], written["optim"]["schedule"]) == (1, 2, "cosine")


def test_a_configuration_file_is_taken_as_it_is(cells, tmp_path, capsys):
    file = tmp_path / "recipe.yaml"
    file.write_text("epochs: 1\noptim: {lr: 0.002}\n", encoding="utf-8")
    run = ["--data.root", str(cells), "--out", str(tmp_path / "run"), *SMALL]
    assert main(["train", "--config", str(file), *run]) == 0
    assert "settings from the data" not in capsys.readouterr().out
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert (written["optim"]["lr"], written["optim"]["schedule"]) == (0.002, "poly")


def test_the_page_has_the_rules_as_they_are():
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    for images in (16, 367, 10_000):
        assert f"{images:,} ha" in page.replace("images have", "have")
        assert f"{length(images):,}" in page


def test_a_length_and_a_time_are_not_both_taken(cells, tmp_path, capsys):
    run = ["--data.root", str(cells), "--out", str(tmp_path / "run"), *SMALL]
    assert main(["train", *run, "--epochs", "3", "--minutes", "5"]) == 2
    assert "epochs is 3 and minutes is 5: give one of them" in capsys.readouterr().err


def test_it_is_a_function_too(monkeypatch):
    monkeypatch.setattr(module, "_LOOKED_AT", 2)  # drawing takes its time
    config, lines = choose_settings(TrainConfig(data=DataConfig(name="streets")), given=["epochs"])
    assert config.epochs == 100
    assert config.data.turn == 0
    assert len(lines) == 5
