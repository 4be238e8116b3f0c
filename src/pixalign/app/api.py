"""The functions of the page for programs: named endpoints, called with gradio_client or curl (docs/app.md)."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr

from pixalign.app.files import new_file, uploaded
from pixalign.app.sentences import spoken
from pixalign.app.service import Service
from pixalign.app.view import disagreement
from pixalign.data.images import ID_MAP, write_image
from pixalign.predicting import Result


def _functions(service: Service, folder: Path) -> dict[str, Callable[..., Any]]:
    """What runs networks, by the names of the endpoints; files that they write go to ``folder``.

    The arguments are named after the components of `add_api`, and the docstrings are for visitors.
    """

    def segment(image: Any, model: str, backend: str) -> tuple[str, dict[str, Any]]:
        """Ids as a PNG file, and the classes' areas in percent."""
        path = uploaded(image, folder)
        result = service.segment(path, model, backend)
        return write("ids", result, folder, path), summary(result)

    def overlay(image: Any, model: str, backend: str, opacity: float) -> str:
        """The image under the class colors, a PNG file."""
        path = uploaded(image, folder)
        return write("overlay", service.segment(path, model, backend), folder, path, float(opacity))

    def probabilities(image: Any, model: str, backend: str) -> str:
        """A file .npz whose array `probabilities` is float16 of shape (classes, height, width)."""
        path = uploaded(image, folder)
        return write("probabilities", service.segment(path, model, backend, probabilities=True), folder, path)

    def pixel(image: Any, x: float, y: float, model: str, backend: str) -> dict[str, Any]:
        """The class probabilities of a pixel, and where the aligners took its features from."""
        picked = service.pick(uploaded(image, folder), int(x), int(y), model, backend)
        return {
            "pixel": list(picked.pixel),
            "probabilities": dict(picked.probabilities),
            "about": picked.about,
            "geometry": [{"level": title, "what": told} for title, _, told in picked.pictures],
        }

    def compare(
        image: Any, first: str, first_backend: str, second: str, second_backend: str
    ) -> tuple[dict[str, Any], str | None]:
        """Two models on one image: the share of pixels in percent at which they differ, and a map of these."""
        path = uploaded(image, folder)
        comparison = service.compare(path, (first, first_backend), (second, second_backend))
        share = comparison.share
        told = {
            "differ_percent": None if share is None else 100 * share,
            "first": summary(comparison.first),
            "second": summary(comparison.second),
        }
        if share is None:
            return told, None
        file = new_file(folder, f"{path.stem}_disagreement.png")
        write_image(disagreement(comparison), file)
        return told, str(file)

    def batch(images: Any, model: str, backend: str) -> tuple[str, list[str]]:
        """Many images: a zip of ids, overlays and areas.csv, and a line for each image that failed."""
        file = new_file(folder, "segmented.zip")
        paths = [uploaded(image, folder) for image in images or []]
        failed = service.batch(paths, file, model, backend)
        return str(file), failed

    return {function.__name__: function for function in (segment, overlay, probabilities, pixel, compare, batch)}


def add_api(service: Service, folder: Path, queue: str) -> None:
    """Add the endpoints to the page that is being built; those that run networks share the queue of that name."""

    def models() -> dict[str, list[str]]:
        return {name: service.backends(name) for name in service.names}

    with gr.Column(visible=False):
        image = gr.Image(type="filepath", label="image")
        images = gr.File(file_count="multiple", label="images")
        model = gr.Textbox("", label="model", info="one of /models; empty for the first")
        backend = gr.Textbox("", label="backend", info="one of the model's in /models; empty for its first")
        second = gr.Textbox("", label="second model")
        second_backend = gr.Textbox("", label="second back-end")
        opacity = gr.Number(0.5, label="opacity", info="of the colors, 0 to 1")
        x, y = gr.Number(0, label="x", precision=0), gr.Number(0, label="y", precision=0)
        file, told, lines = gr.File(label="file"), gr.JSON(label="result"), gr.JSON(label="failed")
        start = gr.Button()
    asked: dict[str, Any] = {"image": image, "images": images, "opacity": opacity, "x": x, "y": y}
    asked |= {"model": model, "backend": backend, "first": model, "first_backend": backend}
    asked |= {"second": second, "second_backend": second_backend}
    given: dict[str, Any] = {"segment": [file, told], "pixel": [told], "compare": [told, file], "batch": [file, lines]}
    for name, function in _functions(service, folder).items():
        start.click(
            spoken(function),
            [asked[argument] for argument in signature(function).parameters],
            given.get(name, [file]),
            api_name=name,
            api_description=function.__doc__,
            preprocess=False,
            concurrency_id="batch" if name == "batch" else queue,
            concurrency_limit=1,
        )
    start.click(
        spoken(models), None, told, api_name="models", api_description="The models and their back-ends.", queue=False
    )


def summary(result: Result) -> dict[str, Any]:
    """What JSON says of a result: size, classes in the order of the ids, their colors and areas in percent."""
    return {
        "width": result.ids.shape[1],
        "height": result.ids.shape[0],
        "classes": result.classes,
        "colors": result.colors,
        "percent": {name: 100 * share for name, share in result.areas().items()},
    }


def write(kind: str, result: Result, folder: Path, image: Path, opacity: float = 0.5) -> str:
    """Write a result's ids (PNG with the class colors as its palette), overlay (PNG) or probabilities; return the path.

    Probabilities are .npz, float16 (classes, height, width).
    """
    file = new_file(folder, f"{image.stem}_{kind}.{'npz' if kind == 'probabilities' else 'png'}")
    if kind == "ids":
        write_image(result.id_image(), file, **ID_MAP)
    elif kind == "overlay":
        write_image(result.overlay(min(max(opacity, 0.0), 1.0)), file, compress_level=3)
    else:
        result.save_probabilities(file)
    return str(file)
