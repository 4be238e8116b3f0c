"""The error that a user can act on, and the end that a signal asked for."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Something the user gave cannot be used: one line that names it, its value and the remedy.

    The command line prints the message without a traceback and exits with status 2.
    """


@contextmanager
def naming(thing: object) -> Iterator[None]:
    """Put ``thing``, such as a path, and a colon before the message of an `InputError` raised inside."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{thing}: {error}") from error


class Stopped(KeyboardInterrupt):
    """A signal asked for the end, and what was done is saved.

    Attributes:
        number: of the signal; the command line exits with 128 + number, as a shell reports it: 130 after Ctrl-C, 143
            after SIGTERM. It is not 0, because the work is not done.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
