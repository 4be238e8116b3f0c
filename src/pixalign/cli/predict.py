"""Segment images: an id map and an overlay for each, in a folder."""

import sys
from typing import Any

from pixalign.cli.mode import add_device_arguments, add_mode_arguments, mode_in_words, mode_of
from pixalign.training.values import Count

HELP = "segment images, folders or patterns of them"
rewritten = mode_in_words


def add_arguments(parser: Any) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="images, folders (with sub-folders), or patterns")
    parser.add_argument(
        "--model", default="default", help="default, another bundled name, a folder, a Hub id, FILE.onnx or FILE.xml"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for <stem>.png (ids) and <stem>_overlay.jpg"
    )
    parser.add_argument(
        "--format",
        choices=["ids", "cityscapes"],
        default="ids",
        help="cityscapes: also write DIR/cityscapes/<name>.png with label ids, as the benchmark's server takes them",
    )
    parser.add_argument("--probabilities", action="store_true", help="also write <stem>_probabilities.npz (float16)")
    parser.add_argument("--max-pixels", type=Count, default=250_000_000, help="refuse larger images from the header")
    add_device_arguments(parser)
    add_mode_arguments(parser)
    parser.add_argument("--force", action="store_true", help="predict again what is done")


def run(args: Any) -> int:
    from pathlib import Path

    from pixalign.data.images import find_images, noted_kinds, other_images
    from pixalign.data.sets.cityscapes import submission_paths, write_submission
    from pixalign.predicting import Predictor, predict_files
    from pixalign.predicting.files import plan

    mode = mode_of(args)
    targets = plan(find_images(args.images), args.out)
    predictor = Predictor(args.model, args.device, args.precision, mode)
    maps = [target.with_name(f"{target.name}.png") for target in targets.values()]
    handed_in = Path(args.out, args.format)
    if args.format == "cityscapes":
        submission_paths(maps, handed_in, predictor.config.classes)  # what does not fit is said before the work
    summary = predict_files(
        predictor,
        targets,
        args.out,
        probabilities=args.probabilities,
        max_pixels=args.max_pixels,
        force=args.force,
        verbose=True,
    )
    print(
        f"{len(targets)} image{'s' * (len(targets) != 1)}: {summary.predicted} predicted, "
        f"{summary.skipped} done before, {len(summary.failed)} failed"
    )
    if summary.areas:
        print("largest classes:", ", ".join(f"{name} {share:.1%}" for name, share in list(summary.areas.items())[:5]))
    print(f"id maps and overlays: {args.out}")
    if args.format == "cityscapes":
        written = write_submission([path for path in maps if path.is_file()], handed_in, predictor.config.classes)
        print(f"for the benchmark's server: {len(written)} files in {handed_in}, to be zipped")
    for text, count in summary.left_out.items():
        print(f"pixalign: {count} image{'s' * (count != 1)} {text}", file=sys.stderr)
    if left := other_images(args.images):
        print(f"pixalign: {noted_kinds(left)}", file=sys.stderr)
    for line in summary.failed:
        print(f"pixalign: failed: {line}", file=sys.stderr)
    return 1 if summary.failed else 0
