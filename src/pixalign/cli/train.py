"""Train a network on CamVid or on any folder of images/ and masks/; every key of the configuration is an argument."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import SUPPRESS, ActionConfigFile, ArgumentError, ArgumentParser, Namespace

from pixalign.cli.forms import usual_forms
from pixalign.errors import InputError
from pixalign.training.config import TrainConfig
from pixalign.training.values import explained, keys_of

HELP = "train a network"


class ConfigFile(ActionConfigFile):
    """A YAML file in UTF-8, whatever the locale: jsonargparse reads it as the locale has it."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        try:
            node = yaml.compose(Path(values).expanduser().read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except OSError as error:
            raise InputError(
                f"{values}: cannot be read ({error.strerror}): give a YAML file of a configuration"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(f"{values}: is not in UTF-8 ({error.reason}): save it in that encoding") from error
        except yaml.YAMLError as error:
            raise InputError(f"{values}: is not YAML ({' '.join(str(error).split())}): correct it") from error
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{values}: holds no keys: give a YAML file of a configuration")
        try:
            super().__call__(parser, cfg, yaml.serialize(node), option_string)  # in ASCII
        except (TypeError, ValueError, ArgumentError) as error:
            raise InputError(f"{values}: {error_line(error)}") from error


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--config", action=ConfigFile, help="YAML file of a configuration; later arguments win")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, by its own config.yaml; other arguments win"
    )
    parser.add_argument("--given_keys", type=list[str], default=[], help=SUPPRESS)  # which `rewritten` adds
    parser.add_class_arguments(TrainConfig)


def rewritten(arguments: Sequence[str]) -> list[str]:
    """The arguments in the forms that the parser reads; of a resumed run, behind its own configuration.

    So whatever stands on the command line wins, a key that equals its default or a file of --config as well. Of a new
    run without a file, with the keys that stand there: the others are chosen from the data.
    """
    forms = usual_forms(arguments, {key: kind for key, kind, _ in keys_of(TrainConfig)})
    if {"--help", "-h"} & set(forms) or any(each.startswith("--print_config") for each in forms):
        return forms
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    add_arguments(parser)
    args = parser.parse_args(forms)
    written = Path(args.out).expanduser() / "config.yaml"
    if args.resume and written.is_file():
        return ["--config", str(written), "--out", args.out, *forms]
    if args.resume or args.config:
        return forms
    return [*forms, "--given_keys", json.dumps(list(parser.parse_args(forms, defaults=False).keys()))]


def error_line(error: Exception) -> str:
    """What the parser found wrong, in a line."""
    return explained(error, TrainConfig)


def run(args: Namespace) -> int:
    from pixalign.training.launch import start_missing_processes

    if start_missing_processes(sys.argv[1:]):
        return 0
    config = read_config(args)
    if {"epochs", "minutes"} <= {*args.given_keys}:
        raise InputError(f"epochs is {config.epochs} and minutes is {config.minutes:g}: give one of them")
    if args.given_keys:
        from pixalign.training.chosen import choose_settings

        config, lines = choose_settings(config, args.given_keys)
        if os.environ.get("RANK", "0") == "0":
            print("settings from the data (any of them can be set; config.yaml will have all):")
            print(*(f"  {line}" for line in lines), sep="\n")

    from pixalign.training.loop import train  # torch comes with it

    train(config, resume=args.resume)
    return 0


def read_config(args: Namespace) -> TrainConfig:
    """Return the configuration of parsed arguments."""
    parser = ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    parts = vars(parser.instantiate(args))
    return TrainConfig(**{field.name: parts[field.name] for field in fields(TrainConfig)})
