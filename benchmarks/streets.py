"""How many drawn streets one process makes in a second; a contact sheet of some.

    python benchmarks/streets.py [--count N] [--size HEIGHT WIDTH] [--first SEED] [--light LIGHT]
                                 [--sheet FILE] [--labels FILE]

The time is the process's own (CPU) time without the first scene, which makes the textures. With --sheet the scenes are
written four to a row, with --labels their labels in the same order.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from argparse import ArgumentParser

import numpy as np
from PIL import Image

from pixalign.data.images import write_image
from pixalign.data.sets.camvid import CLASSES, COLORS
from pixalign.data.sets.streets import LIGHTS, draw_scene
from pixalign.pages.sheet import grid
from pixalign.palette import color_table


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--light", choices=LIGHTS)
    parser.add_argument("--sheet")
    parser.add_argument("--labels")
    args = parser.parse_args()
    size = tuple(args.size)
    start = time.process_time()
    draw_scene(args.first, size, args.light)
    print(f"first scene, with the textures: {time.process_time() - start:.2f} s")
    start = time.process_time()
    scenes = [draw_scene(args.first + i, size, args.light) for i in range(args.count)]
    took = time.process_time() - start
    print(f"{args.count / took:.1f} scenes of {size[0]} x {size[1]} a second ({1000 * took / args.count:.1f} ms each)")
    counts = sum(np.bincount(label.ravel(), minlength=256) for _, label in scenes)
    shares = {name: counts[i] / counts.sum() for i, name in enumerate(CLASSES)} | {"none": counts[255] / counts.sum()}
    present = {name: np.mean([(label == i).any() for _, label in scenes]) for i, name in enumerate(CLASSES)}
    for name, share in shares.items():
        print(
            f"  {name:11} {share:6.1%} of the pixels"
            + (f", in {present[name]:4.0%} of the scenes" if name in present else "")
        )
    for path, pictures in (
        (args.sheet, [i for i, _ in scenes]),
        (args.labels, [color_table(COLORS)[label] for _, label in scenes]),
    ):
        if path:
            write_image(grid([Image.fromarray(picture) for picture in pictures], 4, 0), path)


if __name__ == "__main__":
    main()
