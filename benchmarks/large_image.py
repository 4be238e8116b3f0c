"""Peak memory and time of `pixalign predict --tile` on a very large picture.

    python benchmarks/large_image.py
    python benchmarks/large_image.py --side 4000 --tile 512

Draws a square mosaic of drawn streets in a temporary folder and predicts it as a user would, in a process of its own.
The peak is that process's (VmHWM of Linux): reading the file, the network, the id map and the overlay together.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STREET = 1000
_PREDICT = """
from pathlib import Path
from pixalign.cli import main
status = main()
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
raise SystemExit(status)
"""


def draw(path: str, side: int) -> None:
    """Write a mosaic of different streets as a JPEG."""
    import numpy as np
    from PIL import Image

    from pixalign.data.sets.streets import draw_scene

    streets = [draw_scene(seed, (STREET, STREET))[0] for seed in range(min(10, -(-side // STREET)))]
    mosaic = np.empty((side, side, 3), np.uint8)
    for row, top in enumerate(range(0, side, STREET)):
        for column, left in enumerate(range(0, side, STREET)):
            place = mosaic[top : top + STREET, left : left + STREET]
            street = streets[(column + 3 * row) % len(streets)][:, :: 1 - 2 * (row % 2)]  # every second row mirrored
            place[:] = street[: place.shape[0], : place.shape[1]]
    Image.fromarray(mosaic).save(path, quality=90)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=10_000, help="pixels")
    parser.add_argument("--tile", default="1024")
    parser.add_argument("--overlap", default="0.33")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "large.jpg")
        process = multiprocessing.get_context("spawn").Process(target=draw, args=(picture, args.side))
        process.start()
        process.join()
        options = ["--tile", args.tile, "--overlap", args.overlap, "--model", args.model, "--out", f"{folder}/out"]
        start, before = time.perf_counter(), os.times()
        done = subprocess.run([sys.executable, "-c", _PREDICT, "predict", picture, *options], stdout=subprocess.PIPE)
        seconds = time.perf_counter() - start
        after = os.times()
        processor = after.children_user + after.children_system - before.children_user - before.children_system
        if done.returncode:
            return done.returncode
        *printed, peak = done.stdout.decode().splitlines()
        print("\n".join(printed))
        sizes = {path.name: path.stat().st_size for path in sorted(Path(folder, "out").iterdir())}
    megapixels = args.side**2 / 1e6
    print(f"written: {', '.join(f'{name} {size / 1e6:.1f} MB' for name, size in sizes.items())}")
    print(f"{args.side} x {args.side} pixels in tiles of {args.tile} with overlap {args.overlap}:")
    print(f"peak memory {int(peak.split()[1]) / 1024**2:.2f} GiB of the whole process")
    print(f"{seconds / 60:.1f} minutes, {seconds / megapixels:.2f} s per megapixel")
    print(f"{processor / 60:.1f} minutes of processor time, {processor / megapixels:.2f} s per megapixel")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
