"""Train a network on CamVid or on any folder of images/ and masks/; every key of the configuration is an argument."""

import sys
from dataclasses import fields
from pathlib import Path

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from pixalign.training.config import TrainConfig

HELP = "train a network"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file of a configuration; later arguments win")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, by its own config.yaml")
    parser.add_class_arguments(TrainConfig)


def run(args: Namespace) -> int:
    from pixalign.training import train
    from pixalign.training.launch import start_missing_processes

    if not start_missing_processes(sys.argv[1:]):
        train(read_config(args), resume=args.resume)
    return 0


def read_config(args: Namespace) -> TrainConfig:
    """Return the configuration of parsed arguments; a resumed run's own one, if no --config is given."""
    parser = ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    written = Path(args.out) / "config.yaml"
    if args.resume and not args.config and written.is_file():
        defaults = parser.get_defaults()
        given = {key: value for key, value in args.items() if value != defaults.get(key)}
        args = parser.parse_path(written)
        for key, value in given.items():
            args[key] = value
    parts = vars(parser.instantiate(args))
    return TrainConfig(**{field.name: parts[field.name] for field in fields(TrainConfig)})
