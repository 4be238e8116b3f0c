"""What is compared: a file that is read, checked and expanded."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from comparing.made import content
from pixalign.comparing.config import differences, expand, read_comparison
from pixalign.errors import InputError
from pixalign.training.config import DataConfig, OptimConfig, TrainConfig

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "compare").glob("*.yaml"))


def runs_of(tmp_path, **changes):
    file = tmp_path / "compare.yaml"
    file.write_text(yaml.safe_dump(content("data", tmp_path / "out", **changes)))
    return expand(read_comparison(file), str(file))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_comparisons_that_we_ship_are_valid(path):
    comparison = read_comparison(path)
    assert len(expand(comparison, str(path))) == len(comparison.methods) * len(comparison.seeds)


def test_each_method_is_expanded_with_each_seed_into_a_folder_of_its_own(tmp_path):
    runs = runs_of(tmp_path, seeds=[3, 5])
    assert [str(run) for run in runs] == ["bilinear, seed 3", "bilinear, seed 5", "flow, seed 3", "flow, seed 5"]
    assert runs[3].folder == tmp_path / "out" / "flow" / "seed5"
    assert runs[3].config.seed == 5
    assert runs[3].config.model.options == runs[0].config.model.options | {"aligner": "flow"}
    assert runs[3].config.data.crop == (32, 48)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {}}, r"compare.yaml: the key 'method' is unknown: choose among methods, baseline"),
        ({"seeds": ["one"]}, r"compare.yaml: .*seeds.*one"),
        ({"seeds": [1, 1]}, r"seeds is \[1, 1\]"),
        ({"splits": []}, r"splits is \[\]"),
        ({"baseline": "none"}, r"baseline 'none' is none of the methods: choose one of bilinear, flow"),
        ({"methods": {}}, "methods is empty"),
        ({"methods": {"a/b": {}}}, "method 'a/b' names a folder"),
        ({"methods": {"..": {}}}, "names a folder"),
        ({"methods": {"bilinear": {"optim": {"lrr": 1}}}}, r"methods.bilinear: .*lrr"),
        ({"methods": {"bilinear": {"epoch": 1}}}, r"methods.bilinear: the key 'epoch' is unknown"),
        ({"methods": {"bilinear": {"ema": 2.0}}}, r"methods.bilinear: ema is 2.0"),
        ({"methods": {"bilinear": {"seed": 2}}}, r"methods.bilinear: sets seed"),
        ({"recipe": {"out": "x"}}, "sets out"),
    ],
)
def test_what_is_wrong_is_named_in_a_line(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error:
        runs_of(tmp_path, **changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 9}, "epochs is 9 for other but 1 for bilinear: methods of different budget"),
        ({"data": {"crop": [64, 64]}}, r"data.crop is \[64, 64\] .* budget"),
        ({"data": {"train": "val"}}, "data.train is 'val' .* different data"),
        ({"data": {"mix": "streets", "mix_ratio": 0.5}}, "data.mix is 'streets' .* different data"),
        ({"model": {"pretrained": True}}, "model.pretrained is True .* budget"),
    ],
)
def test_methods_of_different_data_or_budget_are_refused_by_name(tmp_path, change, message):
    methods = {"bilinear": {}, "other": change}
    with pytest.raises(InputError, match=message):
        runs_of(tmp_path, methods=methods)


def test_methods_may_differ_in_loss_optimiser_and_augmentation(tmp_path):
    methods = {"bilinear": {}, "other": {"loss": {"dice": 1.0}, "optim": {"lr": 0.1}, "data": {"flip": 0.0}}}
    assert len(runs_of(tmp_path, methods=methods)) == 2


def test_a_method_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "compare.yaml"
    file.write_text("baseline: a\nmethods:\n  a: {}\n  a: {epochs: 3}\n")
    with pytest.raises(InputError, match="'a' stands there twice"):
        read_comparison(file)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\0"])
def test_a_file_that_is_no_comparison_is_refused(tmp_path, text):
    file = tmp_path / "compare.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"compare.yaml"):
        read_comparison(file)


def test_places_and_speed_are_no_difference_but_what_weights_depend_on_is():
    first = TrainConfig(data=DataConfig(root="a", workers=2), out="x")
    second = replace(first, data=DataConfig(root="b", workers=0), out="y", device="cpu", evaluate_every=1)
    assert differences(first, second) == []
    second = replace(second, optim=OptimConfig(lr=0.5))
    assert differences(first, second) == [("optim.lr", 1e-3, 0.5)]
