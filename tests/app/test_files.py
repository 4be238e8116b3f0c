"""The folder of uploads and downloads."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixalign.errors import InputError

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
from pixalign.app.files import new_file, sweep, uploaded


@pytest.mark.parametrize("payload", [None, "", "/etc/passwd", {}, {"path": None}, {"url": "http://x/y.png"}, []])
def test_what_is_no_upload_is_a_sentence(payload, tmp_path):
    with pytest.raises(InputError, match="upload"):
        uploaded(payload, tmp_path)


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "/", "link/passwd"])
def test_nothing_outside_the_folder_is_read(path, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (inside / "link").symlink_to("/etc")
    with pytest.raises(InputError, match="no uploaded file"):
        uploaded({"path": str(inside / path)}, inside)


@given(st.text(max_size=40))
def test_no_text_leads_out_of_the_folder(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    with pytest.raises((InputError, ValueError, OSError)):
        uploaded({"path": f"{folder}/../{text}"}, folder / "none")


def test_an_upload_that_was_swept_is_told(tmp_path):
    with pytest.raises(InputError, match=r"photo.png: is no longer on the server.*upload again"):
        uploaded({"path": str(tmp_path / "photo.png")}, tmp_path)


def test_sweeping_deletes_what_is_old_and_nothing_else(tmp_path):
    file = new_file(tmp_path, "a.png")
    file.write_bytes(b"x")
    assert sweep(tmp_path, age=3600, most=1000) == set()
    assert file.is_file()
    assert sweep(tmp_path, age=-1, most=1000) == {str(file)}
    assert not file.parent.exists()
    assert tmp_path.is_dir()


def test_sweeping_keeps_the_newest_within_the_room_there_is(tmp_path):
    files = []
    for index in range(4):
        files.append(new_file(tmp_path, f"{index}.png"))
        files[-1].write_bytes(b"x" * 100)
        os.chmod(files[-1], 0o600)  # the time of the change is what counts
        while index and files[-1].stat().st_ctime_ns == files[-2].stat().st_ctime_ns:
            os.chmod(files[-1], 0o600)
    assert sweep(tmp_path, age=3600, most=250) == {str(path) for path in files[:2]}
    assert [path.is_file() for path in files] == [False, False, True, True]
