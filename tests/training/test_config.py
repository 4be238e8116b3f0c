"""The configuration: what is written reproduces, what is wrong is named."""

from dataclasses import asdict

import pytest
from jsonargparse import ArgumentParser

from pixalign.cli import train as command
from pixalign.errors import InputError
from pixalign.training.config import DataConfig, OptimConfig, TrainConfig, write_config


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "epochs is 0: it must be at least 1"),
        (["--data.crop", "[16,64]"], r"data.crop is \(16, 64\): it must be 32 pixels or more"),
        (["--data.scale", "[2,0.5]"], "data.scale"),
        (["--ema", "1"], "ema is 1.0: it must be from 0 to below 1"),
        (["--optim.lr", "0"], "optim.lr is 0.0: it must be above 0"),
        (["--loss.edge", "-1"], "loss.edge is -1.0: it must be 0 or more"),
        (["--loss.distill", "-1", "--teacher", "default"], "loss.distill is -1.0: it must be 0 or more"),
        (["--loss.distill", "1"], "teacher is : it must be set together with loss.distill"),
        (["--teacher", "default"], "teacher is default: it must be set together with loss.distill"),
        (["--loss.edge_guided", "-1"], "loss.edge_guided is -1.0: it must be 0 or more"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_range(arguments, message):
    with pytest.raises(InputError, match=message):
        parse(*arguments).check()
