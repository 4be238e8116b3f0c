"""How people type several values and folders at home: every usual form means the same."""

from importlib import import_module

import pytest

from pixalign.benchmarking import BACKENDS
from pixalign.cli import build_parser, train
from pixalign.cli.benchmark import _BACKENDS
from pixalign.cli.explain import _pixel
from pixalign.cli.forms import at_home, numbers
from pixalign.cli.mode import mode_of
from pixalign.cli.models import parse_size


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


def parsed(command, *arguments):
    words = import_module(f"pixalign.cli.{command}").rewritten(arguments)
    return build_parser([command]).parse_args([command, *words])[command]


@pytest.mark.parametrize("form", [["512x1024"], ["512,1024"], ["512", "1024"], ["[512, 1024]"], ["512", "x", "1024"]])
def test_a_size_of_other_commands_is_read_in_every_usual_form(form):
    assert parse_size(parsed("models", "--size", *form).size) == (512, 1024)
    read = parsed("benchmark", "default", "default-fast", "--size", *form, "--size", "64x64")
    assert [parse_size(size) for size in read.size] == [(512, 1024), (64, 64)]
    assert read.models == ["default", "default-fast"]
    mode = mode_of(parsed("predict", "a.png", "--out", "o", "--output-size", *form))
    assert mode.output_size == (512, 1024)


@pytest.mark.parametrize("form", [["0.75,1,1.25"], ["0.75", "1", "1.25"], ["[0.75, 1, 1.25]"], ["0.75,", "1,", "1.25"]])
def test_scales_are_read_in_every_usual_form(form):
    for command in (["predict", "--out", "o", "--scales", *form, "a.png"], ["evaluate", "default", "--scales", *form]):
        assert mode_of(parsed(*command)).scales == (0.75, 1.0, 1.25)


@pytest.mark.parametrize("form", [["120,80"], ["120", "80"], ["(120,", "80)"], ["120x80"]])
def test_a_pixel_is_read_in_every_usual_form(form):
    read = parsed("explain", "--pixel", *form, "default", "a.png", "--out", "o")
    assert (_pixel(read.pixel), read.inputs) == ((120, 80), ["default", "a.png"])


def test_a_file_named_by_a_number_is_no_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").mkdir()
    read = parsed("predict", "--out", "o", "--scales", "0.5", "1", "2024")
    assert (mode_of(read).scales, read.images) == ((0.5, 1.0), ["2024"])


def test_back_ends_are_read_in_every_usual_form():
    for form in (["eager,bf16"], ["eager", "bf16"]):
        read = parsed("benchmark", "--backends", *form, "default")
        assert (read.backends.split(","), read.models) == (["eager", "bf16"], ["default"])
    assert tuple(BACKENDS) == _BACKENDS
