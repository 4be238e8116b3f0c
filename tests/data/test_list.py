"""What `pixalign data list` says agrees with what the loaders do."""

import pytest

from pixalign.cli import main
from pixalign.data import DATASETS, open_data
from pixalign.data.catalog import CATALOG
from pixalign.errors import InputError


def test_every_data_set_that_can_be_opened_is_listed():
    assert list(CATALOG) == list(DATASETS)


@pytest.mark.parametrize("name", [name for name in CATALOG if name != "hub"])
def test_the_listed_splits_are_those_that_the_loader_takes(name, tmp_path):
    with pytest.raises(InputError, match="choose one of " + ", ".join(CATALOG[name].splits) + "$"):
        open_data(name, tmp_path, "no such split")


@pytest.mark.parametrize("name", CATALOG)
def test_classes_have_names_and_colors_of_their_own(name):
    entry = CATALOG[name]
    assert len(entry.classes) == len(set(entry.classes)) == len(entry.colors)
    assert all(len(color) == 3 and all(0 <= part <= 255 for part in color) for color in entry.colors)


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_list_names_every_set_whole_at_any_width(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    for name, entry in CATALOG.items():
        assert f" {name} " in shown
        assert entry.terms in shown
        assert entry.folders in shown
    assert "…" not in shown


@pytest.mark.parametrize("name", ["cityscapes", "ade20k"])
def test_the_classes_of_one_are_listed_with_their_ids(name, capsys):
    assert main(["data", "list", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = len(CATALOG[name].classes)
    assert [line.split()[0] for line in lines[-count:]] == [str(i) for i in range(count)]
    assert all(line.endswith(label) for line, label in zip(lines[-count:], CATALOG[name].classes))


def test_an_unknown_name_and_a_missing_folder_are_one_line(capsys):
    assert main(["data", "list", "camvd"]) == 2
    assert main(["data", "check"]) == 2
    unknown, missing = capsys.readouterr().err.splitlines()
    assert "data set 'camvd' is unknown: choose one of folder" in unknown
    assert "pixalign data check DIR" in missing
