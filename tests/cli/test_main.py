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
        (["models", "--size", "512"], "--size '512' cannot be read: give HEIGHTxWIDTH in pixels"),
        (["models", "--size", "31x512"], "from 32x32 up, as in 512x1024"),
        (["models", "--encoder", "resnet81"], "encoder 'resnet81' is unknown"),
        (["evaluate", "default", "--data.root", "x"], "x: no such folder"),
        (["predict", "a.png"], "the following arguments are required: out ("),
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


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "usage: pixalign" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "a.png", "--out", "o", "--tile", "x"], "--tile is x: it must be a whole number"),
        (["predict", "a.png", "--out", "o", "--overlap", "nan"], "--overlap is nan: it must be a number"),
        (["predict", "a.png", "--out", "o", "--max-pixels", "-5"], "--max-pixels is -5: it must be at least 1"),
        (["data", "check", "d", "--data.channels", "0"], "--data.channels is 0: it must be at least 1"),
        (["compare", "--config", "c.yaml", "--jobs", "0"], "--jobs is 0: it must be at least 1"),
        (["benchmark", "default", "--rounds", "1.5"], "--rounds is 1.5: it must be a whole number"),
        (["app", "--timeout", "inf"], "--timeout is inf: it must be a number"),
    ],
)
def test_an_option_that_is_no_number_or_out_of_range_is_named(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
