"""Errors as sentences: what a visitor may read, and nothing of the server's inside."""

import functools
import sys
import traceback
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from pixalign.errors import InputError


def spoken(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose `InputError` the page shows; anything else is printed here and told as a sentence."""

    @functools.wraps(function)
    def speaking(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except InputError as error:
            text = str(error)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            text = "something went wrong on the server: try another image, or try again later"
        if "." not in text.split(":")[0].split(" ")[0]:  # a file keeps its name
            text = text[:1].upper() + text[1:]
        raise gr.Error(escape(text, quote=False), duration=60, print_exception=False)

    return speaking
