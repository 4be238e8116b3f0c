"""Drawn streets as a data set: splits that share no street."""

import pickle

import pytest

from pixalign.data.sets.camvid import CLASSES, COLORS
from pixalign.data.sets.streets import SPLITS, Streets, draw_scene
from pixalign.errors import InputError


def test_splits_have_their_sizes_and_share_no_street():
    splits = [Streets(split) for split in SPLITS]
    assert [len(split) for split in splits] == [10_000, 200, 200]
    seeds = [{split.seed(i) for i in range(len(split))} for split in splits]
    assert sum(map(len, seeds)) == len(set().union(*seeds))


def test_a_split_is_data_like_any_other():
    data = Streets("val", 3, (60, 80))
    assert (data.name, data.classes, data.colors) == ("streets/val", CLASSES, COLORS)
    image, mask = data[2]
    assert (image.shape, mask.shape) == ((60, 80, 3), (60, 80))
    assert data.where(2) == "street 7"
    drawn = draw_scene(7, (60, 80))
    assert (drawn[0] == image).all()
    assert (drawn[1] == mask).all()
    with pytest.raises(IndexError):
        data[3]


def test_a_split_survives_pickling():
    data = Streets("test", 5, (48, 64))
    again = pickle.loads(pickle.dumps(data))
    assert again.fingerprint() == data.fingerprint()
    assert (again[4][0] == data[4][0]).all()


def test_the_fingerprint_changes_with_split_count_and_size():
    splits = (Streets(), Streets("val"), Streets(count=9), Streets(size=(48, 64)))
    assert len({split.fingerprint() for split in splits}) == len(splits)
    assert Streets().fingerprint() == Streets().fingerprint()
    assert len(Streets().fingerprint()) == 16
    int(Streets().fingerprint(), 16)


def test_an_unknown_split_or_an_empty_one_is_one_line():
    with pytest.raises(InputError, match="data split 'dev' is unknown to streets: choose one of train, val, test"):
        Streets("dev")
    with pytest.raises(InputError, match="at least 1"):
        Streets(count=0)
