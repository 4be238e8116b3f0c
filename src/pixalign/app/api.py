"""The functions of the page for programs: named endpoints, called with gradio_client or curl (docs/app.md)."""

from collections.abc import Callable
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
    """What runs networks, by the names of the endpoints; files that they write go to ``folder``."""

    def segment(image: Any, model: str, backend: str) -> tuple[str, dict[str, Any]]:
        path = uploaded(image, folder)
        result = service.segment(path, model, backend)
        return write_ids(result, folder, path), summary(result)

    def overlay(image: Any, model: str, backend: str, opacity: float) -> str:
        path = uploaded(image, folder)
        return write_overlay(service.segment(path, model, backend), folder, path, float(opacity))

    def probabilities(image: Any, model: str, backend: str) -> str:
        path = uploaded(image, folder)
        return write_probabilities(service.segment(path, model, backend, probabilities=True), folder, path)

    def pixel(image: Any, x: float, y: float, model: str, backend: str) -> dict[str, Any]:
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
    endpoints: list[tuple[str, list[Any], list[Any], str]] = [
        (
            "segment",
            [image, model, backend],
            [file, told],
            "Ids as a PNG file, and the classes' areas in percent.",
        ),
        ("overlay", [image, model, backend, opacity], [file], "The image under the class colors, a PNG file."),
        (
            "probabilities",
            [image, model, backend],
            [file],
            "A file .npz whose array `probabilities` is float16 of shape (classes, height, width).",
        ),
        (
            "pixel",
            [image, x, y, model, backend],
            [told],
            "The class probabilities of a pixel, and where the aligners took its features from.",
        ),
        (
            "compare",
            [image, model, backend, second, second_backend],
            [told, file],
            "Two models on one image: the share of pixels in percent at which they differ, and a map of these.",
        ),
        (
            "batch",
            [images, model, backend],
            [file, lines],
            "Many images: a zip of ids, overlays and areas.csv, and a line for each image that failed.",
        ),
    ]
    functions = _functions(service, folder)
    for name, inputs, outputs, about in endpoints:
        start.click(
            spoken(functions[name]),
            inputs,
            outputs,
            api_name=name,
            api_description=about,
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


def write_ids(result: Result, folder: Path, image: Path) -> str:
    """Write the ids as a PNG with the class colors as its palette; return the path."""
    file = new_file(folder, f"{image.stem}_ids.png")
    write_image(result.id_image(), file, **ID_MAP)
    return str(file)


def write_overlay(result: Result, folder: Path, image: Path, opacity: float) -> str:
    """Write the overlay as a PNG; return the path."""
    file = new_file(folder, f"{image.stem}_overlay.png")
    write_image(result.overlay(min(max(opacity, 0.0), 1.0)), file, compress_level=3)
    return str(file)


def write_probabilities(result: Result, folder: Path, image: Path) -> str:
    """Write the probabilities as .npz, float16 (classes, height, width); return the path."""
    file = new_file(folder, f"{image.stem}_probabilities.npz")
    result.save_probabilities(file)
    return str(file)
