"""The search behind `default-fast`: latency of small encoders and of decoders on them, by turns in one run.

    python benchmarks/fast.py [--size 512x1024] [--threads 2] [--rounds 15]

PyTorch as it is: evaluation and inference mode, float32, contiguous; random weights, 11 classes. Our networks give
logits at the size of the image. Where `ultralytics` is installed (AGPL-3.0, so no extra of this package names it), its
YOLO26n-sem is the first row, with its output at 1/8 as it comes. Prints tables in Markdown.
"""

import argparse
import statistics
from functools import partial

import timm
import torch
from torch import nn

import pixalign
from pixalign.benchmarking.measure import by_turns
from pixalign.cli.models import parse_size
from pixalign.models.cost import cost

ENCODERS = (
    "resnet18",
    "resnet18d",
    "resnet10t",
    "mobilenetv4_conv_small",
    "mobilenetv3_large_100",
    "repvit_m0_9",
    "efficientvit_b0",
    "regnety_002",
    "regnetx_002",
    "lcnet_075",
    "fasternet_t0",
    "edgenext_xx_small",
)
# ResNet-D: channels and blocks of the four stages; a stem of 8 channels, a strided convolution in place of pooling.
RESNETS = {
    "half": ((32, 64, 128, 256), (2, 2, 2, 2)),
    "quarter": ((16, 32, 64, 128), (2, 2, 2, 2)),
    "steep": ((16, 64, 128, 256), (1, 2, 2, 2)),
    "steep, short": ((16, 64, 128, 256), (1, 1, 1, 1)),
    "chosen": ((16, 48, 96, 192), (1, 2, 2, 2)),
}
DECODERS = (("sfnet_lite", 16), ("sfnet_lite", 24), ("sfnet_lite", 32), ("ifa", 24), ("bialignnet", 24), ("sfnet", 24))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=(512, 1024))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    yolo = _yolo()
    encoders = {name: timm.create_model(name, features_only=True) for name in ENCODERS}
    _table("encoders alone, all their maps", {**yolo, **encoders}, arguments)
    networks = {f"sfnet_lite of 24 on {name}": _network("sfnet_lite", 24, name) for name in RESNETS}
    networks |= {f"{decoder} of {width} on chosen": _network(decoder, width, "chosen") for decoder, width in DECODERS}
    _table("networks, logits at the image's size", {**yolo, **networks}, arguments)
    # alone, since in a round whoever follows a large network is slower
    for name in ("default-fast", "default"):
        _table("a bundled one alone", {**yolo, f"`{name}`": pixalign.load(name)}, arguments)


def _network(decoder: str, width: int, name: str) -> nn.Module:
    channels, layers = RESNETS[name]
    options = {"channels": list(channels), "layers": list(layers), "stem_width": 8, "replace_stem_pool": True}
    return pixalign.create_model(decoder, encoder="resnet18d", num_classes=11, channels=width, encoder_options=options)


def _yolo() -> dict[str, nn.Module]:
    try:
        from ultralytics import YOLO
    except ImportError:
        print("ultralytics is not installed: its row is missing, and ratios are to the first row\n")
        return {}
    return {"YOLO26n-sem (logits at 1/8, 19 classes)": YOLO("yolo26n-sem.yaml").model.float()}


def _table(title: str, models: dict[str, nn.Module], arguments: argparse.Namespace) -> None:
    image = torch.rand(1, 3, *arguments.size)
    calls = {name: partial(model.eval(), image) for name, model in models.items()}
    with torch.inference_mode():
        for call in calls.values():
            call()
            call()
        times = by_turns(calls, arguments.rounds, pause=0.05)
    first = next(iter(times.values()))
    height, width = arguments.size
    print(f"{title}; {height} x {width}, {arguments.threads} threads, {arguments.rounds} rounds\n")
    print("| network | parameters, M | GFLOPs | median ms | ratio to the first |\n|---|---:|---:|---:|---:|")
    for name, model in models.items():
        ratio = statistics.median(a / b for a, b in zip(times[name], first))
        parameters, operations = cost(model, tuple(image.shape))
        median = statistics.median(times[name])
        print(f"| {name} | {parameters / 1e6:.2f} | {operations / 1e9:.1f} | {1e3 * median:.0f} | {ratio:.2f} |")
    print(flush=True)


if __name__ == "__main__":
    main()
