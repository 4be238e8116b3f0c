"""Fit a model's class biases to the mean IoU on labeled images, and save the model with them.

One number per class is added to the logits and becomes part of the last layer's bias: nothing is slower for it. Fit on
the images that the model was trained on (--data.split, by default train); what it brings is shown on --data.val.
"""

from jsonargparse import ArgumentParser, Namespace

from pixalign.cli.mode import add_data_arguments, add_device_arguments

HELP = "fit a trained model's class thresholds to the mean IoU"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="default, another bundled name, a folder or a Hub id")
    add_data_arguments(parser)
    parser.add_argument("--data.split", default="train", help="split to fit on")
    parser.add_argument("--data.val", default="val", help="split to show the gain on")
    parser.add_argument("--out", required=True, help="folder for the adjusted model")
    add_device_arguments(parser)


def run(args: Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pixalign.data import open_data
    from pixalign.evaluating import evaluate
    from pixalign.evaluating.biases import fit_biases
    from pixalign.progress import counted
    from pixalign.runtime import pick_device
    from pixalign.text import points
    from pixalign.weights import check_classes, load, save

    console = Console()
    model = load(args.model).to(pick_device(args.device))
    channels = model.config.in_channels
    fitted, val = (
        open_data(args.data.name, args.data.root, split, args.data.mask_template, channels, args.data.groups)
        for split in (args.data.split, args.data.val)
    )
    check_classes(model.config.classes, fitted.classes)
    with counted(console, f"fitting on {fitted.name}", min(len(fitted), 500)) as advance:
        adjusted, biases = fit_biases(model, fitted, args.precision, advance)
    with counted(console, f"{val.name}, before and after", 2 * len(val)) as advance:
        results = [evaluate(network, val, precision=args.precision, advance=advance) for network in (model, adjusted)]
    table = Table("class", "bias", "IoU % before", "after", title=Text(f"{val.name}: {len(val)} images"))
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [
        (name, f"{bias:+.1f}", *(r["iou"].get(name) for r in results)) for name, bias in zip(fitted.classes, biases)
    ]
    for name, bias, *scores in rows:
        table.add_row(Text(name), bias, *map(points, scores))
    table.add_section()
    table.add_row("mean over classes", "", *(points(r["miou"]) for r in results))
    adjusted.config.data["biases_fitted_on"] = fitted.name
    saved = save(adjusted, args.out, results[1:])
    console.print(table)
    console.print(f"saved: {saved}", highlight=False, markup=False, soft_wrap=True)
    return 0
