"""The training loop, on Hugging Face Accelerate: one function, read top to bottom.

A run folder holds config.yaml, metrics.jsonl (a line per epoch), pictures/, the models ``best`` and ``last`` (of the
moving average, if there is one), and ``state``, from which ``resume`` goes on.
"""

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import set_seed
from rich.console import Console
from rich.progress import Progress
from timm.utils import ModelEmaV3
from torch import nn

from pixalign.data import Pairs, label_counts, open_data
from pixalign.data.loader import AugmentedPairs, EpochBatches, training_loader
from pixalign.data.transforms import normalise, training_transform
from pixalign.errors import InputError
from pixalign.evaluation import evaluate
from pixalign.losses import total_loss
from pixalign.losses.weights import adjust_logits, class_weights
from pixalign.models import create_model
from pixalign.predict import Predictor
from pixalign.training.config import OptimConfig, TrainConfig, write_config
from pixalign.training.pictures import prediction_sheet
from pixalign.training.progress import TrainingProgress
from pixalign.training.state import find_state, load_state, save_state
from pixalign.weights import save

_CACHE_LIMIT = 2 << 30


def train(config: TrainConfig, resume: bool = False) -> Path:
    """Train a network; return the run folder.

    With ``resume``, go on from the state in the run folder.

    Raises:
        InputError: something in the configuration or the data cannot be used, or the loss stops being a number.
        KeyboardInterrupt: after Ctrl-C, once the state is saved.
    """
    config.check()
    out = Path(config.out)
    state = _check_run_folder(out, resume)
    accelerator = _accelerator(config)
    is_main, processes = accelerator.is_main_process, accelerator.num_processes
    console = Console(quiet=not is_main)
    set_seed(config.seed)
    training = _open(config, config.data.train, console)
    validation = [_open(config, split, console) for split in config.data.val]

    # The network, its moving average, the optimiser.
    model: Any = create_model(
        config.model.name,
        encoder=config.model.encoder,
        num_classes=len(training.classes),
        pretrained=config.model.pretrained,
        **config.model.options,
    )
    model.config |= {"classes": training.classes, "colours": training.colours}
    model.config["data"] = {"name": training.name, "images": len(training), "fingerprint": training.fingerprint()}
    mean, std = model.config["mean"], model.config["std"]
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    model = model.to(accelerator.device, memory_format=layout)
    ema = ModelEmaV3(model, decay=config.ema, use_warmup=True) if config.ema else None
    averaged = ema.module if ema else model
    optimizer = _optimizer(model, config)
    weight = _class_weights(training, config, accelerator.device)
    loss_options = {key: value for key, value in asdict(config.loss).items() if key not in ("class_weights", "adjust")}

    # Steps are batches; an update of the weights is made every `accumulate` of them.
    batches = EpochBatches(
        len(training), config.batch_size, config.seed, config.epochs,
        accumulate=config.accumulate, rank=accelerator.process_index, world=processes,
    )  # fmt: skip
    numbers: dict[str, Any] = {"step": 0, "per_epoch": batches.per_epoch, "best": -1.0, "seconds": 0.0}
    if state is not None:
        numbers = load_state(state, model, ema.module if ema else None, optimizer)
        if numbers["per_epoch"] != batches.per_epoch:
            raise InputError(f"{state}: the run had {numbers['per_epoch']} batches per epoch, now {batches.per_epoch}")
    step = batches.start = numbers["step"]
    total_steps = config.epochs * batches.per_epoch
    transform = training_transform(
        config.data.crop, config.data.scale, config.data.flip, config.data.colour, config.data.blur
    )
    loader = training_loader(AugmentedPairs(training, transform, config.seed), batches, config.data.workers)
    wrapped, optimizer = accelerator.prepare(torch.compile(model) if config.compile else model, optimizer)
    if is_main:
        write_config(config, out / "config.yaml")
    console.print(
        f"{config.model.name} with {config.model.encoder}, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M "
        f"parameters, {len(training.classes)} classes; {len(training)} images of {training.name}, "
        f"{config.epochs} epochs of {batches.per_epoch} batches; run folder {out}",
        highlight=False,
        soft_wrap=True,
    )

    def save_progress() -> None:
        if is_main:
            save_state(out / "state", model, ema.module if ema else None, optimizer.optimizer, numbers)

    losses: list[float] = []
    started = time.perf_counter()
    model.train()
    with (
        _one_line_errors(config),
        _stop_on_interrupt() as stop,
        TrainingProgress(total_steps, step, batches.per_epoch, console, is_main) as progress,
    ):
        for images, masks in loader:
            rate = learning_rate(step // config.accumulate / (total_steps // config.accumulate), config.optim)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            images = normalise(images.to(accelerator.device, non_blocking=True), mean, std)
            masks = masks.to(accelerator.device, non_blocking=True).long()
            with accelerator.accumulate(wrapped):
                outputs = wrapped(images.contiguous(memory_format=layout), heads=True)
                loss, _ = total_loss(outputs, masks, weight=weight, **loss_options)
                value = loss.item()
                if not math.isfinite(value):
                    raise InputError(
                        f"the loss is {value} at epoch {step // batches.per_epoch + 1}, step {step}: "
                        f"lower optim.lr ({config.optim.lr:g}), set optim.clip, or use precision fp32"
                    )
                accelerator.backward(loss)
                if config.optim.clip and accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(wrapped.parameters(), config.optim.clip)
                optimizer.step()
                optimizer.zero_grad()
            step += 1
            updated = step % config.accumulate == 0
            if ema and updated:
                ema.update(model, step=step // config.accumulate)
            losses.append(value)
            progress.step(step, value, config.batch_size * processes)

            if step % batches.per_epoch == 0:
                epoch, finished = step // batches.per_epoch, step == total_steps
                seconds = time.perf_counter() - started
                numbers |= {"step": step, "seconds": numbers["seconds"] + seconds}
                line: dict[str, Any] = {
                    "epoch": epoch, "step": step, "loss": sum(losses) / len(losses), "lr": rate,
                    "images_per_second": len(losses) * config.batch_size * processes / seconds,
                    "seconds": numbers["seconds"],
                }  # fmt: skip
                if is_main:
                    shown = averaged.eval()
                    if weight is not None and config.loss.adjust:
                        shown = adjust_logits(shown, weight, config.loss.adjust)
                    if finished or epoch % config.evaluate_every == 0:
                        results = [evaluate(shown, pairs, precision=config.precision) for pairs in validation]
                        line["val"] = {r["data"].rsplit("/", 1)[-1]: _brief(r) for r in results}
                        metrics = [{"epoch": epoch, **_brief(r)} for r in results]
                        save(shown, out / "last", metrics=metrics)
                        if (results[0]["miou"] or 0.0) > numbers["best"]:
                            numbers["best"] = results[0]["miou"] or 0.0
                            save(shown, out / "best", metrics=metrics)
                    if config.pictures_every and (finished or epoch % config.pictures_every == 0):
                        _draw(shown, validation[0], out / "pictures" / f"epoch_{epoch:04d}.jpg")
                    with (out / "metrics.jsonl").open("a") as file:
                        file.write(json.dumps(line) + "\n")
                save_progress()
                progress.epoch(line)
                model.train()
                losses, started = [], time.perf_counter()
            if stop and updated:
                numbers |= {"step": step, "seconds": numbers["seconds"] + time.perf_counter() - started}
                save_progress()
                console.print(f"stopped at step {step} of {total_steps}, saved: go on with --resume", highlight=False)
                raise KeyboardInterrupt
    return out


def learning_rate(progress: float, optim: OptimConfig) -> float:
    """The decoder's learning rate after a share ``progress`` (0 to 1) of all updates: linear warm-up, then decay."""
    if progress < optim.warmup:
        return optim.lr * (progress + 1e-3) / (optim.warmup + 1e-3)
    left = (1 - progress) / (1 - optim.warmup)
    return optim.lr * (left**0.9 if optim.schedule == "poly" else 0.5 - 0.5 * math.cos(math.pi * left))


def _check_run_folder(out: Path, resume: bool) -> Path | None:
    """Return the state to resume from, if any; refuse to overwrite a run or to resume from nothing."""
    state = find_state(out / "state")
    if resume and state is None:
        raise InputError(f"{out}: no training state in it to resume from: train without --resume")
    if not resume and (state is not None or (out / "metrics.jsonl").exists()):
        raise InputError(f"{out}: a run is there already: go on with --resume, or choose another --out")
    return state


def _accelerator(config: TrainConfig) -> Accelerator:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda but no CUDA device is there: use auto or cpu")
    if AcceleratorState._shared_state:  # an earlier run in this process would fix precision and device for this one
        AcceleratorState._reset_state(reset_partial_state=PartialState().num_processes == 1)
    accelerator = Accelerator(
        mixed_precision={"fp32": "no"}.get(config.precision, config.precision),
        gradient_accumulation_steps=config.accumulate,
        cpu=config.device == "cpu",
    )
    if config.precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError("precision is fp16, which needs a GPU: use bf16 or fp32")
    return accelerator


def _open(config: TrainConfig, split: str, console: Console) -> Pairs:
    """Open a split and, where it fits, decode it into memory (which also checks every file and label)."""
    pairs = open_data(config.data.name, config.data.root, split)
    keep = config.data.cache == "yes" or (config.data.cache == "auto" and pairs.decoded_bytes() <= _CACHE_LIMIT)
    if not keep:
        return pairs
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"reading {pairs.name}", total=len(pairs))
        return pairs.cache(lambda count: bar.advance(task, count))


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD over four groups: encoder and decoder, with and without weight decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault((name.startswith("encoder."), parameter.ndim > 1), []).append(parameter)
    optim = config.optim
    described = [
        {
            "params": parameters,
            "factor": optim.encoder_lr if in_encoder else 1.0,
            "weight_decay": optim.weight_decay if decays else 0.0,
        }
        for (in_encoder, decays), parameters in groups.items()
    ]
    if optim.name == "adamw":
        return torch.optim.AdamW(described, lr=optim.lr)
    return torch.optim.SGD(described, lr=optim.lr, momentum=optim.momentum, nesterov=optim.momentum > 0)


def _class_weights(training: Pairs, config: TrainConfig, device: torch.device) -> torch.Tensor | None:
    """Weights from the training masks' pixel counts, or None."""
    if config.loss.class_weights == "none":
        return None
    pixels, image_pixels = label_counts(training)
    return class_weights(config.loss.class_weights, pixels, image_pixels).to(device)


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    """What metrics.jsonl and a model's config keep of an evaluation."""
    return {key: result[key] for key in ("data", "images", "fingerprint", "miou", "pixel_accuracy", "iou")}


def _draw(model: nn.Module, pairs: Pairs, path: Path, count: int = 4) -> None:
    """Draw predictions for ``count`` pairs spread over the split."""
    predictor = Predictor(model, device=str(next(model.parameters()).device))
    samples = []
    for index in sorted({round(i * (len(pairs) - 1) / (count - 1)) for i in range(count)}):
        image, label = pairs[index]
        samples.append((image, label, predictor(image).ids))
    prediction_sheet(samples, pairs.colours, path)


@contextmanager
def _stop_on_interrupt() -> Iterator[list[int]]:
    """Yield a list that gets an entry on Ctrl-C, so that the loop stops between steps; a second one stops at once."""
    stop: list[int] = []

    def note(number: int, frame: Any) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _one_line_errors(config: TrainConfig) -> Iterator[None]:
    """Turn the errors that a user can act on into one line with the remedy."""
    try:
        yield
    except InputError as error:  # one from a loading process carries its traceback
        line = str(error).strip().splitlines()[-1]
        raise InputError(line.removeprefix("pixalign.errors.InputError: ")) from error
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"batch_size {config.batch_size}: batch norm over a pooled map needs two images per process: "
            "raise batch_size (and lower accumulate)"
        ) from error
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"batch_size {config.batch_size} at crop {config.data.crop} does not fit into the GPU's memory: "
            "lower batch_size and raise accumulate"
        ) from error
