"""Which values a key of a configuration takes: types with a range, what a type asks for in words, and who meets it.

The types are those that jsonargparse reads a command line and YAML by. Their names are what messages and help say a
value must be. `check_values` goes over the same types for a configuration that a program has built.
"""

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import reduce
from math import inf
from numbers import Integral, Real
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse.typing import restricted_number_type, restricted_string_type

from pixalign.errors import InputError
from pixalign.limits import SMALLEST

if TYPE_CHECKING:
    Count = int
    Whole = int
    Seed = int
    Side = int
    Weight = float
    Positive = float
    Share = float
    BelowOne = float
    Probability = float
    Name = str
else:
    Count = restricted_number_type("at least 1 (a whole number)", int, (">=", 1))
    Whole = restricted_number_type("0 or more (a whole number)", int, (">", -1))
    Seed = restricted_number_type("from 0 to below 2147483648 (a whole number)", int, [(">=", 0), ("<", 2**31)])
    Side = restricted_number_type(f"{SMALLEST} or more (a whole number)", int, (">=", SMALLEST))
    Weight = restricted_number_type("0 or more", float, [(">=", 0), ("<", inf)])
    Positive = restricted_number_type("above 0", float, [(">", 0), ("<", inf)])
    Share = restricted_number_type("from 0 to 1", float, [(">=", 0), ("<=", 1), ("<", inf)])
    BelowOne = restricted_number_type("from 0 to below 1", float, [(">=", 0), ("<", 1)])
    Probability = restricted_number_type("above 0 and at most 1", float, [(">", 0), ("<=", 1)])
    Name = restricted_string_type("text that is not empty", r"\s*\S")

_RANGES = (Count, Whole, Seed, Side, Weight, Positive, Share, BelowOne, Probability, Name)


# The value in an error of jsonargparse, which keeps it in the text alone.
_GIVEN = re.compile(
    r"(?:Got|Given) value: (.*)|(?:base 10|to float): '(.*)'"
    r"|Not of type .*?: (.*) (?:does not conform|does not match|not an? \w+$)"
)

# The key in an error of jsonargparse about one that is not there: on a command line, in a part of a file, at its top.
_UNKNOWN = re.compile(
    r"unrecognized arguments: --(?P<option>[\w.-]+)|Group '(?P<part>[\w.]+)' does not accept option '(?P<name>\w+)'"
    r"|Option '(?P<top>\w+)' is not accepted"
)

_PLAIN = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}


def check_values(config: Any) -> None:
    """Raise InputError for the first value of a dataclass, or of one in it, that its type does not take."""
    for key, kind, default in keys_of(type(config)):
        value = reduce(getattr, key.split("."), config)
        if not _meets(value, kind):
            raise InputError(said(key, value, kind, default))


def said(key: str, value: Any, kind: Any, default: Any = None) -> str:
    """The line about a value that ``kind`` does not take; ``default`` is an example of one that it does."""
    example = f", such as [{','.join(map(str, default))}]" if isinstance(default, list | tuple) and default else ""
    finite = " and finite" if str(value).lower().lstrip("+-") in ("inf", "infinity", "nan") else ""
    return f"{key} is {value!r}: it must be {words(kind)}{finite}{example}"


def explained(error: Exception, kind: Any = None) -> str:
    """An error of jsonargparse about a key, of the dataclass ``kind`` if given, as `said`; else what it says.

    Without ``kind`` the key is an option of a command, whose types the error names.
    """
    text = str(error)
    if kind and (unknown := _UNKNOWN.search(text)):
        part, name = unknown["part"], unknown["name"]
        if line := _proposed(f"{part}.{name}" if part else unknown["option"] or unknown["top"], kind):
            return line
    found, value = re.search(r'.*Parser key "([\w.]+)":', text, re.DOTALL), _GIVEN.search(text)
    if found and value:
        given = next(group for group in value.groups() if group is not None)
        for key, asked, default in keys_of(kind) if kind else ():
            if key == found[1]:
                return said(key, _Bare(given), asked, default)
        asked = [
            _PLAIN.get(name, name) for name in re.findall(r"Expected an? <class '(\w+)'>", text) if name != "NoneType"
        ]
        asked += re.findall(r"Not of type (.*?): ", text)
        if asked and not kind:
            option = found[1] if "." in found[1] else found[1].replace("_", "-")
            return f"--{option} is {_Bare(given)!r}: it must be {' or '.join(asked)}"
    # "required: predict.out" is of the command at hand: out
    text = re.sub(r"(?<=required: )[\w., ]+", lambda m: re.sub(r"(^|, )\w+\.", r"\1", m[0]), text)
    return " ".join(text.split())


def _proposed(key: str, kind: Any) -> str:
    """The line about a key that a dataclass has not, with the one most like it; "" where none is."""
    like = difflib.get_close_matches(key.replace("-", "_"), [each for each, _, _ in keys_of(kind)], 1, 0.75)
    return f"{key} is unknown: did you mean {like[0]}?" if like else ""


def words(kind: Any) -> str:
    """What a type asks for."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin in (Union, UnionType):
        return " or ".join(map(words, parts))
    if origin is tuple:
        return f"{len(parts)} values, each {words(parts[0])}"
    if origin is list:
        return f"a list, each {words(parts[0])}"
    if origin is dict:
        each = "" if parts[1] is Any else f", each value {words(parts[1])}"
        return f"names with values, such as {{name: value}}{each}"
    name = getattr(kind, "__name__", str(kind))
    return _PLAIN.get(name, name)


class _Bare(str):
    """Text that a message does not put quotes around: what stood on the command line."""

    def __repr__(self) -> str:
        return " ".join(self.split()) or "''"


def keys_of(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, type, default) of each key of a dataclass, then those of a dataclass within it."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        key, asked = f"{prefix}{field.name}", hints[field.name]
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        yield key, asked, None if default is MISSING else default
        if is_dataclass(asked):
            yield from keys_of(asked, f"{key}.")


def _meets(value: Any, kind: Any) -> bool:
    """Whether a value of a configuration is what its type asks for."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in parts
    if origin in (Union, UnionType):
        return any(_meets(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, list | tuple) and len(value) == len(parts) and all(map(_meets, value, parts))
    if origin is list:
        return isinstance(value, list | tuple) and all(_meets(each, parts[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_meets(k, parts[0]) and _meets(v, parts[1]) for k, v in value.items())
    if issubclass(kind, int | float) and kind is not bool:
        if isinstance(value, bool) or not isinstance(value, Integral if issubclass(kind, int) else Real):
            return False
    elif not isinstance(value, str | os.PathLike if issubclass(kind, str) else kind):
        return False
    if kind in _RANGES:
        try:
            kind(value)
        except (ValueError, OverflowError):
            return False
    return True
