"""Many visitors of `pixalign app` at once: errors, waiting, fairness, and the server's memory and files.

    python benchmarks/app_load.py
    python benchmarks/app_load.py --clients 10 --seconds 20

Starts the server in a process of its own and clients here. Every client has a drawn street of its own and asks, over
and over and without a pause, for its segmentation: it uploads the picture, never twice the same bytes, waits in the
queue for the answer, and fetches the ids and checks them. Meanwhile a visitor opens the page every two seconds.

Printed are the requests answered, what went wrong, the waiting time from the start of the upload to the answer, how
evenly the clients were served (fewest and most answers of one client, and Jain's index: 1 when all got the same,
1/clients when one got all; Jain, Chiu and Hawe 1984), and the server's memory (resident, with its children) and files:
before the first request, after the warm-up, and at the end. Exits with 1 on any error, and where memory at the end is
more than ``--growth`` above memory after the warm-up (the median over a tenth of the time each).
"""

import argparse
import asyncio
import io
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from PIL import Image

from pixalign.benchmarking.measure import processor_name
from pixalign.cli.models import parse_size
from pixalign.data.sets.streets import draw_scene

START = 120  # seconds within which the server must answer
PATIENCE = 300  # seconds that a client waits for one answer
WARM_UP = 0.25  # share of the time


@dataclass
class Load:
    """What was seen while the clients asked.

    Attributes:
        waits: seconds from upload to answer, by client.
        page: seconds that the page took to come.
        errors: how often each thing went wrong.
        memory: (seconds since the start, MB) of the server, every half second.
    """

    waits: list[list[float]]
    page: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)


def streets(count: int, size: tuple[int, int]) -> list[bytes]:
    """Different drawn streets as JPEG files."""
    files = []
    for seed in range(count):
        buffer = io.BytesIO()
        Image.fromarray(draw_scene(seed, size)[0]).save(buffer, "jpeg", quality=90)
        files.append(buffer.getvalue())
    return files


def marked(jpeg: bytes, number: int) -> bytes:
    """The same picture in another file: with the number as a comment after JPEG's start."""
    comment = str(number).encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


async def segment(client: httpx.AsyncClient, file: bytes, data: list[str]) -> list:
    """Upload a picture and wait for the answer of /segment; RuntimeError with what the server said if it refuses."""
    uploaded = await client.post("/gradio_api/upload", files={"files": ("street.jpg", file, "image/jpeg")})
    uploaded.raise_for_status()
    picture = {"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}
    joined = await client.post("/gradio_api/call/segment", json={"data": [picture, *data]})
    joined.raise_for_status()
    event = ""
    async with client.stream("GET", f"/gradio_api/call/segment/{joined.json()['event_id']}") as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "complete":
                return json.loads(line.removeprefix("data: "))
            elif line.startswith("data: ") and event == "error":
                raise RuntimeError(f"refused: {line.removeprefix('data: ')[:200]}")
    raise RuntimeError("the answer ended before it was complete")


async def visit(
    number: int, address: str, file: bytes, data: list[str], end: float, load: Load, counter: itertools.count
) -> None:
    """One client: ask until the time is over, and check every answer."""
    with Image.open(io.BytesIO(file)) as picture:
        size = picture.size
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
        while time.perf_counter() < end:
            start = time.perf_counter()
            try:
                answer = await segment(client, marked(file, next(counter)), data)
                load.waits[number].append(time.perf_counter() - start)
                ids = await client.get(answer[0]["url"])
                ids.raise_for_status()
                with Image.open(io.BytesIO(ids.content)) as picture:
                    if picture.size != size or picture.format != "PNG":
                        raise RuntimeError(f"the ids are {picture.format} of {picture.size}, not PNG of {size}")
            except Exception as error:
                load.errors[f"{type(error).__name__}: {str(error)[:200]}"] += 1
                await asyncio.sleep(1)


async def look(address: str, end: float, load: Load) -> None:
    """A visitor who opens the page every two seconds."""
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
        while time.perf_counter() < end:
            start = time.perf_counter()
            try:
                (await client.get("/")).raise_for_status()
                load.page.append(time.perf_counter() - start)
            except httpx.HTTPError as error:
                load.errors[f"page: {type(error).__name__}: {str(error)[:200]}"] += 1
            await asyncio.sleep(2)


async def weigh(server: psutil.Process, load: Load) -> None:
    """Note the server's memory every half second, until cancelled."""
    start = time.perf_counter()
    while True:
        load.memory.append((time.perf_counter() - start, resident(server)))
        await asyncio.sleep(0.5)


def resident(server: psutil.Process) -> float:
    """MB of memory of a process and its children."""
    return sum(process.memory_info().rss for process in (server, *server.children(recursive=True))) / 1e6


async def ask(address: str, files: list[bytes], data: list[str], seconds: float, server: psutil.Process) -> Load:
    """Let every client ask for a time, and see what happens."""
    load = Load([[] for _ in files])
    end = time.perf_counter() + seconds
    counter = itertools.count()
    scales = asyncio.create_task(weigh(server, load))
    await asyncio.gather(
        look(address, end, load),
        *(visit(i, address, file, data, end, load, counter) for i, file in enumerate(files)),
    )
    scales.cancel()
    return load


def written(folder: str) -> tuple[int, float]:
    """How many files are under a folder, and their MB."""
    sizes = [path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()]
    return len(sizes), sum(sizes) / 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ready(address: str, server: subprocess.Popen) -> None:
    """Wait until the server answers; SystemExit if it ends or takes too long."""
    for _ in range(2 * START):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode} before it answered")
        try:
            if httpx.get(address, timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise SystemExit(f"the server did not answer within {START} s")


def report(load: Load, growth: float) -> bool:
    """Print the figures; return whether nothing went wrong."""
    waits = sorted(wait for own in load.waits for wait in own)
    counts = [len(own) for own in load.waits]
    if not waits:
        print(f"no answer at all; errors: {dict(load.errors)}")
        return False
    before = load.memory[0][1]
    total = load.memory[-1][0]

    def around(share: float) -> float:
        return statistics.median(mb for at, mb in load.memory if abs(at / total - share) <= 0.05)

    warm, end = around(WARM_UP), around(0.95)
    jain = sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))
    late = waits[int(0.95 * (len(waits) - 1))]
    rows = {
        "answers": f"{len(waits)} ({len(waits) / total:.1f} a second)",
        "errors": f"{sum(load.errors.values())}",
        "waiting: median, 95 %, longest": f"{statistics.median(waits):.1f} s, {late:.1f} s, {waits[-1]:.1f} s",
        "answers of one client: fewest, most": f"{min(counts)}, {max(counts)}",
        "Jain's index of fairness": f"{jain:.4f}",
        "opening the page: median, longest": f"{statistics.median(load.page):.2f} s, {max(load.page):.2f} s",
        "memory: start, after warm-up, end": f"{before:.0f} MB, {warm:.0f} MB, {end:.0f} MB",
        "memory: growth after warm-up": f"{end - warm:+.0f} MB ({100 * (end / warm - 1):+.1f} %)",
    }
    print("| | |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in rows.items()))
    for error, count in load.errors.most_common():
        print(f"{count} times {error}")
    return not load.errors and end <= (1 + growth) * warm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--size", type=parse_size, default=(360, 480), help="of the streets, HEIGHTxWIDTH (360x480)")
    parser.add_argument("--model", default="default")
    parser.add_argument("--backend", default="", help="one of /models; the model's first")
    parser.add_argument("--growth", type=float, default=0.05, help="of memory after the warm-up that is let pass")
    args = parser.parse_args()
    files = streets(args.clients, args.size)
    busy = os.getloadavg()[0]
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pixalign", "app", "--models", args.model, "--port", str(port)]
        server = subprocess.Popen(command, env=os.environ | {"TMPDIR": folder}, stdout=subprocess.DEVNULL)
        try:
            ready(address, server)
            load = asyncio.run(
                ask(address, files, [args.model, args.backend], args.seconds, psutil.Process(server.pid))
            )
            count, size = written(folder)
        finally:
            server.terminate()
            server.wait(30)
    height, width = args.size
    print(f"{args.clients} clients for {args.seconds:.0f} s, {width} x {height} pixels, model {args.model}")
    print(f"{processor_name()}, {os.cpu_count()} processors; load average before: {busy:.1f}")
    fine = report(load, args.growth)
    print(f"files of the server at the end: {count}, {size:.1f} MB")
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
