"""Pages from templates: texts are escaped, what is missing is an error, templates belong to the package."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

import pixalign.pages
from pixalign.pages import render


def test_every_text_is_escaped():
    assert "<b>" not in render("app_batch", count=1, failed=["<b>bold</b>: cannot be read"])


def test_a_value_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError):
        render("app_batch", count=1)


def test_no_python_file_holds_markup():
    source = Path(pixalign.pages.__file__).parents[1]
    holding = [p.relative_to(source) for p in source.rglob("*.py") if "<div" in p.read_text() or "<p>" in p.read_text()]
    assert [str(path) for path in holding] == ["app/page.py"]  # the app's page is gradio's, with an element to draw in
