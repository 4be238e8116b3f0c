"""Look at data: `check` reads every pair of every split and reports all problems; `list` names the known data sets."""

from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from pixalign.training.values import Count

if TYPE_CHECKING:
    from rich.console import Console

    from pixalign.checking.report import Problem, Report

_CLASSES, _LINES = 40, 13  # the most that the terminal shows

HELP = "look at a data set before training, or list those that are known"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=["check", "list"],
        help="check: read every pair of every split, report all problems; list: the data sets, or the classes of one",
    )
    parser.add_argument("what", nargs="?", metavar="DIR|NAME", help="check: where the data is; list: a data set's name")
    parser.add_argument("--data.name", default="folder", help="data set at DIR: folder, or one that `list` names")
    parser.add_argument(
        "--data.mask_template", default="", help="an image's mask below DIR, such as masks/{stem}_mask.png"
    )
    parser.add_argument("--data.groups", default="", help="as in training: which images belong together")
    parser.add_argument("--data.channels", type=Count, default=3, help="bands of the images")
    parser.add_argument("--out", default="pixalign_check", help="folder for index.html, report.json and sheet.jpg")


def run(args: Any) -> int:
    from pixalign.errors import InputError

    if args.action == "check":
        if args.what is None:
            raise InputError("data check needs the folder of the data: pixalign data check DIR")
        return _check(args)
    return _list_classes(args.what) if args.what else _list_sets()


def _check(args: Any) -> int:
    from rich.console import Console
    from rich.progress import TaskID

    from pixalign.checking import check_data, write_report
    from pixalign.errors import InputError
    from pixalign.progress import bars

    console = Console(highlight=False)
    with bars(console) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(split: str, done: int, total: int) -> None:
            if split not in tasks:
                tasks[split] = bar.add_task(split, total=total)
            bar.update(tasks[split], completed=done)

        data = args.data
        report = check_data(data.name, args.what, data.mask_template, data.channels, progress, data.groups)
    page = write_report(report, args.out)
    _print(console, report)
    console.print(f"page: {page}", soft_wrap=True, markup=False)
    if not report.ready:
        raise InputError(f"{report.summary()}: fix them; {page} shows them all")
    return 0


def _list_sets() -> int:
    from rich.console import Console
    from rich.table import Table

    from pixalign.data.catalog import CATALOG

    console = Console(highlight=False)
    table = Table(title="data sets: --data.name NAME --data.root DIR")
    table.add_column("name", no_wrap=True)
    table.add_column("classes", justify="right")
    table.add_column("splits")
    table.add_column("labels")
    for name, entry in CATALOG.items():
        count = str(len(entry.classes)) if entry.classes else "the data's"
        table.add_row(name, count, " ".join(entry.splits), entry.protocol)
    console.print(table)
    for heading, lines in (
        ("What DIR holds", {name: entry.folders for name, entry in CATALOG.items()}),
        ("Terms of use", {name: entry.terms for name, entry in CATALOG.items()}),
        ("The classes of one, with their colors", {"pixalign data list NAME": ""}),
    ):
        console.print(f"\n{heading}", style="bold")
        for name, line in lines.items():
            console.print(f"  {name:<18}{line}".rstrip(), soft_wrap=True, markup=False)
    return 0


def _list_classes(name: str) -> int:
    from rich.console import Console
    from rich.text import Text

    from pixalign.data.catalog import CATALOG
    from pixalign.errors import InputError

    if name not in CATALOG:
        raise InputError(f"data set {name!r} is unknown: choose one of {', '.join(CATALOG)}")
    console, entry = Console(highlight=False), CATALOG[name]
    for key, value in (
        ("splits", " ".join(entry.splits)),
        ("labels", entry.protocol),
        ("data.root holds", entry.folders),
        ("terms of use", entry.terms),
    ):
        console.print(f"{key}: {value}", soft_wrap=True, markup=False)
    if not entry.classes:
        console.print("classes: what the data says")
    for i, (label, (red, green, blue)) in enumerate(zip(entry.classes, entry.colors)):
        line = Text(f"{i:>4}  ")
        line.append("██", f"rgb({red},{green},{blue})")
        line.append(f"  #{red:02x}{green:02x}{blue:02x}  {label}")
        console.print(line)
    return 0


def _print(console: "Console", report: "Report") -> None:
    """The splits, the shares of the classes, the problems, and the verdict."""
    from rich.table import Table
    from rich.text import Text

    from pixalign.checking.page import sizes_text
    from pixalign.text import percent, shown

    table = Table(title=Text(shown(report.source, 76)))
    for heading in ("split", "pairs", "labeled"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    table.add_column("width x height")
    for split in report.splits:
        table.add_row(split.name, f"{len(split.pairs):,}", percent(split.labeled()), sizes_text(split))
    if report.layout:
        console.print(shown(report.layout), soft_wrap=True, markup=False)
    console.print(table)
    if report.labels.classes:
        shares = Table(title="share of the labeled pixels")
        shares.add_column("class", overflow="fold")
        for split in report.splits:
            shares.add_column(Text(shown(split.name)))
        width = max(4, (console.width - 30) // len(report.splits) - 13)
        widest = max((max(split.shares()) for split in report.splits), default=0) or 1
        for i, (name, color) in [*enumerate(zip(report.labels.classes, report.labels.colors))][:_CLASSES]:
            cells = []
            for split in report.splits:
                share = split.shares()[i]
                cell = Text(f"{percent(share):>8} ")
                cell.append(_bar(width * share / widest), f"rgb({','.join(map(str, color))})")
                cells.append(cell)
            shares.add_row(Text(shown(name, 24)), *cells)
        console.print(shares)
        if (left := len(report.labels.classes) - _CLASSES) > 0:
            console.print(f"and {left} further classes, listed on the page")
    for problem in report.problems:
        _print_problem(console, problem)
    style = "green" if not report.problems else "yellow" if report.ready else "bold red"
    console.print(Text(f"\n{report.verdict()}", style))


def _bar(length: float) -> str:
    """A bar of so many characters, in eighths; never quite nothing."""
    eighths = max(round(8 * length), length > 0)
    return "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]


def _print_problem(console: "Console", problem: "Problem") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from pixalign.text import shown

    heading = Text(f"\n{problem.severity}: ", "bold red" if problem.severity == "error" else "bold yellow")
    heading.append(problem.heading, "bold")
    console.print(heading)
    lines = problem.details[:_LINES]
    if (left := len(problem.details) - _LINES) > 0:
        lines.append(f"and {left:,} more")
    if problem.kind not in ("label-values", "classes"):  # whose details name files
        lines += [
            shown(example.file, 70) + (f": {shown(example.note, 150)}" if example.note else "")
            for example in problem.examples[:3]
        ]
        left = len(problem.examples) - 3
        lines += [f"and {left:,} more"] if left > 0 else []
    for line in [*lines, f"remedy: {problem.remedy}"]:
        console.print(Padding(Text(shown(line)), (0, 0, 0, 4), expand=False))
    for line in problem.snippet.splitlines():
        console.print(Padding(Text(shown(line), "cyan"), (0, 0, 0, 6), expand=False))
