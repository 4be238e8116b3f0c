"""Descriptions that earlier versions wrote, in today's form."""

from typing import Any


def american(description: dict[str, Any]) -> dict[str, Any]:
    """A description in format version 2: its ``colors`` and ``license`` were spelled otherwise in version 1."""
    names = {"colours": "colors", "licence": "license"}
    return {names.get(key, key): american(x) if isinstance(x, dict) else x for key, x in description.items()}
