"""What earlier versions wrote, in today's form: descriptions and names of tensors."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from pixalign.errors import InputError

FORMAT_VERSION = 2

T = TypeVar("T")

_PARTS = {  # of a tensor's name: of an aligner's two maps, the finer one was called low
    "down_high": "down_coarse",
    "down_low": "down_fine",
    "key_high": "key_coarse",
    "key_low": "key_fine",
    "offsets_high": "offsets_coarse",
    "offsets_low": "offsets_fine",
}


def current(where: Path, description: dict[str, Any]) -> dict[str, Any]:
    """A description in today's form: its ``colors`` and ``license`` were spelled otherwise in version 1.

    One by hand may spell them so, too, and has no version. InputError, about the file ``where``, if it is a newer one.
    """
    version = description.get("format_version", FORMAT_VERSION)
    if type(version) is not int or version > FORMAT_VERSION:
        raise InputError(f"{where}: was written by a newer pixalign ({description.get('pixalign')}): update pixalign")
    return _american(description) if version < 2 or "colors" not in description else description


def _american(description: dict[str, Any]) -> dict[str, Any]:
    names = {"colours": "colors", "licence": "license"}
    return {names.get(key, key): _american(x) if isinstance(x, dict) else x for key, x in description.items()}


def renamed(tensors: dict[str, T], wanted: Collection[str]) -> dict[str, T]:
    """The tensors, those that have an earlier name under the one of today where the network wants that."""
    found = {}
    for name, tensor in tensors.items():
        now = ".".join(_PARTS.get(part, part) for part in name.split("."))
        found[now if now in wanted and now not in tensors else name] = tensor
    return found
