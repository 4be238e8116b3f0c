"""Class biases fitted to the mean IoU: what a network's argmax leaves lying, taken after training.

A loss over pixels, and Dice over a batch, do not ask for the ids of the best mean IoU: a rare class wants another
threshold. One number per class, added to the logits, moves the thresholds and costs nothing afterwards, since it is
part of the last layer's bias. That it is fitted to labeled images, by exact line searches, is our choice; that
shifting logits by class is the right family is Menon et al., "Long-tail learning via logit adjustment", ICLR 2021
(arXiv 2007.07314).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pixalign.data.samples import Data
from pixalign.errors import InputError
from pixalign.losses.weights import adjust_logits
from pixalign.models.network import SegmentationNetwork, as_network
from pixalign.runtime import Runtime, open_runtime

_VALUES = 100_000_000  # logits kept: 400 MB
_PIXELS, _IMAGES = 2_000_000, 500
_GRID = torch.arange(-60, 61) / 10
_ROUNDS = 8


def fit_biases(
    model: nn.Module, pairs: Data, precision: str = "fp32", advance: Callable[[int], None] = lambda count: None
) -> tuple[SegmentationNetwork, list[float]]:
    """Return a copy of ``model`` with class biases that raise its mean IoU on ``pairs``, and these biases.

    Fit them on the training images: val is then still unseen. At most 500 images, evenly spread, and 2 million labeled
    pixels of them, drawn at random but always the same, are looked at. Classes without one stay as they are.

    Probabilities change with the logits: a class with a positive bias is more likely everywhere.

    Args:
        model: a network with a `class_layer`; it is left as it is.
        pairs: labeled images of the model's classes.
        precision: fp32, bf16 or fp16 (autocast).
        advance: called with 1 after each image.

    Raises:
        InputError: a network without that layer, no labeled pixel, a file that cannot be read.
    """
    network = as_network(model)
    _ = network.class_layer  # one without is refused before the work
    logits, labels = _sample(open_runtime(network, device=None, precision=precision), pairs, advance)
    biases = best_biases(logits, labels)
    return adjust_logits(network, (-biases).exp(), 1.0), biases.tolist()


def best_biases(logits: Tensor, labels: Tensor) -> Tensor:
    """Class biases (K,) float32 that raise the mean IoU of ``(logits + biases).argmax`` against ``labels``.

    One class after the other gets the best value of the grid -6, -5.9, ..., 6, the others held, until a round gains
    less than 0.001 points: a coordinate ascent, so what it finds is at least as good as no bias, not always the best.
    The mean is over the classes that ``labels`` holds.

    Args:
        logits: (K, P) float.
        labels: (P,) int64, ids 0..K-1.
    """
    classes = len(logits)
    biases = torch.zeros(classes)
    truth = labels.bincount(minlength=classes)
    present = truth.nonzero().flatten().tolist()
    scores = logits.float().clone()
    best = 0.0
    for _ in range(_ROUNDS):
        before = best
        for k in present:
            scores[k] = -torch.inf
            rival, other = scores.max(0)  # (P,): the best of the other classes
            place = torch.searchsorted(_GRID, rival - logits[k])  # the class wins from this place of the grid on
            miou = _mean_iou(place, other, labels, truth, k)
            now = int((_GRID - biases[k]).abs().argmin())
            choice = now if miou[now] >= miou.max() else int(miou.argmax())
            biases[k] = _GRID[choice]
            best = float(miou[choice])
            scores[k] = logits[k] + biases[k]
        if best - before < 1e-5:
            break
    return biases


def _mean_iou(place: Tensor, other: Tensor, labels: Tensor, truth: Tensor, k: int) -> Tensor:
    """Mean IoU (G,) for each bias of class ``k``: from ``place`` (P,) on, a pixel leaves ``other`` for it."""
    classes, size = len(truth), len(_GRID)
    keys = place * classes + other
    shape = (size + 1, classes)  # the last row: never

    def left(keys: Tensor) -> tuple[Tensor, Tensor]:
        """How many pixels have left each class at each place (G, K), and how many there are at all (K,)."""
        counts = keys.bincount(minlength=shape[0] * classes).view(shape)
        return counts.cumsum(0)[:size], counts.sum(0)

    gone, predicted = left(keys)
    gone_right, right = left(keys[other == labels])
    won, _ = left((place * classes + k)[labels == k])
    predicted, hits = predicted - gone, right - gone_right
    predicted[:, k], hits[:, k] = gone.sum(1), won[:, k]
    present = truth > 0
    return (hits / (predicted + truth - hits).clamp(min=1))[:, present].double().mean(1)


def _sample(runtime: Runtime, pairs: Data, advance: Callable[[int], None]) -> tuple[Tensor, Tensor]:
    """Logits (K, P) float32 and labels (P,) of labeled pixels, as many of each image."""
    classes = len(pairs.classes)
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), _IMAGES)).round().astype(int)).tolist()
    share = min(_PIXELS, _VALUES // classes) // len(chosen)
    kept: list[tuple[Any, Any]] = []
    for index in chosen:
        image, label = pairs[index]
        places = np.flatnonzero(label < classes)
        if len(places) > share:
            places = np.sort(np.random.default_rng(index).choice(places, share, replace=False))
        batch = torch.from_numpy(image).permute(2, 0, 1)[None]
        logits = runtime.logits(batch)[0].float().flatten(1).cpu()
        kept.append((logits[:, places], torch.from_numpy(label.flatten()[places].astype(np.int64))))
        advance(1)
    labels = torch.cat([y for _, y in kept])
    if not len(labels):
        raise InputError(f"{pairs.name}: no labeled pixel to fit class biases to")
    return torch.cat([x for x, _ in kept], 1), labels
