"""The configuration: what is written reproduces, what is wrong is named."""

import functools
import math
import re
from dataclasses import asdict

import numpy as np
import pytest
import yaml
from jsonargparse import ArgumentParser

from pixalign.cli import main
from pixalign.cli import train as command
from pixalign.errors import InputError
from pixalign.training.config import DataConfig, ModelConfig, OptimConfig, TrainConfig, write_config
from pixalign.training.values import keys_of


def parse(*arguments):
    parser = ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    return command.read_config(parser.parse_args(list(arguments)))


def test_a_written_configuration_is_read_back_equal(tmp_path):
    config = TrainConfig(data=DataConfig(root="x", crop=(100, 200)), optim=OptimConfig(lr=0.02), epochs=7)
    config.model.options = {"channels": 32, "encoder_options": {"channels": [8, 16, 32, 64]}}
    write_config(config, tmp_path / "config.yaml")
    assert asdict(parse("--config", str(tmp_path / "config.yaml"))) == asdict(config)


def test_later_arguments_win_over_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("epochs: 5\nmodel: {options: {channels: 64}}\n")
    config = parse("--config", str(tmp_path / "c.yaml"), "--epochs", "9", "--model.options.aligner", "flow")
    assert config.epochs == 9
    assert config.model.options == {"channels": 64, "aligner": "flow"}


def test_an_unknown_key_is_refused_by_name(tmp_path):
    (tmp_path / "c.yaml").write_text("optim: {learning_rate: 1}\n")
    with pytest.raises(Exception, match="learning_rate"):
        parse("--config", str(tmp_path / "c.yaml"))
    with pytest.raises(Exception, match="crpo"):
        parse("--data.crpo", "[64,64]")


OUT_OF_RANGE = [
    ("epochs", 0, "at least 1"),
    ("epochs", 1.5, "a whole number"),
    ("seed", -1, "from 0"),
    ("ema", 1.0, "from 0 to below 1"),
    ("ema", math.nan, "from 0 to below 1"),
    ("state_minutes", math.inf, "above 0 and finite"),
    ("precision", "fp8", "one of auto, fp32, bf16, fp16"),
    ("model.in_channels", 0, "at least 1"),
    ("data.flip", 1.1, "from 0 to 1"),
    ("data.color", math.nan, "from 0 to 1"),
    ("data.workers", -1, "0 or more"),
    ("loss.threshold", 1.5, "above 0 and at most 1"),
    ("loss.threshold", 0, "above 0 and at most 1"),
    ("loss.min_kept", -3, "0 or more"),
    ("loss.dice", -1, "0 or more"),
    ("loss.lovasz", math.inf, "0 or more and finite"),
    ("loss.auxiliary", -0.4, "0 or more"),
    ("loss.adjust", 2, "from 0 to 1"),
    ("loss.edge", -1, "0 or more"),
    ("loss.edge_guided", -1, "0 or more"),
    ("loss.distill", -1, "0 or more"),
    ("optim.lr", 0, "above 0"),
    ("optim.momentum", 5, "from 0 to below 1"),
    ("optim.weight_decay", -1, "0 or more"),
    ("optim.warmup", 1, "from 0 to below 1"),
    ("optim.clip", math.nan, "0 or more"),
    ("optim.name", "adam", "one of adamw, sgd"),
    ("out", "", "the name of a folder"),
    ("data.train", " ", "text that is not empty"),
]


@pytest.mark.parametrize(("key", "value", "range_"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_named_with_its_range_wherever_it_comes_from(key, value, range_, tmp_path, capsys):
    said = re.compile(rf"{key} is .*: it must be .*{range_}")
    *parts, name = key.split(".")
    built = TrainConfig()
    setattr(functools.reduce(getattr, parts, built), name, value)
    with pytest.raises(InputError, match=said):
        built.check()
    assert main(["train", f"--{key}={value}"]) == 2
    assert said.search(error := capsys.readouterr().err)
    assert error.count("\n") == 1
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump(functools.reduce(lambda v, k: {k: v}, reversed(key.split(".")), value))
    )
    assert main(["train", "--config", str(tmp_path / "c.yaml")]) == 2
    assert said.search(error := capsys.readouterr().err)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.crop", "[16,64]"], r"data.crop is .*16.* 2 values, each 32 or more .*such as \[360,480\]"),
        (["--data.crop", "512"], r"data.crop is \[512\]: it must be 2 values"),
        (["--data.scale", "[2,0.5]"], r"data.scale is \(2.0, 0.5\): it must be the lowest factor, then the highest"),
        (["--data.val", "[]"], r"data.val is \[\]: it must be one split or more"),
        (["--data.val", "val,val"], "data.val is .* each once"),
        (["--optim.lr_parts.encoder", "-1"], "optim.lr_parts is -1: it must be .* each value 0 or more"),
        (["--trackers", "paper"], "trackers is .*paper.*: it must be a list, each one of tensorboard, wandb"),
        (["--loss.distill", "1"], "teacher is '': it must be set together with loss.distill"),
        (["--teacher", "default"], "teacher is 'default': it must be set together with loss.distill"),
        (["--data.mix", "streets"], "data.mix is 'streets': it must be set together with data.mix_ratio"),
    ],
)
def test_values_that_do_not_go_together_are_named(arguments, message, capsys):
    assert main(["train", *arguments]) == 2
    assert re.search(message, error := capsys.readouterr().err)
    assert error.count("\n") == 1


def test_numbers_of_numpy_paths_and_lists_do_as_well(tmp_path):
    config = TrainConfig(data=DataConfig(root=tmp_path, crop=[64, 96]), epochs=np.int64(3), out=tmp_path / "run")
    config.optim.lr = np.float32(0.5)
    config.check()
    write_config(config, tmp_path / "config.yaml")
    read = parse("--config", str(tmp_path / "config.yaml"))
    assert (read.data.crop, read.epochs, read.optim.lr, read.out) == ((64, 96), 3, 0.5, str(tmp_path / "run"))


def test_every_number_of_the_configuration_has_a_range():
    numbers = [key for key, kind, _ in keys_of(TrainConfig) if kind in (int, float)]
    assert numbers == []


def test_the_home_folder_stands_for_its_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = TrainConfig(
        model=ModelConfig(pretrained="~/w"),
        data=DataConfig(root="~/d", mix_root="~/m"),
        out="~/o",
        init="~/i",
        teacher="~/t",
    )
    paths = (config.model.pretrained, config.data.root, config.data.mix_root, config.out, config.init, config.teacher)
    assert paths == tuple(str(tmp_path / name) for name in "wdmoit")
