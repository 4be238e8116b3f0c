"""What taking back class weights after training (`loss.adjust`) brings: mIoU by share, for a run trained without it.

    python benchmarks/adjust.py RUN --splits '[train,val]' --data.root DIR [--save SHARE]

RUN is a run folder whose configuration has class weights. With --save, the model RUN/last, adjusted by that share, is
written to RUN/adjusted: the same as training with `loss.adjust: SHARE`.
"""

from pathlib import Path

import numpy as np
import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from pixalign.cli import train as command
from pixalign.data import class_pixels, label_counts, open_data
from pixalign.losses.weights import adjust_logits, class_weights
from pixalign.metrics.confusion import confusion_matrix, summary
from pixalign.runtime import open_runtime
from pixalign.weights import load, save

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--splits", type=list[str], required=True)
    parser.add_argument("--data.root", required=True)
    parser.add_argument("--save", type=float | None)
    args = parser.parse_args()
    reader = ArgumentParser()
    command.add_arguments(reader)
    config = command.read_config(reader.parse_args(["--config", str(args.run / "config.yaml")]))
    name, root = config.data.name, args.data.root
    scheme = config.loss.class_weights
    weight = class_weights(scheme, *label_counts(class_pixels(open_data(name, root, config.data.train))))
    model = load(args.run / "last")
    runtime = open_runtime(model, device=None, precision=config.precision)
    scores = {}
    for split in args.splits:
        pairs = open_data(name, root, split)
        counts = {share: np.zeros((len(pairs.classes),) * 2, np.int64) for share in SHARES}
        for image, label in (pairs[i] for i in range(len(pairs))):
            batch = torch.from_numpy(image).permute(2, 0, 1)[None]
            logits = runtime.logits(batch)[0].float()
            for share, matrix in counts.items():
                ids = (logits - share * weight.log().view(-1, 1, 1)).argmax(0)
                matrix += confusion_matrix(ids.to(torch.uint8).numpy(), label, len(matrix))
        scores[split] = {share: summary(counts[share], pairs.classes)["miou"] for share in SHARES}
    console = Console()
    table = Table("share", *(f"{split} mIoU %" for split in scores), title=f"{args.run.name}, weights {scheme}")
    for share in SHARES:
        table.add_row(f"{share:.2f}", *(f"{100 * by_share[share]:.1f}" for by_share in scores.values()))
    console.print(table)
    if args.save is not None:
        console.print(f"saved: {save(adjust_logits(model, weight, args.save), args.run / 'adjusted')}")


if __name__ == "__main__":
    main()
