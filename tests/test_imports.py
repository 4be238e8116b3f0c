"""The package stays quick to import, and its rooms import downward only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pixalign

SOURCE = Path(pixalign.__file__).parent

# Rooms from the bottom up; a room imports from lower rows, or from itself.
ROWS = [
    {"errors", "files", "limits", "memory", "pages", "palette", "progress", "sampling", "sampling_triton", "text"},
    {"blocks", "encoders", "aligners", "streets"},
    {"models", "losses", "data", "metrics", "weights"},
    {"fusing", "checking"},
    {"runtime"},
    {"evaluating", "explaining", "exporting", "predicting", "training"},
    {"benchmarking"},
    {"comparing"},
    {"app"},
    {"cli"},
    {"__main__"},
]
# Within a row these directions are meant: aligners and encoders are built of blocks; weights rebuild models; class
# weights are taken back from a network; training measures with evaluating and draws overlays as predicting does.
WITHIN_A_ROW = {
    ("files", "errors"),
    ("files", "text"),
    ("pages", "text"),
    ("aligners", "blocks"),
    ("encoders", "blocks"),
    ("weights", "models"),
    ("losses", "models"),
    ("training", "evaluating"),
    ("evaluating", "predicting"),
    ("explaining", "predicting"),
    ("training", "predicting"),
}


def test_every_public_name_can_be_had():
    for name in pixalign.__all__:
        assert getattr(pixalign, name) is not None
    assert set(pixalign.__all__) == {"__version__", *pixalign._PUBLIC}


def test_public_names_stay_what_they_are_when_rooms_are_imported():
    import pixalign.cli.evaluate
    import pixalign.cli.train
    import pixalign.evaluating
    import pixalign.training.loop

    for name in pixalign.__all__[1:]:
        assert name == "__version__" or callable(getattr(pixalign, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = pixalign.nothing_such


HEAVY = ("torch", "timm", "torchvision", "accelerate", "gradio")


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import pixalign", HEAVY),
        ("from pixalign.cli import main; main(['--help'])", HEAVY),
        ("import pixalign.predicting", HEAVY[1:]),
        ("import pixalign.models.network", HEAVY[1:]),
    ],
)
def test_imports_load_no_heavy_package_that_they_do_without(code, heavy):
    script = (
        f"import sys\ntry:\n    {code.replace('; ', chr(10) + '    ')}\nexcept SystemExit: pass\n"
        f"heavy = {{*{heavy}}} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


WINDOWS = """
import importlib, os, pkgutil, signal, sys
for name in ("torch", "timm", "torchvision", "accelerate", "matplotlib.figure", "PIL.Image", "psutil", "rich.progress",
             "jsonargparse", "huggingface_hub", "scipy.ndimage", "gradio", "onnx", "onnxscript", "onnxruntime",
             "openvino", "rasterio", "pandas"):
    try: importlib.import_module(name)
    except ImportError: pass
for name in ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "posix", "syslog", "readline"):
    sys.modules[name] = None
for module, names in (
    (os, "nice killpg setsid fork getuid geteuid getpgid sched_getaffinity sysconf uname statvfs getloadavg".split()),
    (signal, "SIGUSR1 SIGUSR2 SIGHUP SIGKILL SIGALRM SIGQUIT SIGCHLD setitimer pthread_sigmask".split()),
):
    for name in names:
        delattr(module, name)
import pixalign
from pixalign.errors import InputError
count = 0
for found in pkgutil.walk_packages(pixalign.__path__, "pixalign.", onerror=lambda name: None):
    if found.name.endswith("__main__"):
        continue
    try: importlib.import_module(found.name)
    except InputError as error: assert "pip install" in str(error), error
    count += 1
assert count > 100, count
"""


def test_every_module_can_be_imported_where_there_is_no_posix():
    done = subprocess.run([sys.executable, "-c", WINDOWS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_imports_run_downward():
    row_of = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
    wrong = []
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] != "pixalign" or len(parts) == 1:
                    continue
                used = parts[1]
                downward = row_of[used] < row_of[room] or used == room or (room, used) in WITHIN_A_ROW
                if not downward:
                    wrong.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert not wrong
