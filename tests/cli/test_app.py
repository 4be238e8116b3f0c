"""`pixalign app`: what is wrong with its arguments is one line, before anything is served."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from pixalign.cli import main
from pixalign.cli.app import parse_bytes
from pixalign.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"), [("20MB", 20_000_000), ("500kB", 500_000), ("1.5 gb", 1_500_000_000), ("77", 77)]
)
def test_sizes_are_read_with_their_unit(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "0", "inf", "nan", "20XB"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(InputError, match=r"--max-upload .* cannot be read: give a size such as"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--max-pixels", "10"], "--max-pixels is 10"),
        (["--timeout", "0"], "--timeout is 0"),
        (["--max-upload", "much"], "--max-upload 'much' cannot be read"),
    ],
)
def test_an_argument_out_of_range_is_one_line(arguments, problem, capsys):
    assert main(["app", *arguments]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


def test_an_unknown_model_is_one_line(capsys):
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
    assert main(["app", "--models", "nothing_such"]) == 2
    error = capsys.readouterr().err
    assert "model 'nothing_such': no such folder" in error
    assert error.count("\n") == 1


def test_a_port_in_use_or_out_of_range_is_one_line(capsys):
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["app", "--port", str(port)]) == 2
    assert f"127.0.0.1:{port}: cannot be listened at" in capsys.readouterr().err
    assert main(["app", "--port", "70000"]) == 2
    assert "--port is 70000: give one from 1 to 65535" in capsys.readouterr().err


def test_without_gradio_the_extra_is_named():
    code = "import sys; sys.modules['gradio'] = None; from pixalign.cli import main; sys.exit(main(['app']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("pip install 'pixalign[app]'\n")
    assert done.stderr.count("\n") == 1


def test_the_server_says_where_it_is_and_ends_cleanly_however_often_it_is_told_to(tmp_path):
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "pixalign", "app", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    assert f"default at http://127.0.0.1:{port}/" in line
    server.send_signal(signal.SIGTERM)
    server.send_signal(signal.SIGINT)
    out, error = server.communicate(timeout=60)
    assert server.returncode == 0, error
    assert "ended" in out
    assert error == ""
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("pixalign-app")] == []
