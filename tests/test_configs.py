"""The recipes in configs/: read by the real parser, their networks built, their losses taken by what these give."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from pixalign import create_model
from pixalign.cli import train as command
from pixalign.data import DATASETS
from pixalign.data.catalog import CATALOG
from pixalign.losses import total_loss
from pixalign.training.initial import check_parts

CONFIGS = Path(__file__).parents[1] / "configs"
RECIPES = sorted(path for path in CONFIGS.rglob("*.yaml") if "compare" not in path.parts)
PAPERS = [path for path in RECIPES if path.stem.startswith(("bialignnet", "alignseg", "ifa", "sfnet", "ddsm"))]
SIZE = (64, 96)


def read(path):
    parser = ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    return command.read_config(parser.parse_args(["--config", str(path)]))


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_is_valid_and_names_data_that_is_known(path):
    config = read(path)
    config.check()
    entry = CATALOG[config.data.name]
    assert config.data.name in DATASETS
    assert {config.data.train, *config.data.val} <= set(entry.splits)
    assert config.data.name.startswith(path.parent.name)


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipes_network_can_be_built_and_its_loss_takes_what_the_network_gives(path, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which that device knows nothing of
    config = read(path)
    classes = len(CATALOG[config.data.name].classes)
    with torch.device("meta"):  # sizes without values: no weights are filled, nothing is computed
        model = create_model(
            config.model.name, encoder=config.model.encoder, num_classes=classes, **config.model.options
        )
        check_parts(model, config.optim.lr_parts)
        given = model(torch.empty(2, 3, *SIZE), heads=True)
        shapes = {
            key: [x.shape for x in value] if isinstance(value, list) else value.shape for key, value in given.items()
        }
    points = config.model.options.get("train_points")
    assert shapes["logits"] == ((2, classes, points, 1) if points else (2, classes, *SIZE))
    assert bool(shapes["auxiliaries"]) == bool(config.loss.auxiliary)
    outputs = {
        key: [torch.zeros(s) for s in shape] if isinstance(shape, list) else torch.zeros(shape)
        for key, shape in shapes.items()
    }
    options = {key: value for key, value in asdict(config.loss).items() if key not in ("class_weights", "adjust")}
    target = torch.arange(2 * SIZE[0] * SIZE[1]).view(2, *SIZE) % classes
    total, parts = total_loss(outputs, target, **options)
    assert total.isfinite()
    wanted = {key for key in ("auxiliary", "dice", "lovasz", "edge", "edge_guided") if getattr(config.loss, key)}
    assert set(parts) == {config.loss.name, *wanted}


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_a_recipe_says_its_paper_its_command_and_its_measurement(path):
    header = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert "arXiv" in header
    assert f"--config configs/{name_of(path)}.yaml" in header
    assert f"pixalign evaluate {read(path).out}/best --data.name {read(path).data.name}" in header
    assert "Ours" in header or "recipe of" in header.replace("\n# ", " ")


def test_no_two_recipes_write_to_one_run_folder():
    folders = [yaml.safe_load(path.read_text())["out"] for path in RECIPES]
    assert len(set(folders)) == len(folders)
