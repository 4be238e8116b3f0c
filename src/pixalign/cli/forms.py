"""The forms in which people type several values, turned into the one that jsonargparse reads."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_origin

_NEXT = re.compile(r"--?[A-Za-z]")


def at_home(arguments: Sequence[str]) -> list[str]:
    """Arguments with ``~`` as the home folder, which a shell writes out at the beginning of a word alone."""
    changed = []
    for argument in arguments:
        option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        changed.append(f"{option}{equals}{os.path.expanduser(value)}")
    return changed


def usual_forms(arguments: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """Arguments in which each option of several values stands as jsonargparse reads it.

    ``512,512``, ``512 512``, ``512x512`` and ``(512, 512)`` become ``[512,512]``; ``val`` and ``val,test`` become
    lists; ``channels=64 aligner=flow`` sets these names of a mapping.

    Args:
        arguments: of a command that has no positional ones.
        kinds: type of each option, by its name without the hyphens.
    """
    changed: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        option, equals, value = word.partition("=")
        kind = kinds.get(option.removeprefix("--")) if option.startswith("--") else None
        if get_origin(kind) not in (tuple, list, dict):
            changed.append(word)
            continue
        values = [value] if equals else []
        while waiting and not _NEXT.match(waiting[0]):
            values.append(waiting.pop(0))
        changed += _written(option, " ".join(values).strip(), kind)
    return changed


def joined(arguments: Sequence[str], options: Mapping[str, Callable[[str], bool]]) -> list[str]:
    """Arguments in which the values of an option, typed as several words, are one word with commas.

    Args:
        arguments: of a command.
        options: whether a word behind a value belongs to it too, by the option's name with its hyphens.
    """
    changed: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        option, equals, _ = word.partition("=")
        if option in options:
            if not equals and waiting:
                changed.append(word)
                word = waiting.pop(0)
            while waiting and options[option](waiting[0]):
                word += f",{waiting.pop(0)}"
        changed.append(word)
    return changed


def is_number(word: str) -> bool:
    """Whether a word is numbers and what stands between them, and names no file."""
    return re.fullmatch(r"[\s\d.,x×*()\[\]]+", word) is not None and not os.path.exists(word)


def numbers(text: str) -> list[str]:
    """The parts of ``512x512``, ``512,512``, ``512 512``, ``[512, 512]`` or ``(512, 512)``."""
    return [part for part in re.split(r"[\s,;x×*]+", text.strip().strip("[]()").lower()) if part]


def _written(option: str, text: str, kind: Any) -> list[str]:
    """The option with its value, ``text``, as jsonargparse reads it; as it is where that is no usual form."""
    plain = not text.startswith(("[", "{"))
    if get_origin(kind) is dict:
        pairs = [part.partition("=") for part in re.split(r"[\s,]+(?=[\w.]+=)", text)]
        if plain and all(name and equals for name, equals, _ in pairs):
            return [f"{option}.{name}={value.strip(', ')}" for name, _, value in pairs]
    elif get_origin(kind) is tuple and (plain or text.endswith("]")):
        return [option, f"[{','.join(numbers(text))}]"]
    elif get_origin(kind) is list and plain:
        names = [part for part in re.split(r"[\s,;]+", text.strip("()")) if part]
        return [option, json.dumps(names, ensure_ascii=False)]
    return [option, text] if text else [option]
