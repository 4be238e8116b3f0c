"""`pixalign data check`, from the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from pixalign.cli import main


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_a_clean_folder_is_ready_and_leaves_its_report(folder_data, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["data", "check", str(folder_data), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "Ready to train" in shown
    assert "class_2" in shown
    assert str(out / "index.html") in shown
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "report.json", "sheet.jpg"]
    assert json.loads((out / "report.json").read_text())["errors"] == 0


def test_errors_are_listed_and_the_status_is_2(folder_data, tmp_path, capsys):
    mask = folder_data / "masks/img3.png"
    pixels = np.asarray(Image.open(mask)).copy()
    pixels[0, :7] = 77
    Image.fromarray(pixels).save(mask)
    (folder_data / "images/img1.png").write_bytes(b"")
    (folder_data / "classes.yaml").write_text("classes: [road, car, sky]")
    assert main(["data", "check", str(folder_data), "--out", str(tmp_path / "report")]) == 2
    shown = capsys.readouterr()
    assert "value 77 in 1 file, 7 pixels, first masks/img3.png" in shown.out
    assert "images/img1.png: the file is empty" in shown.out
    assert "ignore: [77]" in shown.out
    assert "2 errors" in shown.err
    assert shown.err.count("\n") == 1


def test_warnings_alone_leave_the_status_0(folder_data, tmp_path, capsys):
    (folder_data / "masks/other.png").write_bytes((folder_data / "masks/img0.png").read_bytes())
    assert main(["data", "check", str(folder_data), "--out", str(tmp_path / "report")]) == 0
    assert "Ready to train, with 1 warning" in capsys.readouterr().out


def test_a_mask_template_is_taken(folder_data, tmp_path):
    for path in (folder_data / "masks").iterdir():
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    arguments = ["data", "check", str(folder_data), "--out", str(tmp_path / "report")]
    assert main(arguments) == 2
    assert main([*arguments, "--data.mask_template", "masks/{stem}_mask.png"]) == 0


def test_names_of_any_length_and_script_keep_the_text_within_80_columns(folder_data, tmp_path, capsys):
    name = "späte [bold]Straße[red] \n 街道 " + "x" * 150
    (folder_data / "images/img0.png").rename(folder_data / f"images/{name}.png")
    (folder_data / "classes.yaml").write_text(f"classes: [road, car, {'sky' * 40}]")
    assert main(["data", "check", str(folder_data), "--out", str(tmp_path / "report")]) == 2
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("page: ")]
    assert all(len(line) <= 80 for line in lines)
    assert any("[bold]" in line for line in lines)


def test_an_interrupted_check_leaves_nothing(folder_data, tmp_path, monkeypatch, capsys):
    import pixalign.checking.page

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(pixalign.checking.page, "_overlay", interrupt)
    assert main(["data", "check", str(folder_data), "--out", str(tmp_path / "report")]) == 130
    assert not (tmp_path / "report").exists()


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert "no such folder" in error
    assert error.count("\n") == 1


def test_a_public_data_set_is_checked_by_its_own_table(tmp_path, capsys):
    for split in ("train", "val"):
        for i in range(3):
            name, image = f"aachen/aachen_00000{i}_000019", np.zeros((32, 48, 3), np.uint8)
            image[i:, i:], ids = 200, np.resize(np.array([7, 26, 0], np.uint8), (32, 48))
            ids[0, :5] = 40 * (split == "val")
            for path, pixels in (
                (f"leftImg8bit/{split}/{name}_leftImg8bit.png", image),
                (f"gtFine/{split}/{name}_gtFine_labelIds.png", ids),
            ):
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / path)
    out = ["--out", str(tmp_path / "report")]
    assert main(["data", "check", str(tmp_path), "--data.name", "cityscapes", *out]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "value 40 in 3 files, 15 pixels" in shown
    assert "get the file again" in shown
    assert "classes.yaml" not in shown
    assert "split test" not in shown
