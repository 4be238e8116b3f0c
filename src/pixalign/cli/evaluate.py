"""Measure a model on a split: mIoU, IoU per class, accuracies, at the labels' own size."""

from jsonargparse import ArgumentParser, Namespace

HELP = "measure a model on labelled images"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="default, another bundled name, a folder, a file, or a Hub id")
    parser.add_argument(
        "--data.name", default="folder", help="folder for any folder of images/ and masks/, camvid, or streets (drawn)"
    )
    parser.add_argument("--data.root", default="", help="where the data is")
    parser.add_argument("--data.mask_template", default="", help="an image's mask, such as masks/{stem}_mask.png")
    parser.add_argument("--data.split", default="val", help="split to measure on")
    parser.add_argument("--out", type=str | None, help="folder for metrics.json, classes.csv and images.csv")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the network runs")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of the network")


def run(args: Namespace) -> int:
    from pathlib import Path

    from rich.console import Console
    from rich.progress import Progress

    from pixalign.data import open_data
    from pixalign.evaluation import evaluate, result_table, write_result
    from pixalign.predict import pick_device
    from pixalign.weights import check_classes, load

    console = Console()
    model = load(args.model, device=pick_device(args.device))
    channels: int = model.config["arguments"]["in_channels"]  # type: ignore[index, assignment]
    pairs = open_data(args.data.name, args.data.root, args.data.split, args.data.mask_template, channels)
    check_classes(model, pairs.classes)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(pairs.name, total=len(pairs))
        per_image = Path(args.out) / "images.csv" if args.out else None
        result = evaluate(
            model,
            pairs,
            precision=args.precision,
            boundary=True,
            per_image=per_image,
            advance=lambda count: bar.advance(task, count),
        )
    console.print(result_table(result))
    if args.out:
        write_result(result, args.out)
        console.print(f"written: metrics.json, classes.csv and images.csv in {args.out}", highlight=False)
    return 0
