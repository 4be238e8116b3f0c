"""The documentation keeps its word: code runs, commands parse, links lead somewhere.

A code block is run where its page has brought it: the blocks of a page share their names, from top to bottom, and start
with those of `given`, in a folder that holds what `prepared` made. One that cannot be run says why, in an HTML comment
right before it: <!-- not run: reason -->.
"""

import functools
import os
import re
import shlex
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from jsonargparse import ArgumentError
from PIL import Image

import pixalign
from conftest import write_pair
from pixalign.aligners import ALIGNERS
from pixalign.cli import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = {str(page.relative_to(ROOT)): page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}

FENCE = re.compile(
    r"(?P<before>[^\n]*\n)?^(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=fence)$", re.M | re.S
)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<target>[^)\s]+)\)")
INLINE = re.compile(r"`(pixalign [^`]+)`")


def python_blocks(text: str) -> list[tuple[int, str]]:
    """Line and code of each ```python block that is to be run."""
    return [
        (text.count("\n", 0, match.start("code")), match["code"])
        for match in FENCE.finditer(text)
        if match["language"] == "python" and "<!-- not run:" not in (match["before"] or "")
    ]


def commands(text: str) -> list[str]:
    """Every `pixalign ...` of a page's shell blocks and indented blocks."""
    shell = [match["code"] for match in FENCE.finditer(text) if match["language"] in ("", "bash", "sh")]
    lines = "\n".join(shell).replace("\\\n", " ").splitlines()
    rest = FENCE.sub("\n", text).replace("\\\n", " ")
    lines += [line for line in rest.splitlines() if line.startswith("    ")]
    parts = [part.strip() for line in lines for part in re.split(r"(?:;|&&|\|\|)\s", re.sub(r"\s#.*", "", line))]
    return [part for part in parts if part.startswith("pixalign ") or " -m pixalign " in part]


def mentions(text: str) -> list[str]:
    """Every `pixalign ...` between backticks, where arguments that do not matter may be left out."""
    return [" ".join(found.split()) for found in INLINE.findall(FENCE.sub("\n", text))]


def words(command: str) -> list[str]:
    """The arguments of `pixalign` in a command, without comments, variables and dots that stand for more."""
    split = shlex.split(command, comments=True)
    split = split[split.index("pixalign") + 1 :]
    return ["train" if word == "COMMAND" else word for word in split if word != "..." and not word.startswith("$")]


@functools.cache
def parser_of(command: str):
    return build_parser((command,))


def fault_of(command: str) -> str | None:
    """What the command line would say against a command; None if it takes it."""
    arguments = words(command)
    if arguments[:1] == ["--help"]:
        return None
    if arguments[0] not in COMMANDS:
        return f"there is no command {arguments[0]}"
    if len(arguments) == 1 or "--help" in arguments:
        return None
    try:
        parser_of(arguments[0]).parse_args(arguments)
    except ArgumentError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Pictures, a folder of images and masks (DIR), a small model of its classes, and the counts of evaluations."""
    from pixalign.data import open_data
    from pixalign.data.sets.streets import draw_scene

    root = tmp_path_factory.mktemp("docs")
    for i in range(10):
        write_pair(root / "DIR" / "images" / f"img{i}.png", root / "DIR" / "masks" / f"img{i}.png", seed=i)
    for name in ("street.jpg", "photo.jpg"):
        Image.fromarray(draw_scene(0, (96, 128))[0]).save(root / name)
    model = pixalign.create_model("sfnet", encoder="test_resnet", num_classes=3, channels=16).eval()
    pixalign.save(model, root / "runs" / "mine" / "best")
    (root / "results").mkdir()
    pixalign.evaluate(model, open_data("folder", root / "DIR", "val"), per_image=root / "results" / "images.csv")
    for copy in ("results-b", *(f"runs/{method}/seed{seed}" for method in ("flow", "bilinear") for seed in range(3))):
        shutil.copytree(root / "results", root / copy)
    return root


def given(folder: Path) -> dict:
    """The names that a page may use without making them."""
    import torch

    from pixalign.data import open_data

    return {
        "__name__": "page",
        "images": 255 * torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)),
        "model": pixalign.load(folder / "runs" / "mine" / "best"),
        "pairs": open_data("folder", folder / "DIR", "val"),
    }


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if python_blocks(page.read_text())])
def test_the_code_of_a_page_runs(name, prepared, tmp_path, monkeypatch):
    folder = tmp_path / "page"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(pixalign, "push_to_hub", lambda model, repository: None)  # nothing is sent anywhere
    names = given(folder)
    with patch.dict(ALIGNERS):  # a page registers one
        for line, code in python_blocks(PAGES[name].read_text()):
            exec(compile("\n" * line + code, str(PAGES[name]), "exec"), names)  # an error names the page's line


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_parse(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # configurations are named as from the repository
    text = PAGES[name].read_text()
    for command in commands(text):
        fault = fault_of(command)
        assert fault is None, f"{command}: {fault}"
    for command in mentions(text):
        fault = fault_of(command)
        assert fault is None or "arguments are required" in fault, f"{command}: {fault}"


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_somewhere(name):
    text = FENCE.sub("\n", PAGES[name].read_text())
    for match in LINK.finditer(text):
        target = PAGES[name].parent / match["target"].partition("#")[0]
        assert target.exists(), f"{name} links to {match['target']}, which is not there"
        assert ROOT in Path(os.path.abspath(target)).parents


def test_every_public_name_is_on_the_page_of_the_api():
    listed = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert {name for name in pixalign.__all__ if not name.startswith("_")} <= {x.rpartition(".")[2] for x in listed}


def test_wrong_commands_and_blocks_would_be_noticed():
    command = "    torchrun -m pixalign predict \\\n        a.jpg  # one; pixalign two\n"
    block = "```python\n1 / 0\n```\n"
    page = f"Use `pixalign train\n--epocs 3` or\n\n{command}\n{block}"
    assert [words(found) for found in commands(page)] == [["predict", "a.jpg"]]
    assert "required" in fault_of(commands(page)[0])
    assert mentions(page) == ["pixalign train --epocs 3"]
    assert "epocs" in fault_of(mentions(page)[0])
    assert "no command" in fault_of("pixalign trian --epochs 3")
    assert [code for _, code in python_blocks(page)] == ["1 / 0\n"]
    assert python_blocks(page.replace(block, f"<!-- not run: hours -->\n{block}")) == []
