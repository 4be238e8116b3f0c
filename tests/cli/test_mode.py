"""The arguments of modes."""

import pytest
from jsonargparse import ArgumentParser

from pixalign import InputError, Mode
from pixalign.cli.mode import add_mode_arguments, mode_of


def parse(*arguments: str) -> Mode:
    parser = ArgumentParser(exit_on_error=False)
    add_mode_arguments(parser)
    return mode_of(parser.parse_args(list(arguments)))


def test_nothing_given_is_the_plain_mode():
    assert parse() == Mode()


def test_each_argument_reaches_the_mode():
    given = ["--tile", "512", "--overlap", "0.5", "--scales", "0.5,2", "--flip", "--output-size", "720x960"]
    assert parse(*given) == Mode(512, 0.5, (0.5, 2), True, (720, 960))
    assert parse("--tile", "0", "--overlap", "0") == Mode(0, 0)
    assert parse("--refine", "0.1") == Mode(refine=0.1)


def test_tta_is_three_scales_and_flip_and_other_scales_win():
    assert parse("--tta") == Mode(scales=(0.75, 1, 1.25), flip=True)
    assert parse("--tta", "--scales", "1,2") == Mode(scales=(1, 2), flip=True)


@pytest.mark.parametrize("size", ["720", "720x", "axb", "1x2x3", "0x5"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(InputError, match="output"):
        parse("--output-size", size)
