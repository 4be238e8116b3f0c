"""What an exported file says about itself: the classes, the normalization, and the forms of its input and output.

The manifest is JSON. An ONNX file carries it in its metadata, an OpenVINO file in its runtime information, each under
the key `MANIFEST`; FILE.json beside any export repeats it, with what was measured when the file was made. A file from
elsewhere, without the key, is described by a FILE.json that its user writes.
"""

import json
from pathlib import Path
from typing import Any

from pixalign.errors import InputError
from pixalign.weights.migration import current

MANIFEST = "pixalign"
INPUTS = {"normalized": "float32 (N, C, H, W), (pixel / 255 - mean) / std", "uint8": "uint8 (N, C, H, W), pixels"}
OUTPUTS = {"logits": "float32 (N, K, H, W)", "labels": "uint8 (N, H, W), class ids"}


def manifest_file(path: str | Path) -> Path:
    """FILE.json, the description beside an exported file, such as model.onnx.json."""
    return Path(f"{path}.json")


def read_manifest(path: Path, embedded: str | None) -> dict[str, Any]:
    """Return the description of an exported file, checked.

    Args:
        path: the file.
        embedded: the JSON that it carries, or None: then FILE.json is read.

    Returns:
        ``classes`` (names), ``colors`` (RGB triples), ``mean`` and ``std`` (per channel), ``input`` (a key of
        `INPUTS`), ``output`` (of `OUTPUTS`) and whatever else was recorded; ``arguments`` holds at least num_classes
        and in_channels.

    Raises:
        InputError: no description, an incomplete or contradictory one, or one of a newer pixalign.
    """
    where, text = path, embedded
    if text is None:
        where = manifest_file(path)
        if not where.is_file():
            raise InputError(
                f"{path}: says nothing about its classes, so it was not made by `pixalign export`: export the model "
                f"again, or describe it in {where} (classes, colors, mean, std, input, output)"
            )
        try:
            text = where.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"{where}: cannot be read ({error}): export the model again") from error
    try:
        known = json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: its description is not valid JSON ({error}): export the model again") from error
    if not isinstance(known, dict):
        raise InputError(f"{where}: its description is {known!r}, not an object: export the model again")
    return _checked(where, known)


def _checked(where: Path, known: dict[str, Any]) -> dict[str, Any]:
    known = current(where, known)
    remedy = "export the model again, or correct the description"
    for key in ("classes", "colors", "mean", "std"):
        if not isinstance(known.get(key), list) or not known[key]:
            raise InputError(f"{where}: the entry {key!r} is {known.get(key)!r}, and a list is expected: {remedy}")
    for key, forms in (("input", INPUTS), ("output", OUTPUTS)):
        if known.get(key) not in forms:
            raise InputError(
                f"{where}: the entry {key!r} is {known.get(key)!r}: choose one of {', '.join(forms)}: {remedy}"
            )
    for one, other in (("classes", "colors"), ("mean", "std")):
        if len(known[one]) != len(known[other]):
            raise InputError(f"{where}: {len(known[one])} {one} but {len(known[other])} {other}: {remedy}")
    arguments = {"num_classes": len(known["classes"]), "in_channels": len(known["mean"])}
    return {"architecture": "unknown", **known, "arguments": {**(known.get("arguments") or {}), **arguments}}
