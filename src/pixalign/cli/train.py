"""Train a network on CamVid or on any folder of images/ and masks/; every key of the configuration is an argument."""

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from pixalign.cli.forms import usual_forms
from pixalign.training.config import TrainConfig
from pixalign.training.values import explained, keys_of

HELP = "train a network"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file of a configuration; later arguments win")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, by its own config.yaml; other arguments win"
    )
    parser.add_class_arguments(TrainConfig)


def rewritten(arguments: Sequence[str]) -> list[str]:
    """The arguments in the forms that the parser reads; of a resumed run, behind its own configuration.

    So whatever stands on the command line wins, a key that equals its default or a file of --config as well.
    """
    forms = usual_forms(arguments, {key: kind for key, kind, _ in keys_of(TrainConfig)})
    if any(each.startswith(("--resume", "--config")) for each in forms) and not {"--help", "-h"} & set(forms):
        parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
        add_arguments(parser)
        args = parser.parse_args([each for each in forms if not each.startswith("--print_config")])
        written = Path(args.out).expanduser() / "config.yaml"
        if args.resume and written.is_file():
            return ["--config", str(written), "--out", args.out, *forms]
    return forms


def error_line(error: Exception) -> str:
    """What the parser found wrong, in a line."""
    return explained(error, TrainConfig)


def run(args: Namespace) -> int:
    from pixalign.training import train
    from pixalign.training.launch import start_missing_processes

    if not start_missing_processes(sys.argv[1:]):
        train(read_config(args), resume=args.resume)
    return 0


def read_config(args: Namespace) -> TrainConfig:
    """Return the configuration of parsed arguments."""
    parser = ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    parts = vars(parser.instantiate(args))
    return TrainConfig(**{field.name: parts[field.name] for field in fields(TrainConfig)})
