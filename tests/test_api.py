"""The public names with their arguments: api.txt changes only where somebody means it.

python tests/test_api.py > tests/api.txt
"""

import inspect
from pathlib import Path

import pixalign


def signature(thing) -> str:
    """Arguments with their defaults, functions left out; annotations are mypy's affair."""
    plain = []
    for p in inspect.signature(thing).parameters.values():
        default = ... if inspect.isfunction(p.default) else p.default
        plain.append(p.replace(annotation=p.empty, default=default))
    return str(inspect.Signature(plain)).replace("Ellipsis", "...")


def surface() -> str:
    lines = []
    for name in sorted(pixalign.__all__):
        thing = getattr(pixalign, name)
        if not callable(thing) or (inspect.isclass(thing) and issubclass(thing, Exception)):
            lines.append(name)
            continue
        lines.append(name + signature(thing))
        if inspect.isclass(thing):
            for member, value in sorted(vars(thing).items()):
                if not member.startswith("_") and inspect.isfunction(value):
                    lines.append(f"    .{member}{signature(value)}")
    return "\n".join(lines) + "\n"


def test_the_public_names_and_their_arguments_are_the_listed_ones():
    assert surface() == (Path(__file__).parent / "api.txt").read_text(encoding="utf-8")


def test_only_create_model_passes_named_arguments_on():
    """To the constructor of the network, which checks them."""
    free = {
        name
        for name in pixalign.__all__
        if callable(thing := getattr(pixalign, name))
        and ("__init__" in vars(thing) or not inspect.isclass(thing))
        and any(p.kind is p.VAR_KEYWORD for p in inspect.signature(thing).parameters.values())
    }
    assert free <= {"create_model"}


if __name__ == "__main__":
    print(surface(), end="")
