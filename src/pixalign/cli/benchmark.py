"""Measure what networks cost on this machine, by back-end and image size: time, memory, parameters, arithmetic."""

from collections.abc import Sequence
from typing import Any

from pixalign.cli.forms import is_number, joined

HELP = "measure latency, memory and arithmetic of models by back-end"

_BACKENDS = (
    "eager", "fused", "bf16", "compiled", "onnxruntime", "openvino", "openvino-bf16", "onnxruntime-int8",
    "openvino-int8",
)  # fmt: skip  # those of pixalign.benchmarking, which imports torch


def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="bundled names, folders, Hub ids, FILE.onnx, FILE.xml, or ARCHITECTURE@ENCODER without weights, such as "
        "sfnet@resnet18, smp/FPN@resnet18, hf/segformer-b0@mit_b0, torchvision/lraspp@mobilenet_v3_large",
    )
    parser.add_argument(
        "--size", action="append", metavar="HxW", help="size of the image, may be given again (default: 512x1024)"
    )
    parser.add_argument(
        "--backends",
        default="eager,fused,onnxruntime,openvino",
        metavar="LIST",
        help=f"of {', '.join(_BACKENDS)}",
    )
    parser.add_argument("--threads", type=int | None, help="of the CPU, for every back-end (default: PyTorch's)")
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of each")
    parser.add_argument("--batch", type=int, default=1, help="images in a call")
    parser.add_argument(
        "--out", default="", metavar="DIR", help="folder for benchmark.json, table.md and benchmark.png"
    )


def rewritten(arguments: Sequence[str]) -> list[str]:
    """The arguments with sizes and back-ends of several words as one."""
    return joined(arguments, {"--size": is_number, "--backends": lambda word: word in _BACKENDS})


def run(args: Any) -> int:
    import sys
    from pathlib import Path

    from rich.console import Console

    from pixalign.cli.models import parse_size
    from pixalign.errors import InputError

    sizes = [parse_size(text) for text in args.size or ["512x1024"]]
    backends = [name.strip() for name in args.backends.split(",") if name.strip()]
    if args.out and Path(args.out).is_file():
        raise InputError(f"{args.out}: is a file: name a folder for the report")

    from pixalign.benchmarking import benchmark, result_table, write_report

    def progress(text: str) -> None:
        if sys.stderr.isatty():  # the cursor goes back, the rest of the line is cleared
            print(f"\r{text[:100]}\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        result = benchmark(args.models, sizes, backends, args.threads, args.rounds, args.batch, progress)
    finally:
        progress("")
    if args.out:
        write_report(result, args.out)
    Console(highlight=False).print(result_table(result))
    if args.out:
        print(f"written: {args.out}/benchmark.json, table.md, benchmark.png")
    return int(all(row["error"] for row in result["rows"]))
