"""The command line: ``pixalign COMMAND ...``, one file per command, each with HELP, add_arguments(parser), run(args).

A command may have ``rewritten(arguments)``, which brings them into the form that its parser reads, and
``error_line(error)``, which says in its own words what the parser found wrong.

A command's module imports torch, timm and the rest inside ``run``, so that help and typing errors come at once.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from pixalign import __version__
from pixalign.cli.forms import at_home
from pixalign.errors import InputError, Stopped
from pixalign.training.values import explained

COMMANDS = (
    "train", "evaluate", "adjust", "compare", "predict", "explain", "app", "export", "benchmark", "data", "demo",
    "convert", "models", "encoders",
)  # fmt: skip


def build_parser(arguments: Sequence[str] = COMMANDS) -> ArgumentParser:
    """Return the parser of all commands, with the arguments of those alone that ``arguments`` names (time counts)."""
    parser = ArgumentParser(
        prog="pixalign",
        description="Semantic segmentation by feature alignment: train, evaluate, predict.",
        version=__version__,
        exit_on_error=False,
        allow_abbrev=False,
    )
    commands = parser.add_subcommands(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = import_module(f"pixalign.cli.{name}")
        command = ArgumentParser(description=module.__doc__, exit_on_error=False)
        if name in arguments:
            module.add_arguments(command)
        commands.add_subcommand(name, command, help=module.HELP)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 done in part, 2 unusable input, 128 + signal stopped."""
    arguments = at_home(sys.argv[1:] if arguments is None else arguments)
    command: Any = import_module(f"pixalign.cli.{arguments[0]}") if arguments and arguments[0] in COMMANDS else None
    with _output_that_never_fails(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd files, which we judge ourselves
        warnings.filterwarnings("ignore", message="Dataset has no geotransform")  # rasterio's, of every plain TIFF
        return _run(arguments, command)


def _run(arguments: Sequence[str], command: Any) -> int:
    """Run the command with this module; return the exit status."""
    try:
        if hasattr(command, "rewritten"):
            arguments = [arguments[0], *command.rewritten(arguments[1:])]
        parsed = build_parser(arguments).parse_args(arguments)
        return import_module(f"pixalign.cli.{parsed.command}").run(parsed[parsed.command]) or 0
    except InputError as error:
        return _fail(str(error), 2)
    except ArgumentError as error:
        line = command.error_line(error) if hasattr(command, "error_line") else explained(error)
        return _fail(f"{line} (`pixalign COMMAND --help` lists the arguments)", 2)
    except Stopped as stopped:
        return _fail("interrupted", 128 + stopped.number)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `pixalign encoders | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@contextmanager
def _output_that_never_fails() -> Iterator[None]:
    """Show what the console's encoding lacks as question marks; the streams are as they were afterwards."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, TextIOWrapper)]
    errors = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream, before in zip(streams, errors):
            stream.reconfigure(errors=before)


def _fail(message: str, status: int) -> int:
    print(f"pixalign: error: {' '.join(message.split())}", file=sys.stderr)
    return status
