"""Compare methods under one recipe: train what is missing, measure, and write a table with intervals and a page."""

from jsonargparse import ArgumentParser, Namespace

from pixalign.training.values import Count

HELP = "train and measure several methods under one recipe"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--config", required=True, help="YAML file: methods, baseline, recipe, splits, seeds, out")
    parser.add_argument("--root", default="", help="where the data is, in place of the recipe's data.root")
    parser.add_argument("--out", default="", help="folder of runs and report, in place of the file's")
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="train these alone")
    parser.add_argument("--jobs", type=Count | None, help="trainings at a time (default: one per GPU, or one on a CPU)")
    parser.add_argument("--report-only", action="store_true", help="train nothing: report on what is done")


def run(args: Namespace) -> int:
    from rich.console import Console

    from pixalign.comparing import compare, result_table

    console = Console()
    only = [name for word in args.only for name in word.split(",") if name]
    results = compare(args.config, args.root, args.out, only, args.jobs, args.report_only, console)
    console.print(result_table(results, console.width))
    console.print(
        f"written: {results['out']}/index.html, table.md, table.csv, results.json, plot.png",
        highlight=False,
        markup=False,
    )
    return int(any(run["state"] == "failed" for run in results["unfinished"]))
