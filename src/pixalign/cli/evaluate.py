"""Measure a model on a split: mIoU, IoU per class, accuracies, at the labels' own size."""

from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from pixalign.cli.mode import add_data_arguments, add_device_arguments, add_mode_arguments, mode_in_words, mode_of

if TYPE_CHECKING:
    from pixalign.runtime import Runtime

HELP = "measure a model on labeled images"
rewritten = mode_in_words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="default, another bundled name, a folder, a Hub id, FILE.onnx or FILE.xml")
    add_data_arguments(parser)
    parser.add_argument("--data.split", default="val", help="split to measure on")
    parser.add_argument(
        "--out", type=str | None, help="folder for metrics.json, classes.csv, images.csv and the report, index.html"
    )
    add_device_arguments(parser)
    add_mode_arguments(parser)


def run(args: Namespace) -> int:
    from functools import partial
    from pathlib import Path

    from rich.console import Console

    from pixalign.data import open_data
    from pixalign.evaluating import evaluate, result_table, write_result
    from pixalign.evaluating.report import shown_images, write_report
    from pixalign.predicting.inference import predict_ids
    from pixalign.progress import counted
    from pixalign.runtime import open_runtime
    from pixalign.weights import check_classes

    console = Console()
    mode = mode_of(args)
    runtime = open_runtime(args.model, device=args.device, precision=args.precision)
    channels = runtime.config.in_channels
    pairs = open_data(
        args.data.name, args.data.root, args.data.split, args.data.mask_template, channels, args.data.groups
    )
    check_classes(runtime.config.classes, pairs.classes)
    per_image = Path(args.out) / "images.csv" if args.out else None
    with counted(console, pairs.name, len(pairs)) as advance:
        result = evaluate(runtime, pairs, mode=mode, boundary=True, per_image=per_image, advance=advance)
    if per_image:
        write_result(result, args.out)
    console.print(result_table(result))
    if per_image:
        with counted(console, "report", shown_images(pairs)) as advance:
            report = write_report(
                result,
                pairs,
                partial(predict_ids, runtime, mode=mode),
                args.out,
                per_image=per_image,
                model=args.model,
                about=_about(runtime),
                advance=advance,
            )
        console.print(f"written: metrics.json, classes.csv and images.csv in {args.out}", highlight=False, markup=False)
        console.print(f"report: {report}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _about(runtime: "Runtime") -> str:
    """What a network is, in a line."""
    from pixalign.runtime import BACKENDS

    config = runtime.config
    encoder = config.arguments.get("encoder")
    name = f"{config.architecture}{f' with encoder {encoder}' if encoder else ''}"
    if runtime.network is None:
        return f"{name}, {config.more.get('precision', 'exported')}, run by {BACKENDS[runtime.backend]}"
    millions = sum(parameter.numel() for parameter in runtime.network.parameters()) / 1e6
    return f"{name}, {millions:.1f} M parameters"
