"""The command line: errors are one line, status says what happened."""

import pytest

from pixalign.cli import COMMANDS, main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data.root", "nowhere"], "nowhere: no such folder: data.root must hold images/ and masks/"),
        (["train", "--data.name", "voc", "--data.root", "x"], "data.name 'voc' is unknown"),
        (["train", "--epoch", "3", "--bogus"], "pixalign COMMAND --help"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["encoders", "nothing*such"], "no encoder matches 'nothing*such'"),
        (["evaluate", "default", "--data.root", "x"], "x: no such folder"),
        (["tarin"], "tarin"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_status_2(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("pixalign: error: ")
    assert error.count("\n") == 1


def test_encoders_lists_names_by_pattern(capsys):
    assert main(["encoders", "resnet1*"]) == 0
    assert "resnet18" in capsys.readouterr().out.split()


def test_models_lists_networks_and_aligners(capsys):
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("sfnet_lite", "aligned_fpn", "bilinear", "flow"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "usage: pixalign" in capsys.readouterr().out
