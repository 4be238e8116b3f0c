"""`pixalign train`: a resumed run goes on by its own configuration, but for what the command says."""

import pytest

from pixalign.cli import build_parser, main, train
from pixalign.training.config import DataConfig, TrainConfig, write_config


@pytest.fixture
def run(tmp_path):
    """The folder of a run that differs from the defaults in many keys."""
    config = TrainConfig(
        data=DataConfig(root="data", workers=0, val=["test"]), epochs=2, precision="fp32", compile=True,
        pictures_every=0, device="cpu", out=str(tmp_path / "run"),
    )  # fmt: skip
    config.model.options = {"channels": 16, "aligner": "flow"}
    write_config(config, tmp_path / "run/config.yaml")
    return tmp_path / "run"


def resumed(*arguments):
    given = ["--resume", *map(str, arguments)]
    return train.read_config(build_parser(["train"]).parse_args(["train", *train.rewritten(given)]).train)


def test_a_resumed_run_keeps_its_own_configuration(run):
    config = resumed("--out", run)
    assert (config.data.workers, config.precision, config.epochs, config.data.val) == (0, "fp32", 2, ["test"])


def test_what_stands_on_the_command_line_wins_when_it_equals_a_default(run):
    config = resumed(
        "--out", run, "--precision", "bf16", "--compile=false", "--pictures_every=20", "--device", "auto",
        "--data.workers", "2", "--data.val", "val", "--epochs", "3",
    )  # fmt: skip
    assert (config.precision, config.compile, config.pictures_every, config.device) == ("bf16", False, 20, "auto")
    assert (config.data.workers, config.data.val, config.epochs, config.data.root) == (2, ["val"], 3, "data")


def test_one_name_of_a_mapping_leaves_the_others(run):
    assert resumed("--out", run, "--model.options.channels", "32").model.options == {"channels": 32, "aligner": "flow"}


def test_a_file_wins_over_the_run_and_what_comes_later_over_the_file(run, tmp_path):
    (tmp_path / "c.yaml").write_text("epochs: 9\nprecision: bf16\ndata: {workers: 2}\n")
    config = resumed("--out", run, "--config", tmp_path / "c.yaml", "--data.workers", "1")
    assert (config.epochs, config.precision, config.data.workers, config.device) == (9, "bf16", 1, "cpu")


def test_a_run_folder_that_was_moved_is_resumed_where_it_is(run, tmp_path):
    moved = run.rename(tmp_path / "moved")
    assert resumed(f"--out={moved}").out == str(moved)


def test_options_are_not_guessed_from_their_beginning(run, capsys):
    assert main(["train", "--resum", "--out", str(run)]) == 2
    assert "--resum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data.colour", "0.3"], "data.colour is unknown: did you mean data.color?"),
        (["--loss.class-weights=enet"], "loss.class-weights is unknown: did you mean loss.class_weights?"),
        (["--epoch", "3"], "epoch is unknown: did you mean epochs?"),
        (["--banana", "3"], "unrecognized arguments: --banana 3"),
    ],
)
def test_a_key_that_is_not_there_is_answered_with_the_one_most_like_it(arguments, said, capsys):
    assert main(["train", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("text", "key"), [("epoch: 3", "epochs"), ("data: {colour: 0.3}", "data.color")])
def test_a_file_with_a_key_that_is_not_there_is_answered_too(text, key, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(text)
    assert main(["train", "--config", str(tmp_path / "c.yaml")]) == 2
    assert f"is unknown: did you mean {key}?" in capsys.readouterr().err
