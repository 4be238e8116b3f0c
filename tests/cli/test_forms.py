"""How people type several values and folders at home: every usual form means the same."""

import pytest

from pixalign.cli import build_parser, train
from pixalign.cli.forms import at_home, numbers


def read(*arguments):
    return train.read_config(build_parser(["train"]).parse_args(["train", *train.rewritten(arguments)]).train)


@pytest.mark.parametrize(
    "form",
    [["512,256"], ["512", "256"], ["512x256"], ["512 x 256"], ["512×256"], ["(512,", "256)"], ["[512, 256]"],
     ["[512,", "256]"]],
    ids=" ".join,
)  # fmt: skip
def test_a_size_is_read_in_every_usual_form(form):
    assert read("--data.crop", *form, "--epochs", "3").data.crop == (512, 256)
    assert read("--epochs", "3", f"--data.crop={form[0]}", *form[1:]).data.crop == (512, 256)


def test_a_range_is_read_in_every_usual_form():
    for form in (["0.5,2"], ["0.5", "2"], ["[0.5, 2]"], ["(5e-1,2.0)"]):
        assert read("--data.scale", *form).data.scale == (0.5, 2.0)


def test_a_list_is_read_in_every_usual_form():
    for form in (["val,test"], ["val", "test"], ["[val,test]"], ["[val,", "test]"], ['["val", "test"]'], ["val, test"]):
        assert read("--data.val", *form).data.val == ["val", "test"]
    assert read("--data.val", "val").data.val == ["val"]
    assert read("--data.val=0.5").data.val == ["0.5"]
    assert read("--data.val+", "test").data.val == ["val", "test"]
    assert read("--trackers", "tensorboard", "--epochs", "2").trackers == ["tensorboard"]


def test_a_mapping_is_read_in_every_usual_form():
    expected = {"channels": 64, "aligner": "flow"}
    for form in (["channels=64", "aligner=flow"], ["channels=64,aligner=flow"], ["{channels: 64, aligner: flow}"],
                 ["{channels:", "64,", "aligner:", "flow}"], ['{"channels": 64, "aligner": "flow"}']):  # fmt: skip
        assert read("--model.options", *form).model.options == expected
    assert read("--model.options.channels", "64", "--model.options.aligner=flow").model.options == expected
    assert read("--model.options", "sizes=[1,2]").model.options == {"sizes": [1, 2]}
    assert read("--optim.lr_parts", "encoder=0.1").optim.lr_parts == {"encoder": 0.1}


@pytest.mark.parametrize("text", ["720x960", "720X960", "720,960", "720 960", "[720, 960]", "(720,960)", "720 × 960"])
def test_two_numbers_are_found_whatever_stands_between(text):
    assert numbers(text) == ["720", "960"]


def test_the_home_folder_is_written_out_wherever_a_path_begins(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert at_home(["train", "--out=~/r", "--data.root", "~/d", "--x", "a~b", "~"]) == [
        "train", "--out=/home/me/r", "--data.root", "/home/me/d", "--x", "a~b", "/home/me",
    ]  # fmt: skip
