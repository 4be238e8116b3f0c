"""What bfloat16 costs in accuracy: mIoU of trained networks as they are, and by `pixalign.fuse` in fp32 and bf16.

    python benchmarks/bf16.py MODEL [MODEL ...] --data.name camvid --data.root DIR [--data.split val]

Prints one row of a Markdown table per model.
"""

from jsonargparse import ArgumentParser

from pixalign import fuse
from pixalign.data import open_data
from pixalign.evaluating import evaluate
from pixalign.weights import load


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("models", nargs="+", help="bundled names or model folders")
    parser.add_argument("--data.name", required=True)
    parser.add_argument("--data.root", required=True)
    parser.add_argument("--data.split", default="val")
    args = parser.parse_args()
    data = open_data(args.data.name, args.data.root, args.data.split)
    print("| model | eager fp32 | fused fp32 | fused bf16 | difference |\n|---|---:|---:|---:|---:|")
    for source in args.models:
        model = load(source)
        variants = (model, fuse(model), fuse(model, "bf16"))
        eager, fp32, bf16 = (100 * evaluate(variant, data)["miou"] for variant in variants)
        print(f"| {source} | {eager:.2f} | {fp32:.2f} | {bf16:.2f} | {bf16 - eager:+.2f} |", flush=True)


if __name__ == "__main__":
    main()
