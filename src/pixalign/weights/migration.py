"""What earlier versions wrote, in today's form: descriptions and names of tensors."""

from collections.abc import Collection
from typing import Any, TypeVar

T = TypeVar("T")

_PARTS = {  # of a tensor's name: of an aligner's two maps, the finer one was called low
    "down_high": "down_coarse",
    "down_low": "down_fine",
    "key_high": "key_coarse",
    "key_low": "key_fine",
    "offsets_high": "offsets_coarse",
    "offsets_low": "offsets_fine",
}


def american(description: dict[str, Any]) -> dict[str, Any]:
    """A description in format version 2: its ``colors`` and ``license`` were spelled otherwise in version 1."""
    names = {"colours": "colors", "licence": "license"}
    return {names.get(key, key): american(x) if isinstance(x, dict) else x for key, x in description.items()}


def renamed(tensors: dict[str, T], wanted: Collection[str]) -> dict[str, T]:
    """The tensors, those that have an earlier name under the one of today where the network wants that."""
    found = {}
    for name, tensor in tensors.items():
        now = ".".join(_PARTS.get(part, part) for part in name.split("."))
        found[now if now in wanted and now not in tensors else name] = tensor
    return found
