"""The error that a user can act on, and files that are never half-written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Something the user gave cannot be used: one line that names it, its value and the remedy.

    The command line prints the message without a traceback and exits with status 2.
    """


class Stopped(KeyboardInterrupt):
    """A signal asked for the end, and what was done is saved.

    Attributes:
        number: of the signal; the command line exits with 128 + number, as a shell reports it: 130 after Ctrl-C, 143
            after SIGTERM. It is not 0, because the work is not done.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def first_line(error: Exception) -> str:
    """What another library's error says, in one line of at most 300 characters; its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` on success and is removed on any failure.

    Raises:
        InputError: the file system refuses the write (disk full, no permission, read-only).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}): choose another place") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}): nothing was changed") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        InputError: the file system refuses the write.
    """
    with replacing(path) as temporary:
        temporary.write_text(encodable(text), encoding="utf-8")


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: file names under an ASCII locale become what their bytes say, or U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
