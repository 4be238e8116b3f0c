"""Errors of a run that a user can act on, as one line with the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from pixalign.errors import InputError
from pixalign.text import first_line
from pixalign.training.config import TrainConfig
from pixalign.training.run_folder import Log


@contextmanager
def warned(log: Log, what: str) -> Iterator[None]:
    """Go on where something cannot be drawn: a line in the log says so."""
    try:
        yield
    except Exception as error:
        log(f"warning: {what} could not be drawn ({type(error).__name__}: {first_line(error)})")


@contextmanager
def one_line_errors(config: TrainConfig, log: Log) -> Iterator[None]:
    """Turn the errors that a user can act on into one line with the remedy."""
    try:
        yield
    except InputError as error:  # one from a loading process carries its traceback
        line = str(error).strip().splitlines()[-1].removeprefix("pixalign.errors.InputError: ")
        with suppress(InputError):  # where the disk is full, the log is, too
            log.note(f"error: {line}")
        raise InputError(line) from error
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"batch_size {config.batch_size}: batch norm over a pooled map needs two images per process: "
            "raise batch_size (and lower accumulate)"
        ) from error
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"batch_size {config.batch_size} at crop {config.data.crop} does not fit into the GPU's memory: "
            "lower batch_size and raise accumulate"
        ) from error


def remedy(config: TrainConfig) -> str:
    """What to try where numbers are lost."""
    return f"lower optim.lr ({config.optim.lr:g}), set optim.clip, or use precision fp32"
