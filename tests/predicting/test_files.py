"""Folders of images: repeatable, interruptible, and one broken file costs nothing else."""

import errno
import json
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixalign import InputError, Mode, Predictor, Result
from pixalign.data.images import find_images
from pixalign.predicting import predict_files
from pixalign.predicting.files import plan
from tiffs import write_bands

RNG = np.random.default_rng(0)


def write_images(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / name)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_images(tmp_path / "photos", ["a.png", "b.jpg", "sub/a.png"])
    return tmp_path / "photos"


@pytest.fixture
def predictor(model) -> Predictor:
    return Predictor(model, "cpu")


def run(predictor: Predictor, given: Path, out: Path, **options):
    return predict_files(predictor, plan(find_images([given]), out), out, **options)


def state(out: Path) -> dict[str, int]:
    return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def test_results_keep_the_folders_of_their_images(predictor, photos, tmp_path):
    summary = run(predictor, photos, tmp_path / "out")
    assert (summary.predicted, summary.skipped, summary.failed) == (3, 0, [])
    stems = ("a", "b", "sub/a")
    expected = {f"{stem}{suffix}" for stem in stems for suffix in (".png", "_overlay.jpg")} | {"pixalign.json"}
    assert set(state(tmp_path / "out")) == expected
    assert list(summary.areas) == sorted(summary.areas, key=lambda name: -summary.areas[name])
    assert sum(summary.areas.values()) == pytest.approx(1)
    with Image.open(tmp_path / "out" / "sub" / "a.png") as ids:
        assert (np.asarray(ids) == predictor(photos / "sub" / "a.png").ids).all()


def test_a_second_run_touches_nothing(predictor, photos, tmp_path):
    run(predictor, photos, tmp_path / "out")
    before = state(tmp_path / "out")
    summary = run(predictor, photos, tmp_path / "out")
    assert (summary.predicted, summary.skipped) == (0, 3)
    assert state(tmp_path / "out") == before


def test_what_is_missing_older_or_newly_asked_for_is_done_again(predictor, photos, tmp_path):
    out = tmp_path / "out"
    run(predictor, photos, out)
    (out / "a_overlay.jpg").unlink()
    assert run(predictor, photos, out).predicted == 1
    later = (out / "b.png").stat().st_mtime + 10
    os.utime(photos / "b.jpg", (later, later))
    assert run(predictor, photos, out).predicted == 1
    os.utime(photos / "b.jpg", (1, 1))
    assert run(predictor, photos, out, probabilities=True).predicted == 3
    assert run(predictor, photos, out, probabilities=True).predicted == 0
    assert run(predictor, photos, out, force=True).predicted == 3


def test_another_model_does_everything_again_and_says_so(predictor, make_model, photos, tmp_path, capsys):
    out = tmp_path / "out"
    run(predictor, photos, out, verbose=True)
    assert "changed" not in capsys.readouterr().out
    other = Predictor(make_model(seed=1), "cpu")
    assert run(other, photos, out, verbose=True).predicted == 3
    assert "the model or its options have changed" in capsys.readouterr().out
    assert run(other, photos, out).predicted == 0


def test_another_mode_does_everything_again_and_the_same_mode_nothing(model, photos, tmp_path):
    out = tmp_path / "out"
    for mode in (Mode(), Mode(flip=True), Mode(scales=(0.75, 1)), Mode(output_size=(80, 96))):
        predictor = Predictor(model, "cpu", mode=mode)
        assert run(predictor, photos, out).predicted == 3
        assert run(predictor, photos, out).predicted == 0


def test_large_images_are_cut_into_tiles_and_this_is_said_once(model, tmp_path, monkeypatch, capsys):
    write_images(tmp_path / "photos", ["a.png", "b.png", "c.png"])
    with Image.open(tmp_path / "photos" / "a.png") as image:
        image.resize((96, 80)).save(tmp_path / "photos" / "b.png")
    for module in ("inference", "files"):
        monkeypatch.setattr(f"pixalign.predicting.{module}.LARGE", 40 * 48 - 1)
    monkeypatch.setattr("pixalign.predicting.inference.AUTOMATIC_TILE", 64)
    summary = run(Predictor(model, "cpu"), tmp_path / "photos", tmp_path / "out", verbose=True)
    assert (summary.predicted, summary.failed) == (3, [])
    assert capsys.readouterr().out.count("predicted in tiles of") == 1
    tiled = Predictor(model, "cpu", mode=Mode(tile=64))(tmp_path / "photos" / "b.png")
    with Image.open(tmp_path / "out" / "b.png") as ids:
        assert (np.asarray(ids) == tiled.ids).all()
    run(Predictor(model, "cpu", mode=Mode(tile=0)), tmp_path / "photos", tmp_path / "whole", verbose=True)
    assert "tiles" not in capsys.readouterr().out


def test_memory_is_given_back_before_the_first_large_image(model, tmp_path, monkeypatch):
    write_images(tmp_path / "photos", ["a.png", "b.png"])
    with Image.open(tmp_path / "photos" / "a.png") as image:
        image.resize((96, 80)).save(tmp_path / "photos" / "b.png")
    happened = []
    segment = Predictor.__call__

    @contextmanager
    def keeping():
        happened.append("kept")
        yield
        happened.append("given back")

    def noted(self, image, probabilities=False):
        happened.append(image.shape[:2])
        return segment(self, image, probabilities)

    monkeypatch.setattr("pixalign.predicting.files.reused_memory", keeping)
    monkeypatch.setattr("pixalign.predicting.files.LARGE", 40 * 48)
    monkeypatch.setattr(Predictor, "__call__", noted)
    assert run(Predictor(model, "cpu"), tmp_path / "photos", tmp_path / "out").predicted == 2
    assert happened == ["kept", (40, 48), "given back", (80, 96)]


def test_results_of_an_older_model_never_pass_for_new_ones_after_an_interrupt(
    predictor, make_model, photos, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    run(predictor, photos, out)
    other = Predictor(make_model(seed=1), "cpu")
    calls = []
    segment = Predictor.__call__

    def interrupted(self, image, probabilities=False):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return segment(self, image, probabilities)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(other, photos, out)
    assert not [name for name in state(out) if Path(name).name.startswith(".")]
    summary = run(other, photos, out)
    assert (summary.predicted, summary.skipped) == (2, 1)


def test_one_broken_file_is_named_and_costs_nothing_else(predictor, photos, tmp_path):
    (photos / "a2.jpg").write_bytes((photos / "b.jpg").read_bytes()[:300])
    write_images(photos, ["c.png"])
    summary = run(predictor, photos, tmp_path / "out")
    assert summary.predicted == 4
    assert len(summary.failed) == 1
    assert summary.failed[0].startswith(str(photos / "a2.jpg"))
    assert not (tmp_path / "out" / "a2.png").exists()
    again = run(predictor, photos, tmp_path / "out")
    assert (again.predicted, again.skipped, len(again.failed)) == (0, 4, 1)


def test_images_above_max_pixels_and_below_the_smallest_size_are_failures(predictor, photos, tmp_path):
    assert len(run(predictor, photos, tmp_path / "out", max_pixels=100).failed) == 3
    Image.new("RGB", (8, 8)).save(photos / "tiny.png")
    summary = run(predictor, photos, tmp_path / "out")
    assert summary.failed == [f"{photos / 'tiny.png'}: 8 x 8 pixels are too few: 32 x 32 are needed"]


def test_a_full_disk_stops_the_run_with_whole_files_only(predictor, photos, tmp_path, monkeypatch):
    save = Result.save
    saved = []

    def full(self, folder, stem):
        if saved:
            raise InputError("disk full") from OSError(errno.ENOSPC, "No space left on device")
        saved.append(stem)
        return save(self, folder, stem)

    monkeypatch.setattr(Result, "save", full)
    with pytest.raises(InputError, match="disk full"):
        run(predictor, photos, tmp_path / "out")
    assert set(state(tmp_path / "out")) == {"pixalign.json", "a.png", "a_overlay.jpg"}


def test_images_that_would_be_written_to_one_place_are_named_before_anything_runs(photos, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"photos/a.png and .*photos/sub/a.png would both be written to .*out/a.png"):
        plan(find_images([photos / "a.png", photos / "sub" / "a.png"]), out)
    write_images(photos, ["b.png"])
    with pytest.raises(InputError, match=r"b.jpg and .*b.png|b.png and .*b.jpg"):
        plan(find_images([photos]), out)
    assert not out.exists()


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_pages_and_bands_that_are_not_predicted_are_counted(predictor, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    pages = [Image.new("RGB", (40, 32), color) for color in ("red", "blue")]
    pages[0].save(photos / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(photos / "b.png")
    bands = np.random.default_rng(0).integers(0, 256, (4, 32, 40), dtype=np.uint8)
    write_bands(photos / "c.tif", bands)
    assert run(predictor, photos, tmp_path / "out").left_out == {
        "of several pages or frames, of which the first was taken": 1,
        "of 4 bands, of which the model takes 3": 1,
    }


def test_less_usual_kinds_beside_an_image_of_their_name_keep_their_suffix(photos, tmp_path):
    for name in ("a.jfif", "c.jfif"):
        (photos / name).touch()
    targets = plan(find_images([photos]), tmp_path / "out")
    assert targets[photos / "a.png"] == tmp_path / "out" / "a"
    assert targets[photos / "a.jfif"] == tmp_path / "out" / "a.jfif"
    assert targets[photos / "c.jfif"] == tmp_path / "out" / "c"


def test_no_result_overwrites_an_image_and_none_is_taken_for_one(predictor, photos, tmp_path):
    with pytest.raises(InputError, match=r"a.png: its result would overwrite it"):
        plan(find_images([photos]), photos)
    inside = photos / "out"
    run(predictor, photos, inside)
    assert run(predictor, photos, inside).skipped == 3
    with pytest.raises(InputError, match="lie in the folder for the results"):
        plan(find_images([inside / "sub"]), inside)
    with pytest.raises(InputError, match="is a file"):
        plan(find_images([photos]), photos / "a.png")


def test_the_record_names_the_model_and_a_damaged_one_is_replaced(predictor, photos, tmp_path):
    out = tmp_path / "out"
    run(predictor, photos, out)
    record = json.loads((out / "pixalign.json").read_text())
    assert record["model"].startswith("sha256:")
    plain = {"tile": None, "overlap": 1 / 3, "scales": [1], "flip": False, "output_size": None, "refine": None}
    assert record["options"] == {"precision": "fp32", "mode": plain}
    (out / "pixalign.json").write_text("{")
    assert run(predictor, photos, out).predicted == 3
    assert json.loads((out / "pixalign.json").read_text()) == record


def test_many_images_print_a_line_per_tenth(predictor, tmp_path, capsys):
    write_images(tmp_path / "photos", [f"{i}.png" for i in range(30)])
    run(predictor, tmp_path / "photos", tmp_path / "out", verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("30/30 images, ")
