"""A page for trying models in a browser, and the same functions for programs (`pixalign app`)."""

from pixalign.errors import InputError

try:
    import gradio  # noqa: F401
except ImportError as error:
    raise InputError("the page needs gradio, which is not installed: pip install 'pixalign[app]'") from error
