"""Calls every public function and every command in this process; prints, as JSON, what each left changed in it.

What other packages do as they are imported, once, is not looked at, nor is the handler of SIGCHLD that torch sets when
processes load data. Arguments: an empty folder to work in. Run by tests/test_globals.py in a process of its own.
"""

import contextlib
import importlib
import json
import locale
import logging
import os
import pkgutil
import random
import signal
import sys
import threading
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image

import pixalign
from pixalign.cli import main
from pixalign.training import DataConfig, ModelConfig, TrainConfig

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP", "SIGPIPE", "SIGALRM")]
RC = set(mpl.rcParams) - {"backend"}  # reading it chooses one


def state() -> dict[str, str]:
    """What a process has of its own, in words."""
    umask = os.umask(0)
    os.umask(umask)
    backends = torch.backends
    return {
        "grad mode": f"{torch.is_grad_enabled()} {torch.is_inference_mode_enabled()}",
        "threads": f"{torch.get_num_threads()} {torch.get_num_interop_threads()}",
        "deterministic": f"{torch.are_deterministic_algorithms_enabled()} {backends.cudnn.deterministic}",
        "precision": f"{torch.get_float32_matmul_precision()} {backends.cuda.matmul.allow_tf32}",
        "defaults": f"{torch.get_default_dtype()} {torch.get_default_device()}",
        "backends": f"{backends.cudnn.enabled} {backends.cudnn.benchmark} {backends.mkldnn.enabled}",
        "autocast": f"{torch.is_autocast_enabled('cpu')} {torch.get_autocast_dtype('cpu')}",
        "print options": repr(np.get_printoptions()),
        "signals": repr([signal.getsignal(number) for number in SIGNALS]),
        "environment": repr(sorted(os.environ.items())),
        "folder": os.getcwd(),
        "warnings": repr(warnings.filters),
        "logging": repr((logging.root.level, logging.root.handlers, logging.root.manager.disable)),
        "locale": repr(locale.setlocale(locale.LC_ALL)),
        "pixels": f"{Image.MAX_IMAGE_PIXELS}",
        "matplotlib": repr((mpl.get_backend(auto_select=False), [(k, mpl.rcParams[k]) for k in sorted(RC)])),
        "hooks": repr((sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook)),
        "umask": oct(umask),
        "path": repr(sys.path),
        "streams": repr([(s.encoding, s.errors) for s in (sys.stdout, sys.stderr)]),
        "limit": f"{sys.getrecursionlimit()} {sys.getswitchinterval()}",
        "Python's numbers": repr(hash(random.getstate())),
        "NumPy's numbers": repr(hash(np.random.get_state()[1].tobytes())),  # noqa: NPY002
        "torch's numbers": repr(hash(torch.get_rng_state().numpy().tobytes())),
    }


def calls(work: Path) -> dict[str, object]:
    """What to call, by what to call it."""
    data, run = work / "data", work / "run"
    for i in range(4):
        ids = np.repeat(np.random.default_rng(i).integers(0, 3, 6), 8)[:, None].repeat(64, 1).astype(np.uint8)
        for folder, pixels in (("images", np.stack([60 * ids] * 3, 2)), ("masks", ids)):
            (data / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(data / folder / f"{i}.png")
    image = np.asarray(Image.open(data / "images/0.png"))
    config = TrainConfig(
        model=ModelConfig(encoder="test_resnet", options={"channels": 16}), epochs=1, batch_size=2, out=str(run),
        data=DataConfig(root=str(data), crop=(32, 32), workers=1), precision="bf16", device="cpu",
    )  # fmt: skip
    out = ["--out", str(work / "out")]

    def command(*words: object) -> object:
        return lambda: main([*map(str, words)])

    model = lambda: pixalign.load(run / "last")  # noqa: E731
    return {
        "list_models": pixalign.list_models,
        "list_encoders": lambda: pixalign.list_encoders("test_*"),
        "create_model": lambda: pixalign.create_model("sfnet", encoder="test_resnet", channels=16),
        "train": lambda: pixalign.train(config),
        "load": model,
        "save": lambda: pixalign.save(model(), work / "saved"),
        "fuse": lambda: pixalign.fuse(model()),
        "Predictor": lambda: pixalign.Predictor(model(), mode=pixalign.Mode(scales=(1, 1.5), flip=True))(image),
        "explain": lambda: pixalign.explain(run / "last", image).save(work / "explained"),
        "export": lambda: pixalign.export(model(), work / "model.pt2"),
        "reused_memory": lambda: pixalign.reused_memory().__enter__(),
        "pixalign train": command("train", "--resume", "--out", run, "--epochs", 2),
        "pixalign train, refused": command("train", "--out", run, "--epochs", 0),
        "pixalign evaluate": command("evaluate", run / "last", "--data.root", data, *out),
        "pixalign adjust": command("adjust", run / "last", "--data.root", data, "--out", work / "adjusted"),
        "pixalign predict": command("predict", data / "images", "--model", run / "last", *out),
        "pixalign explain": command("explain", run / "last", data / "images/0.png", *out),
        "pixalign benchmark": command(
            "benchmark", "sfnet@test_resnet", "--size", "64x64", "--backends", "eager", "--rounds", 2, "--threads", 2
        ),
        "pixalign data": command("data", "check", data, "--out", work / "check"),
        "pixalign encoders": command("encoders", "test_*"),
    }


if __name__ == "__main__":
    for module in pkgutil.walk_packages(pixalign.__path__, "pixalign.", onerror=lambda name: None):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(pixalign.InputError):  # an extra that is not installed
                importlib.import_module(module.name)
    found = {}
    for name, call in calls(Path(sys.argv[1])).items():
        before = state()
        call()
        after = state()
        found[name] = {key: [before[key][:300], after[key][:300]] for key in before if before[key] != after[key]}
    Path(sys.argv[1], "found.json").write_text(json.dumps(found), encoding="utf-8")
