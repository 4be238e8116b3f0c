"""What is compared: methods under one recipe, read from YAML and expanded into training configurations. No torch."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from pixalign.errors import InputError, naming
from pixalign.training.config import TrainConfig, flat, path_text
from pixalign.training.values import Name, Seed, check_values, explained

# What one comparison holds fixed. What else a method may change (network, loss, optimizer, augmentation) is what it is.
PROTOCOL = {
    "data": (
        "data.name", "data.root", "data.mask_template", "data.groups", "data.train", "data.mix", "data.mix_root",
        "data.mix_ratio", "model.in_channels",
    ),
    "budget": ("epochs", "batch_size", "accumulate", "data.crop", "init", "model.pretrained"),
}  # fmt: skip
# Keys that say where and how a run is made; its weights, up to rounding, do not depend on them.
_FREE = {
    "out", "device", "trackers", "state_minutes", "evaluate_every", "pictures_every", "channels_last", "compile",
    "data.root", "data.mask_template", "data.mix_root", "data.val", "data.check", "data.workers", "data.cache",
}  # fmt: skip


@dataclass
class Comparison:
    """Several methods, each trained by the same recipe with every seed, and measured on the same splits.

    Args:
        methods: name of each method -> the keys of the recipe that it changes (`pixalign.training.config`).
        recipe: keys of the training configuration that all methods share.
        baseline: the method that gains are gains over.
        splits: splits to measure on; the first one leads the report.
        seeds: seeds to train each method with.
        out: folder of the report; the runs are in METHOD/seedN below it.
    """

    methods: dict[str, dict[str, Any]]
    baseline: Name
    recipe: dict[str, Any] = field(default_factory=dict)
    splits: list[Name] = field(default_factory=lambda: ["val"])
    seeds: list[Seed] = field(default_factory=lambda: [0])
    out: str = "runs/compare"

    def __post_init__(self) -> None:
        self.out = path_text(self.out)

    def check(self) -> None:
        """Raise InputError naming the key, for a value out of range or two that do not go together."""
        check_values(self)
        for name in self.methods:
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name):
                raise InputError(f"method {name!r} names a folder: use letters, digits, _ . + -, and no . - + in front")
        if not self.methods:
            raise InputError("methods is empty: name two methods or more")
        if self.baseline not in self.methods:
            listed = ", ".join(self.methods)
            raise InputError(f"baseline {self.baseline!r} is none of the methods: choose one of {listed}")
        if not self.out.strip():
            raise InputError(f"out is {self.out!r}: it must be the name of a folder")
        for key, values in (("splits", self.splits), ("seeds", self.seeds)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{key} is {values}: give one or more, each once")


@dataclass(frozen=True, eq=False)
class Run:
    """One method with one seed."""

    method: str
    seed: int
    config: TrainConfig

    @property
    def folder(self) -> Path:
        return Path(self.config.out)

    def __str__(self) -> str:
        return f"{self.method}, seed {self.seed}"


def read_comparison(path: str | Path) -> Comparison:
    """Read a comparison from YAML.

    Raises:
        InputError: a file that cannot be read, an unknown key, a value of another kind.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_NoDuplicates)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): give the YAML file of a comparison") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())}): fix it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no keys: a comparison has methods, baseline, recipe, splits, seeds and out")
    return _parsed(Comparison, content, str(path))


def expand(comparison: Comparison, source: str = "comparison") -> list[Run]:
    """Return the runs, method by method, each with its seeds.

    Args:
        comparison: what to compare.
        source: what to call it in messages.

    Raises:
        InputError: an unknown key, a value out of range, or methods that differ in data or budget; it names both.
    """
    with naming(source):
        comparison.check()
    runs = []
    for method, changes in comparison.methods.items():
        where = f"{source}: methods.{method}"
        merged = _merged(comparison.recipe, changes)
        for key in ("seed", "out"):
            if key in merged:
                raise InputError(
                    f"{where}: sets {key}, which the comparison gives each run: leave it out of the recipe"
                )
        for seed in comparison.seeds:
            given = merged | {"seed": seed, "out": str(Path(comparison.out) / method / f"seed{seed}")}
            runs.append(Run(method, seed, _parsed(TrainConfig, given, where)))
    first = runs[0]
    for run in runs[1:]:
        for what, keys in PROTOCOL.items():
            for key in keys:
                ours, theirs = _fixed(run.config, key), _fixed(first.config, key)
                if ours != theirs:
                    raise InputError(
                        f"{source}: {key} is {ours!r} for {run.method} but {theirs!r} for {first.method}: "
                        f"methods of different {what} are not compared: set it in the recipe, for all"
                    )
    return runs


def read_training(path: str | Path) -> TrainConfig:
    """Read the configuration that a run left; InputError if it cannot be read or has an unknown key."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())}): remove the run folder") from error
    return _parsed(TrainConfig, content or {}, str(path))


def differences(first: TrainConfig, second: TrainConfig) -> list[tuple[str, Any, Any]]:
    """Return (key, value in the first, value in the second) of each key that weights depend on and that differs."""
    ours, theirs = flat(asdict(first)), flat(asdict(second))
    keys = [key for key in {**ours, **theirs} if key not in _FREE and ours.get(key) != theirs.get(key)]
    return [(key, ours.get(key), theirs.get(key)) for key in keys]


def _fixed(config: TrainConfig, key: str) -> Any:
    """The value of a key of `PROTOCOL`; encoders have different files of pretrained weights, so these count as true."""
    value = flat(asdict(config))[key]
    return bool(value) if key == "model.pretrained" else value


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _parsed(kind: Any, content: Mapping[str, Any], where: str) -> Any:
    """An instance of a dataclass from plain values, checked by their types; InputError names ``where`` and the key."""
    names = [each.name for each in fields(kind)]
    for key in content:
        if key not in names:
            raise InputError(f"{where}: the key {key!r} is unknown: choose among {', '.join(names)}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind)
    try:
        parts = vars(parser.instantiate(parser.parse_object(dict(content))))
    except ArgumentError as error:
        raise InputError(f"{where}: {explained(error, kind)}") from error
    made = kind(**{name: parts[name] for name in names})
    with naming(where):
        made.check()
    return made


class _NoDuplicates(yaml.SafeLoader):
    """YAML in which a key that stands twice, which would silently lose the first, is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if key != "<<" and keys.count(key) > 1:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: the key {key!r} stands there twice")
        return super().construct_mapping(node, deep)
