"""Segment an image, or a drawn street scene, with the bundled model, and lay the pictures side by side."""

from typing import Any

HELP = "show what the bundled model does, on an image or a drawn street"
_SEED = 362  # a street by day with something of every class


def add_arguments(parser: Any) -> None:
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image (default: a drawn street with its label)")
    parser.add_argument("--out", default="pixalign_demo", metavar="DIR", help="folder for the pictures")
    parser.add_argument(
        "--model", default="default", help="default, another bundled name, a folder, a file or a Hub id"
    )


def run(args: Any) -> int:
    from pathlib import Path

    from PIL import Image
    from rich.console import Console
    from rich.table import Table

    from pixalign.data.images import write_image
    from pixalign.data.sets.camvid import CLASSES
    from pixalign.data.sets.streets import draw_scene
    from pixalign.metrics.confusion import confusion_matrix, summary
    from pixalign.pages.sheet import Panel, draw_sheet
    from pixalign.predicting import Predictor
    from pixalign.predicting.result import draw_overlay

    predictor = Predictor(args.model)
    if args.image:
        result, label = predictor(args.image), None
        name, title = Path(args.image).stem, Path(args.image).name
    else:
        picture, label = draw_scene(_SEED)
        result = predictor(picture)
        name, title = "street", "A drawn street"
    classes, colors, areas = result.classes, result.colors, result.areas()
    scores = None
    if label is not None and classes == CLASSES:
        scores = summary(confusion_matrix(result.ids, label, len(classes)), classes)

    panels = [Panel("image", Image.fromarray(result.image.squeeze())), Panel("prediction", result.overlay(0.6))]
    if label is not None and scores:
        panels.append(Panel("label", draw_overlay(result.image, label, colors, 0.6)))
    shown = [i for i, name_ in enumerate(classes) if areas[name_] or (scores and scores["iou"][name_] is not None)]
    model = f"{predictor.config.architecture} with {predictor.config.arguments['encoder']}"
    sheet = draw_sheet(
        title,
        f"{model}, {len(classes)} classes" + (f", mIoU {scores['miou']:.1%} on this picture" if scores else ""),
        panels,
        [(classes[i], colors[i], f"{areas[classes[i]]:.1%}") for i in shown],
    )
    out = Path(args.out)
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
    return 0
