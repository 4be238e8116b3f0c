"""Write a model as ONNX, OpenVINO or torch.export file that takes every size, verified against PyTorch."""

from typing import Any

HELP = "write a model for ONNX Runtime, OpenVINO or torch.export"


def add_arguments(parser: Any) -> None:
    parser.add_argument("model", help="default, another bundled name, a folder, a file, or a Hub id")
    parser.add_argument("--out", required=True, metavar="FILE", help="FILE.onnx, FILE.xml (OpenVINO) or FILE.pt2")
    parser.add_argument("--format", choices=["onnx", "openvino", "pt2"], help="by the suffix of FILE if left out")
    parser.add_argument("--raw", action="store_true", help="the graph takes uint8 pixels and normalizes them itself")
    parser.add_argument("--labels", action="store_true", help="the graph gives class ids in place of logits")
    parser.add_argument("--int8", action="store_true", help="8-bit weights and activations (onnx and openvino)")
    parser.add_argument(
        "--calibration",
        type=str | None,
        metavar="DIR",
        help="a few dozen typical images for --int8; with images/ and masks/ in it, mIoU is measured",
    )
    parser.add_argument("--opset", type=int, default=18, help="of ONNX, 18 to 23")


def run(args: Any) -> int:
    from pixalign.exporting import export

    report = export(
        args.model,
        args.out,
        args.format,
        raw=args.raw,
        labels=args.labels,
        int8=args.int8,
        calibration=args.calibration,
        opset=args.opset,
    )
    manifest = report["manifest"]
    print(f"against PyTorch{', in float' * args.int8}, as shares of the largest logit:")
    for row in report["parity"]:
        batch, height, width = row["size"]
        print(
            f"  {batch} x {height} x {width}: largest difference {row['difference']:.1e}, "
            f"{row['labels_changed']} of {row['pixels']} labels differ"
        )
    if args.int8:
        found = report["int8"]
        line = (
            f"int8 against float on {found['images']} calibration images: {found['labels_equal']:.2%} of the labels "
            f"are equal, {found['labels_equal_half']:.2%} at half the size"
        )
        if "miou" in found:
            line += f"; mIoU {found['miou']:.2%}, float {found['miou_float']:.2%}"
        print(line)
        print(f"in float: {len(found['float_layers'])} layers that say where features are sampled")
    print(
        f"written: {report['file']} ({report['bytes'] / 1e6:.1f} MB, {len(manifest['classes'])} classes, "
        f"{manifest['input']} image in, {manifest['output']} out) and {report['file']}.json"
    )
    return 0
