"""The folder of uploads and downloads: nothing outside it is read or served, and nothing stays in it for long."""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from pixalign.errors import InputError


def uploaded(payload: Any, folder: Path) -> Path:
    """The file of an upload, as gradio describes it in ``payload``.

    Raises:
        InputError: nothing was uploaded, or what is named does not lie in ``folder``, or is there no longer.
    """
    if not payload or not isinstance(payload, dict) or not payload.get("path"):
        raise InputError("no image: upload one, or draw a street")
    path = Path(payload["path"]).resolve()
    if not path.is_relative_to(folder):
        raise InputError("that is no uploaded file: upload the image itself")
    if not path.is_file():
        raise InputError(f"{path.name}: is no longer on the server, which keeps uploads for a while only: upload again")
    return path


def new_file(folder: Path, name: str) -> Path:
    """A path for a file of this name, in a new folder below ``folder`` whose name nobody can guess."""
    return Path(tempfile.mkdtemp(dir=folder), name)


def sweep(folder: Path, age: float, most: int) -> set[str]:
    """Delete files below a folder that are older than ``age`` seconds, and the oldest beyond ``most`` bytes in all.

    Returns:
        What was deleted.
    """
    files = []
    for path in folder.rglob("*"):
        try:
            state = path.stat()
        except OSError:
            continue
        if path.is_file():
            files.append((state.st_ctime, state.st_size, path))
    total = sum(size for _, size, _ in files)
    deleted = set()
    for changed, size, path in sorted(files):
        if time.time() - changed <= age and total <= most:
            break
        path.unlink(missing_ok=True)
        deleted.add(str(path))
        total -= size
        try:
            path.parent.rmdir()
        except OSError:  # other files are in it, or it is the folder itself and in use
            continue
    folder.mkdir(exist_ok=True)
    return deleted


def keep_swept(
    folder: Path, known: list[set[str]], closed: threading.Event, age: float = 3600, most: int = 2_000_000_000
) -> None:
    """`sweep` a folder every minute; ``known`` are gradio's own sets of file names, which would grow for ever."""
    while not closed.wait(60):
        deleted = sweep(folder, age, most)
        for names in known:
            names -= deleted
