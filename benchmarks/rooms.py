"""The rooms of the package as a picture: who imports whom, and how many lines each has.

An arrow leads from a room to one that it imports; arrows that follow from others are left out (a imports b and b
imports c: then a may import c, too), and so are those to the modules of the last row. A room lies above all that it
imports.

    python benchmarks/rooms.py --out docs/rooms.svg     # and a table on the terminal
    python benchmarks/rooms.py --source OTHER/src/pixalign
"""

import ast
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

OUTSIDE = {"__init__", "__main__"}  # lazy names, and the command line's entry


def imports(file: Path) -> Iterator[str]:
    """The modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pixalign":
            parts = (node.module or "").split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("pixalign.")]


def rooms(source: Path) -> tuple[dict[str, set[str]], dict[str, int]]:
    """Room -> rooms that it imports, and room -> lines of Python."""
    graph: dict[str, set[str]] = {}
    lines: dict[str, int] = {}
    for file in sorted(source.rglob("*.py")):
        room = file.relative_to(source).parts[0].removesuffix(".py")
        if room in OUTSIDE:
            continue
        graph.setdefault(room, set()).update(set(imports(file)) - {room})
        lines[room] = lines.get(room, 0) + len(file.read_text(encoding="utf-8").splitlines())
    return {room: found & graph.keys() for room, found in graph.items()}, lines


def depth(graph: dict[str, set[str]], room: str) -> int:
    """Rooms on the longest way down from this one."""
    return 1 + max((depth(graph, lower) for lower in graph[room]), default=-1)


def reached(graph: dict[str, set[str]], room: str) -> set[str]:
    return set().union(*({lower} | reached(graph, lower) for lower in graph[room]))


def draw(graph: dict[str, set[str]], lines: dict[str, int], out: Path) -> None:
    heights = {room: depth(graph, room) for room in graph}
    places: dict[str, tuple[float, float]] = {}
    for height in range(max(heights.values()) + 1):
        row = [room for room in graph if heights[room] == height]
        # next to what they import, left to right
        row.sort(key=lambda room: (sum(places[x][0] for x in graph[room]) / max(len(graph[room]), 1), room))
        for i, room in enumerate(row):
            places[room] = ((i + 0.5) / len(row), height)
    figure = Figure(figsize=(11, 1.05 * (max(heights.values()) + 1)))
    axes = figure.subplots()
    for room, lower in graph.items():
        direct = {x for x in lower if graph[x] and not any(x in reached(graph, y) for y in lower - {x})}
        for x in direct:
            ends = (places[room][0], places[room][1] - 0.17), (places[x][0], places[x][1] + 0.17)
            axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=9, color="#8a97a8", linewidth=0.9))
    for room, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#eef3f9", "edgecolor": "#1f4e8c", "linewidth": 1}
        axes.text(x, y, f"{room}\n{lines[room]:,}", ha="center", va="center", fontsize=8.5, bbox=box)
    axes.set(xlim=(0, 1), ylim=(-0.5, max(heights.values()) + 0.5))
    axes.axis("off")
    # letters as text, and the same file each time
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rooms"}):
        figure.savefig(out, bbox_inches="tight", metadata={"Date": None} if out.suffix == ".svg" else None)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path("src/pixalign"))
    parser.add_argument("--out", type=Path, help="draw the picture here (.svg or .png)")
    arguments = parser.parse_args()
    graph, lines = rooms(arguments.source)
    print("| room | lines | imports |\n|---|---:|---|")
    for room in sorted(graph, key=lambda room: (-depth(graph, room), room)):
        print(f"| {room} | {lines[room]:,} | {', '.join(sorted(graph[room]))} |")
    print(f"| all | {sum(lines.values()):,} | |")
    if arguments.out:
        draw(graph, lines, arguments.out)


if __name__ == "__main__":
    main()
