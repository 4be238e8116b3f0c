"""Segment an image, or a drawn picture of what each bundled model knows, and lay the results side by side."""

from typing import Any

HELP = "show what the bundled models do, on drawn pictures or an image"
_MODELS = ("default", "vessels", "nuclei")


def add_arguments(parser: Any) -> None:
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image (default: drawn ones with their labels)")
    parser.add_argument("--out", default="pixalign_demo", metavar="DIR", help="folder for the pictures")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a bundled name, a folder, a file or a Hub id (default: for an image 'default', for a drawn one its own)",
    )


def run(args: Any) -> int:
    from pathlib import Path

    from pixalign.predicting import Predictor
    from pixalign.weights import bundled

    out = Path(args.out)
    if args.image:
        _show(Predictor(args.model or "default"), args.image, None, Path(args.image).stem, Path(args.image).name, out)
        return 0
    for model in (args.model,) if args.model else (_MODELS[0], *(name for name in _MODELS[1:] if name in bundled())):
        predictor = Predictor(model)
        _show(predictor, *_drawn(predictor.config.classes), out)
    return 0


def _drawn(classes: list[str]) -> tuple[Any, Any, str, str]:
    """A drawn picture for a model of these classes: image, label (None if it is of others), name and title."""
    from pixalign.data.sets import drawings
    from pixalign.data.sets.camvid import CLASSES
    from pixalign.data.sets.streets import draw_scene

    if classes == drawings.RETINA:
        return *drawings.draw_retina(1), "retina", "A drawn retina"
    if classes == drawings.NUCLEI:
        return *drawings.draw_nuclei(0), "nuclei", "Drawn cell nuclei"
    image, label = draw_scene(362)  # a street by day with something of every class
    return image, label if classes == CLASSES else None, "street", "A drawn street"


def _show(predictor: Any, image: Any, label: Any, name: str, title: str, out: Any) -> None:
    """Write the pictures of one image, and print a table of its classes."""
    from PIL import Image
    from rich.console import Console
    from rich.table import Table

    from pixalign.data.images import write_image
    from pixalign.metrics.confusion import confusion_matrix, summary
    from pixalign.pages.sheet import Panel, draw_sheet
    from pixalign.predicting.result import draw_overlay

    result = predictor(image)
    classes, colors, areas = result.classes, result.colors, result.areas()
    scores = None if label is None else summary(confusion_matrix(result.ids, label, len(classes)), classes)
    panels = [Panel("image", Image.fromarray(result.image.squeeze())), Panel("prediction", result.overlay(0.6))]
    if scores:
        panels.append(Panel("label", draw_overlay(result.image, label, colors, 0.6)))
    shown = [i for i, name_ in enumerate(classes) if areas[name_] or (scores and scores["iou"][name_] is not None)]
    model = f"{predictor.config.architecture} with {predictor.config.arguments['encoder']}"
    sheet = draw_sheet(
        title,
        f"{model}, {len(classes)} classes" + (f", mIoU {scores['miou']:.1%} on this picture" if scores else ""),
        panels,
        [(classes[i], colors[i], f"{areas[classes[i]]:.1%}") for i in shown],
    )
    if label is not None:
        write_image(panels[0].picture, out / f"{name}_image.png")
    result.save(out, name)
    write_image(sheet, out / f"{name}_sheet.png")

    table = Table(title=title)
    table.add_column("class")
    table.add_column("share", justify="right")
    if scores:
        table.add_column("IoU", justify="right")
    for i in sorted(shown, key=lambda i: -areas[classes[i]]):
        iou = [f"{scores['iou'][classes[i]] or 0:.1%}"] if scores else []
        table.add_row(classes[i], f"{areas[classes[i]]:.1%}", *iou)
    console = Console()
    console.print(table)
    if scores:
        console.print(
            f"mIoU {scores['miou']:.1%} on this drawn picture, which no model here was trained on", highlight=False
        )
    print(f"side by side: {out / f'{name}_sheet.png'}")
    print(f"id map and overlay: {out / f'{name}.png'}, {out / f'{name}_overlay.jpg'}")
