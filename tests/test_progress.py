"""Progress: a bar on a terminal, elsewhere nothing or a line for every tenth."""

import io

import pytest
from rich.console import Console

from pixalign.progress import counted, images_done


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_for_terminals(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with counted(console, "reading", 3) as advance:
        advance(2)
    assert ("reading" in console.file.getvalue()) == terminal


def test_elsewhere_every_tenth_of_many_images_is_a_line(capsys):
    with images_done(20, show=True) as advance:
        for _ in range(20):
            advance()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f"{done}/20" for done in range(2, 21, 2)]


@pytest.mark.parametrize(("total", "show"), [(10, True), (0, True), (20, False)])
def test_few_images_or_none_to_be_shown_print_nothing(capsys, total, show):
    with images_done(total, show) as advance:
        for _ in range(total):
            advance()
    assert capsys.readouterr().out == ""
