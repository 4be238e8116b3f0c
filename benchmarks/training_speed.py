"""Training speed: the default's step beside a plain FPN's, and what the data pipeline costs.

Prints, for the configuration given and for a plain FPN with ResNet-18 (full-size crops), milliseconds per image of a
training step on one cached batch, interleaved, and images/s with the data pipeline as a share of that without it.

    python benchmarks/training_speed.py --config configs/camvid/scratch.yaml --data.root DIR
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import cycle

import torch
from jsonargparse import ArgumentParser

from pixalign.cli import train as command
from pixalign.data import open_data
from pixalign.data.loader import AugmentedPairs, EpochBatches, training_loader
from pixalign.data.normalization import normalize
from pixalign.data.samples import cached
from pixalign.data.transforms import TrainingTransform
from pixalign.losses import total_loss
from pixalign.memory import reused_memory
from pixalign.models import create_model
from pixalign.training.config import ModelConfig, TrainConfig

ROUNDS, STEPS = 5, 6
PLAIN_FPN = ModelConfig("aligned_fpn", "resnet18", options={"aligner": "bilinear", "channels": 128})


def batches(config: TrainConfig) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    pairs = cached(open_data(config.data.name, config.data.root, config.data.train))
    data = config.data
    transform = TrainingTransform(data.crop, data.scale, data.flip, data.color, data.dusk, data.blur, turn=data.turn)
    order = EpochBatches(len(pairs), config.batch_size, config.seed, 1000)
    return iter(training_loader(AugmentedPairs(pairs, transform, config.seed), order, data.workers))


def stepper(config: TrainConfig) -> Callable[[torch.Tensor, torch.Tensor], None]:
    torch.manual_seed(0)
    options = config.model.options
    model = create_model(config.model.name, encoder=config.model.encoder, num_classes=11, **options)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss_options = {key: value for key, value in asdict(config.loss).items() if key not in ("class_weights", "adjust")}

    def step(images: torch.Tensor, masks: torch.Tensor) -> None:
        images = normalize(images, model.config.mean, model.config.std).contiguous(memory_format=layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            outputs = model(images, heads=True)
        total_loss(outputs, masks.long(), **loss_options)[0].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def per_image(step: Callable, source: Iterator, config: TrainConfig) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        step(*next(source))
    return (time.perf_counter() - start) / STEPS / config.batch_size


def main() -> None:
    parser = ArgumentParser()
    command.add_arguments(parser)
    config = command.read_config(parser.parse_args())
    plain = replace(config, model=PLAIN_FPN, data=replace(config.data, crop=(360, 480)))
    ours, theirs = stepper(config), stepper(plain)
    pipeline = batches(config)
    cached = cycle([next(pipeline)])
    cached_plain = cycle([next(batches(replace(plain, data=replace(plain.data, workers=0))))])
    for step, source in ((ours, cached), (theirs, cached_plain), (ours, pipeline)):
        per_image(step, source, config)  # warm-up
    rows = [
        (per_image(ours, cached, config), per_image(ours, pipeline, config), per_image(theirs, cached_plain, config))
        for _ in range(ROUNDS)
    ]
    alone, loaded, prototype = (1000 * statistics.median(column) for column in zip(*rows))
    share = statistics.median(a / b for a, b, _ in rows)
    ratio = statistics.median(c / a for a, _, c in rows)
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, batch {config.batch_size}, {config.precision}"
    )
    print(
        f"{config.model.name}/{config.model.encoder} at {config.data.crop}, one cached batch: {alone:.1f} ms per image"
    )
    print(f"the same with the data pipeline: {loaded:.1f} ms per image, {100 * share:.0f} % of the cached images/s")
    print(f"plain FPN, ResNet-18, 128 channels at (360, 480): {prototype:.1f} ms per image, {ratio:.2f} times ours")


if __name__ == "__main__":
    with reused_memory():  # as `pixalign train` does
        main()
