"""What belongs together stays on one side of a division: groups and sequences by names, and by a rule of one's own."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import write_pair
from pixalign.checking import check_data
from pixalign.cli import main
from pixalign.data import open_data
from pixalign.data.folder import describe
from pixalign.data.groups import held_out
from pixalign.errors import InputError


def held(names, rule=""):
    return {names[i] for i in held_out(names, rule)[0]}


GROUPED = [
    # (names of group g, image i; the group in the message)
    ("Image_{g:02}{side}", "Image_00*"),
    ("im{g:04}_{word}", "im0000*"),
    ("patient{g}/eye_{side}", "patient0/eye*"),
    ("0{g}TP_00{i}690", "00TP*"),
    ("seq{g}_frame{i:04}", "seq0*"),
    ("area{g}_r{i}_c1", "area0*"),
    ("area{g}_{i}_512", "area0*"),
    ("area{g}_x{i}_y7", "area0*"),
    ("area{g}_r{i}c7", "area0*"),
    ("slide{g}_{i}", "slide0*"),
    ("slide{g} ({i})", "slide0*"),
    ("patient{g}_slide{i}_7", "patient0*"),
    ("case_{g}/slice-{i:03}", "case_0/slice*"),
    ("scene{g}_{i:06}_leftImg8bit", "scene0*"),
    ("photo{g}_jpg.rf.{g}{i}9ab3c2e", "photo0*"),
    ("IMG_2023051{g}_12030{i}", "IMG_20230510*"),
]


@pytest.mark.parametrize(("form", "example"), GROUPED)
def test_groups_are_told_by_usual_names(form, example):
    named = {form.format(g=g, i=i, side="LR"[i], word=("left", "right")[i]): g for g in range(9) for i in range(2)}
    chosen, said = held_out([*named])
    of = [{named[name] for k, name in enumerate(named) if (k in chosen) == side} for side in (True, False)]
    assert not of[0] & of[1]
    assert said == f"val: 4 of 18 images, 2 of 9 groups of names such as {example}"


@pytest.mark.parametrize(
    "names",
    [
        [f"img{i}" for i in range(30)],
        [f"{i:04}" for i in range(30)],
        [f"ISIC_{i:07}" for i in range(30)],
        [f"{kind}_{i:03}" for kind in ("cat", "dog", "cow", "hen", "owl", "fox") for i in range(5)],
        [f"{kind}/{i:03}" for kind in ("cat", "dog", "cow", "hen", "owl", "fox") for i in range(5)],
        [hashlib.sha256(bytes([i])).hexdigest()[:12] for i in range(200)],
        [f"{i:02}_{kind}" for i in range(15) for kind in ("healthy", "sick")],
        ["a", "b"],
    ],
)
def test_other_names_are_divided_one_by_one_as_by_their_hash(names):
    by_hash = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    assert held(names) == held(names, "none") == set(by_hash[: max(1, round(0.2 * len(names)))])
    assert held_out(names)[1] == ""


def test_of_a_video_the_last_stretch_is_held_out():
    names = [f"seq_{i}" for i in range(50)]
    assert held(names) == {f"seq_{i}" for i in range(40, 50)}  # by number: seq_9 is not among them
    assert held_out(names)[1] == "val: 10 of 50 images, the last fifth of seq_*"


def test_of_a_few_videos_it_is_the_last_stretch_of_each():
    names = [f"{video}_{30 * i:06}" for video in ("0001TP", "0006R0", "Seq05VD") for i in range(20)]
    assert held(names) == {name for name in names if int(name[-6:]) >= 480}
    assert held_out(names)[1] == "val: 12 of 60 images, the last fifth of 0001TP_*, 0006R0_*, Seq05VD_*"


def test_copies_of_a_frame_are_not_parted():
    names = [f"frame{i}_png.rf.{c}ab{c}" for i in range(7) for c in range(3)]  # the last fifth is a frame and a third
    assert held(names) == {name for name in names if name[5] in "56"}


# Groups of several sizes whose names end in fields, mixed with names of any kind.
sizes = st.lists(st.integers(1, 9), min_size=5, max_size=30)


@given(sizes, st.sampled_from([form for form, _ in GROUPED if "{side}" not in form and "{word}" not in form]))
def test_no_group_is_on_both_sides(counts, form):
    named = {form.format(g=g, i=i): g for g, count in enumerate(counts) for i in range(count)}
    names = [*named]
    chosen, said = held_out(names)
    assert 0 < len(chosen) < len(names)
    assert held_out(names) == (chosen, said)
    if "groups" in said:
        sides = [{named[names[k]] for k in part} for part in (chosen, {*range(len(names))} - chosen)]
        assert not sides[0] & sides[1]
        assert abs(len(chosen) - 0.2 * len(names)) <= max(counts)
    else:
        assert sum(count > 1 for count in counts) <= len(counts) / 2 or max(counts) > len(names) / 2


@given(
    st.lists(st.text("ab01_/-. LR", min_size=1, max_size=9), min_size=2, max_size=40),
    st.sampled_from(["", "none", "(.)", "()", "(a)|b|.", r"(\d*)"]),
)
def test_any_names_give_two_sides(names, rule):
    chosen, _ = held_out(names, rule)
    assert 0 < len(chosen) < len(names)
    assert chosen <= {*range(len(names))}


def test_a_rule_of_ones_own_names_the_groups():
    names = [f"{field}-{day}-{i}" for field in ("north", "south", "east") for day in "abc" for i in range(3)]
    chosen = held(names, r"^(\w+-\w)")
    assert len(chosen) == 6
    assert len({name[:-2] for name in chosen}) == 2
    assert len({name.split("-")[0] for name in held(names, r"^(\w+)")}) == 1
    assert held_out(names, r"^(\w+)")[1] == r"val: 9 of 27 images, 1 of 3 groups by data.groups ^(\w+)"


def test_a_rule_of_one_group_holds_out_the_last_stretch():
    names = [f"{i}" for i in range(20)]
    assert held(names, "()") == {"16", "17", "18", "19"}
    assert held_out(names, "()")[1] == "val: 4 of 20 images, the last in the order of their names"


def test_an_image_in_which_the_rule_is_not_found_is_one_of_its_own():
    names = [*(f"p{i // 4}_{i}" for i in range(16)), *(f"other{i}" for i in range(4)), "p1"]
    assert held_out(names, r"^(p\d)_")[1].endswith("of 9 groups by data.groups ^(p\\d)_")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("(patient", r"data.groups is '\(patient': no regular expression \(missing \)"),
        ("patient", "data.groups is 'patient': no part of it in parentheses names the group: write one such as"),
        ("(patient)", r"data.groups is '\(patient\)': found in none of the 10 names, such as 'img0'"),
    ],
)
def test_a_rule_that_cannot_be_used_is_one_line(folder_data, rule, said, tmp_path, capsys):
    with pytest.raises(InputError, match=said) as error:
        open_data("folder", folder_data, "train", groups=rule)
    assert "\n" not in str(error.value)
    run = ["--data.root", str(folder_data), "--data.groups", rule, "--out", str(tmp_path / "run")]
    assert main(["train", *run]) == 2
    assert str(error.value) in capsys.readouterr().err


def test_groups_of_divided_data_are_refused(tmp_path):
    for split in ("train", "val"):
        for i in range(3):
            write_pair(tmp_path / f"images/{split}/{i}.png", tmp_path / f"masks/{split}/{i}.png", i)
    with pytest.raises(InputError, match=r"data.groups is '\(a\)', and .* is divided already: leave it out"):
        open_data("folder", tmp_path, "train", groups="(a)")


def test_data_without_names_takes_no_groups():
    with pytest.raises(InputError, match=r"data.groups is '\(a\)', and the data set streets takes none"):
        open_data("streets", "", "train", groups="(a)")


@pytest.fixture
def eyes(tmp_path):
    """Ten pairs of five patients, not divided."""
    for i in range(10):
        name = f"eye_{i // 2:02}{'LR'[i % 2]}.png"
        write_pair(tmp_path / "eyes" / "images" / name, tmp_path / "eyes" / "masks" / name, i)
    return tmp_path / "eyes"


def test_a_folder_is_divided_by_patients_and_says_so(eyes):
    stems = {split: {path.stem[:-1] for path in open_data("folder", eyes, split).images} for split in ("train", "val")}
    assert len(stems["val"]) == 1
    assert not stems["train"] & stems["val"]
    said = "not divided (val: 2 of 10 images, 1 of 5 groups of names such as eye_00*), classes from the masks"
    assert describe(eyes) == check_data("folder", eyes).layout == f"images/ and masks/: {said}"
    assert describe(eyes, groups="none") == "images/ and masks/: not divided, classes from the masks"


def test_the_rule_is_an_option_of_the_check(eyes, tmp_path, capsys):
    arguments = ["data", "check", str(eyes), "--out", str(tmp_path / "check"), "--data.groups"]
    assert main([*arguments, "([LR])$"]) == 0
    assert "val: 5 of 10 images, 1 of 2 groups by data.groups ([LR])$" in capsys.readouterr().out
