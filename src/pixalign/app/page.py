"""The page: what visitors see of a `Service`, built with gradio; `pixalign.app.api` adds its functions for programs."""

import os
import random
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like

from pixalign.app.api import add_api, write
from pixalign.app.files import keep_swept, new_file, uploaded
from pixalign.app.sentences import spoken
from pixalign.app.service import BACKENDS, Service
from pixalign.app.view import disagreement_panel, picked_panel, verdict, viewed
from pixalign.data.sets.streets import draw_scene
from pixalign.errors import InputError
from pixalign.pages import render
from pixalign.predicting import Result

_HERE = Path(__file__).parent
_QUEUE = "network"  # the events of this queue take turns: one network runs at a time
_WAITING = 200  # requests in the queue before the next one is turned away
_SESSIONS = 200  # visitors whose last result is remembered
_HINT = "Drop a photograph, or draw a street, and see which class every pixel belongs to."
_PICK = (
    "<p class=hint>Click into the picture: how sure the network is there, and where it took its features from. Click a "
    "class in the list to see it alone.</p>"
)
_DOWNLOADS = {"ids": "Ids (PNG)", "overlay": "Overlay (PNG)", "probabilities": "Probabilities (NPZ)"}
_PROGRESS = gr.Progress()
_SYSTEM = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
_SYSTEM_MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


@dataclass
class Server:
    """A page that is being served.

    Attributes:
        address: such as http://127.0.0.1:7860/.
        page: gradio's.
    """

    address: str
    page: gr.Blocks
    folder: Path
    closed: threading.Event

    def close(self) -> None:
        """Stop serving, and delete all uploads and downloads."""
        self.closed.set()
        self.page.close(verbose=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def launch(service: Service, host: str = "127.0.0.1", port: int = 7860) -> Server:
    """Serve the page in threads of this process and return at once.

    Args:
        service: what it offers.
        host: the address to listen at; 0.0.0.0 for all of the machine's.
        port: a free one.

    Raises:
        InputError: the port is in use, or the host is none of the machine's.
    """
    _check_free(host, port)
    folder = Path(tempfile.mkdtemp(prefix="pixalign-app-")).resolve()
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # read when the page is built, and at each upload
    page = build_page(service, folder)
    page.queue(max_size=_WAITING, default_concurrency_limit=1)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            show_error=True,
            max_threads=16,
            max_file_size=service.limits.upload,
            state_session_capacity=_SESSIONS,
            enable_monitoring=False,
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            footer_links=["api"],
            favicon_path=str(_HERE / "favicon.svg"),
            theme=_theme(),
            css=(_HERE / "page.css").read_text(encoding="utf-8"),
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"{host}:{port}: cannot be served at ({error}): choose another --port") from error
    closed = threading.Event()
    threading.Thread(target=keep_swept, args=(folder, page.temp_file_sets, closed), daemon=True).start()
    return Server(f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/", page, folder, closed)


def build_page(service: Service, folder: Path) -> gr.Blocks:
    """The page, not yet served. Uploads must come to ``folder``; downloads are written there."""
    with gr.Blocks(title="pixalign", analytics_enabled=False, fill_width=True) as page:
        add_api(service, folder, _QUEUE)  # first: its names are the plain ones
        gr.HTML(
            "<h1>pixalign</h1><p>Which class every pixel of a street belongs to, and where the network looked.</p>",
            elem_id="title",
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                image, model, backend, draw, run = _add_controls(service)
            with gr.Column(scale=5, min_width=320), gr.Tabs(elem_id="tabs"):
                with gr.Tab("Result", id="result", elem_id="tab-result"):
                    _add_result(service, folder, image, model, backend, draw, run)
                with gr.Tab("Compare", id="compare", elem_id="tab-compare"):
                    _add_comparison(service, folder, image, model, backend)
                with gr.Tab("Batch", id="batch", elem_id="tab-batch"):
                    _add_batch(service, folder, model, backend)
    for block in page.blocks.values():
        _take_no_addresses(block)
    return page


def _add_controls(service: Service) -> tuple[Any, ...]:
    image = gr.Image(
        type="filepath",
        format="png",
        sources=["upload", "clipboard", "webcam"],
        label="Image",
        elem_id="image",
        height=260,
        buttons=[],
        placeholder="Drop an image here, or click to choose one",
    )
    draw = gr.Button("Draw a street", elem_id="draw-street")
    model = gr.Dropdown(
        service.names,
        value=service.names[0],
        label="Model",
        elem_id="model",
        allow_custom_value=service.allow_hub,
        info="or any model of the Hub, owner/name" if service.allow_hub else None,
    )
    backend = _backends(service, model, elem_id="backend", label="Back-end")
    run = gr.Button("Segment", variant="primary", elem_id="segment")
    return image, model, backend, draw, run


def _add_result(service: Service, folder: Path, image: Any, model: Any, backend: Any, draw: Any, run: Any) -> None:
    shown = gr.State(None)  # what the viewer shows: image, model, back-end
    viewer = _viewer("viewer", "Result", pickable=True)
    with gr.Row(elem_id="downloads", visible=False) as downloads:
        gr.HTML("Download", min_width=80)
        buttons = {
            kind: gr.Button(text, size="sm", elem_id=f"download-{kind}", min_width=110)
            for kind, text in _DOWNLOADS.items()
        }
    panel = gr.HTML("", elem_id="pixel")
    file = gr.File(visible=False)
    opacity = gr.Number(0.5, visible=False)

    def segment(payload: Any, model: str, backend: str) -> tuple[Any, ...]:
        path = uploaded(payload, folder)
        value = _timed(service, lambda: service.segment(path, model, backend), model, backend)
        return value, (str(path), model, backend), _PICK, gr.update(visible=True)

    def pick(shown: tuple[str, str, str] | None, event: gr.EventData) -> str:
        path, *which = _remembered(shown, folder)
        return picked_panel(service.pick(path, int(event.x), int(event.y), *which))

    def save(kind: str, shown: Any, opacity: float) -> str:
        path, model, backend = _remembered(shown, folder)
        result = service.segment(path, model, backend, probabilities=kind == "probabilities")
        return write(kind, result, folder, path, opacity)

    outputs = [viewer, shown, panel, downloads]
    waiting = {"preprocess": False, "show_progress_on": viewer, **_hidden(_QUEUE)}
    run.click(spoken(segment), [image, model, backend], outputs, **waiting)
    drawn = draw.click(spoken(_draw), None, image, **_hidden("drawing"))
    drawn.success(spoken(segment), [image, model, backend], outputs, **waiting)
    viewer.pick(spoken(pick), shown, panel, **_hidden(_QUEUE))
    for kind, button in buttons.items():
        done = button.click(spoken(partial(save, kind)), [shown, opacity], file, js=_READ_OPACITY, **_hidden(_QUEUE))
        done.success(None, file, None, js=_SAVE)


_READ_OPACITY = "(shown, opacity) => [shown, Number(document.querySelector('#viewer-opacity').value) / 100]"
_SAVE = """(file) => {
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name || file.path.split("/").pop();
  document.body.append(link);
  link.click();
  link.remove();
}"""


def _add_comparison(service: Service, folder: Path, image: Any, model: Any, backend: Any) -> None:
    names = service.names
    with gr.Row():
        second = gr.Dropdown(
            names,
            value=names[-1],
            label="Second model",
            elem_id="second-model",
            allow_custom_value=service.allow_hub,
        )
        other = 1 if len(names) == 1 < len(service.backends(names[0])) else 0  # a model is not compared with itself
        second_backend = _backends(service, second, other, elem_id="second-backend", label="Its back-end")
    start = gr.Button("Compare", variant="primary", elem_id="compare")
    told = gr.HTML("", elem_id="verdict")
    with gr.Row():
        with gr.Column(min_width=300):
            one = _viewer("viewer-first", "The first model's result", hint="The first model's result comes here.")
        with gr.Column(min_width=300):
            two = _viewer("viewer-second", "The second model's result", hint="The second model's result comes here.")

    apart = gr.HTML("", elem_id="disagreement")

    def compare(payload: Any, *which: str) -> tuple[Any, ...]:
        comparison = service.compare(uploaded(payload, folder), (which[0], which[1]), (which[2], which[3]))
        titles = [_title(service, *pair) for pair in (which[:2], which[2:])]
        return (
            viewed(comparison.first, titles[0]),
            viewed(comparison.second, titles[1]),
            verdict(comparison),
            disagreement_panel(comparison),
        )

    inputs = [image, model, backend, second, second_backend]
    start.click(spoken(compare), inputs, [one, two, told, apart], preprocess=False, **_hidden(_QUEUE))


def _add_batch(service: Service, folder: Path, model: Any, backend: Any) -> None:
    limits = service.limits
    gr.HTML(
        f"<p>Up to {limits.files} images by the chosen model: a zip of id maps, overlays and a table of areas.</p>",
        elem_classes="note",
    )
    images = gr.File(file_count="multiple", file_types=["image"], label="Images", elem_id="batch-images", height=180)
    start = gr.Button("Segment all", variant="primary", elem_id="batch")
    file = gr.File(label="Results", elem_id="batch-file", interactive=False, visible=False)
    told = gr.HTML("", elem_id="batch-note", elem_classes="note")

    def batch(payloads: Any, model: str, backend: str, progress: Any = _PROGRESS) -> tuple[Any, ...]:
        paths = [uploaded(payload, folder) for payload in payloads or []]
        out = new_file(folder, "segmented.zip")
        failed = service.batch(paths, out, model, backend, lambda done: progress((done, len(paths)), unit="images"))
        return gr.update(value=str(out), visible=True), render("app_batch", count=len(paths), failed=failed)

    start.click(spoken(batch), [images, model, backend], [file, told], preprocess=False, **_hidden("batch"))


def _viewer(name: str, label: str, pickable: bool = False, hint: str = _HINT) -> Any:
    return gr.HTML(
        None,
        label=label,
        elem_id=name,
        html_template="<div class='viewer'></div>",
        js_on_load=(_HERE / "viewer.js").read_text(encoding="utf-8"),
        prefix=name,
        pickable=pickable,
        hint=hint,
    )


def _backends(service: Service, model: Any, chosen: int = 0, **options: Any) -> Any:
    """A choice of back-ends that follows the choice of a model."""

    def offered(name: str) -> list[tuple[str, str]]:
        return [(BACKENDS[key], key) for key in service.backends(name)]

    def update(name: str, chosen: str) -> Any:
        keys = service.backends(name)
        return gr.update(choices=offered(name), value=chosen if chosen in keys else keys[0])

    choices = offered(model.value)
    backend = gr.Dropdown(choices, value=choices[chosen][1], **options)
    model.change(spoken(update), [model, backend], backend, preprocess=False, queue=False, api_visibility="private")
    return backend


def _draw() -> Any:
    return draw_scene(random.randrange(1_000_000), (360, 480))[0]


def _timed(service: Service, segment: Callable[[], Result], model: str, backend: str) -> dict[str, Any]:
    begin = time.perf_counter()
    result = segment()
    seconds = time.perf_counter() - begin
    height, width = result.ids.shape
    return viewed(result, f"{_title(service, model, backend)} · {width} × {height} pixels · {seconds:.2f}\u00a0s")


def _title(service: Service, model: str, backend: str) -> str:
    return f"{model or service.names[0]} · {BACKENDS.get(backend, backend)}"


def _remembered(shown: tuple[str, str, str] | None, folder: Path) -> tuple[Path, str, str]:
    if not shown:
        raise InputError("the result is no longer known here: press Segment again")
    return uploaded({"path": shown[0]}, folder), shown[1], shown[2]


def _hidden(queue: str) -> dict[str, Any]:
    """For events of the page alone, which take turns with those of the same queue."""
    return {"api_visibility": "private", "concurrency_id": queue, "concurrency_limit": 1}


def _take_no_addresses(block: Any) -> None:
    """Have a component refuse the address of a file on another server, which gradio would fetch."""
    fetch = getattr(block, "async_move_resource_to_block_cache", None)
    if fetch is None:
        return

    async def refuse(path: Any) -> Any:
        if is_http_url_like(str(path)):
            raise gr.Error("This is an address: upload the file itself", print_exception=False)
        return await fetch(path)

    block.async_move_resource_to_block_cache = refuse


def _check_free(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise InputError(f"--port is {port}: give one from 1 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise InputError(
            f"{host}:{port}: cannot be listened at ({error.strerror or error}): choose another --port or --host"
        ) from error


_COLORS = {  # by day and by night
    "body_background_fill": ("#fcfcfa", "#151618"),
    "body_text_color": ("#1c1c1e", "#ececee"),
    "body_text_color_subdued": ("#5f5f66", "#a9abb2"),
    "block_background_fill": ("#ffffff", "#1d1e21"),
    "border_color_primary": ("#e0e0dc", "#34363b"),
    "block_label_text_color": ("#1c1c1e", "#ececee"),
    "border_color_accent": ("#1b6638", "#9bdfb1"),
    "color_accent_soft": ("#e9f5ed", "#14331f"),
    "link_text_color": ("#1b6638", "#9bdfb1"),
    "button_primary_background_fill": ("#1b6638", "#9bdfb1"),
    "button_primary_background_fill_hover": ("#104a26", "#c9f2d6"),
    "button_primary_text_color": ("#ffffff", "#10261a"),
    "loader_color": ("#1b6638", "#9bdfb1"),
    "slider_color": ("#1b6638", "#9bdfb1"),
}


def _theme() -> gr.themes.Base:
    colors = {f"{name}{end}": color for name, both in _COLORS.items() for end, color in zip(("", "_dark"), both)}
    base = gr.themes.Base(font=_SYSTEM, font_mono=_SYSTEM_MONO, radius_size="md")
    return base.set(color_accent="#1b6638", **colors)
