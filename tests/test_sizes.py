"""Files and functions stay short enough to be read in one go."""

import ast
from pathlib import Path

import pixalign

SOURCE = Path(pixalign.__file__).parent
FILE, FUNCTION = 500, 80  # lines, docstrings included

# What is longer still. Take out what becomes shorter; the training loop is one function, read from top to bottom.
LONG_FILES: set[str] = set()
LONG_FUNCTIONS = {
    ("training/loop.py", "train"),
}


def sizes():
    files, functions = {}, {}
    for path in SOURCE.rglob("*.py"):
        name, text = path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")
        files[name] = text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions[name, node.name] = node.end_lineno - node.lineno + 1
    return files, functions


def test_no_file_and_no_function_is_long():
    files, functions = sizes()
    assert {name for name, lines in files.items() if lines > FILE} <= LONG_FILES
    assert {name for name, lines in functions.items() if lines > FUNCTION} <= LONG_FUNCTIONS
