"""The one callable that everything above sees of a network: images in, logits out, whatever runs it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pixalign.data.normalization import normalize
from pixalign.errors import InputError
from pixalign.models.network import NetworkConfig, SegmentationNetwork
from pixalign.sampling import Size, grid_of, resize

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Runtime:
    """A network and what runs it, from `open_runtime`. Threads may share one.

    Attributes:
        source: what it was opened from, for messages.
        backend: a key of `BACKENDS`.
        config: what is known about the network.
        device: where images should be and logits are.
        run: the graph alone: its input to its output, tensors on ``device``.
        precision: what it computes in, a key of `PRECISIONS`.
        raw: the graph itself takes uint8 images and normalizes them.
        labels: the graph gives class ids in place of logits.
        network: what PyTorch runs, not to be changed; None for an exported file.
        run_at: normalized images, (H, W) and the share to refine, to logits of that size; None where ``run`` alone is
            there, whose logits are resized.
    """

    source: str
    backend: str
    config: NetworkConfig
    device: torch.device
    run: Callable[[Tensor], Tensor]
    precision: str = "fp32"
    raw: bool = False
    labels: bool = False
    network: SegmentationNetwork | None = None
    run_at: Callable[[Tensor, Size, float | None], Tensor] | None = None

    @property
    def takes_refine(self) -> bool:
        """Whether `logits` takes ``refine``."""
        return self.run_at is not None and self.network is not None and self.network.takes_refine

    def logits(self, images: Tensor, size: Size | None = None, refine: float | None = None) -> Tensor:
        """Run the network.

        Args:
            images: (N, C, h, w) of values 0 to 255, uint8 or float (a ``raw`` graph gets them rounded).
            size: (H, W) of the logits; None: the images'. Networks that answer at any size decode there; of others the
                logits are resized bilinearly.
            refine: for IFA, not exported: the share (0 to 1) of the finest map's cells at whose pixels it is asked.

        Returns:
            Logits (N, K, H, W) on ``device``, float32 unless a lower precision was asked for.

        Raises:
            InputError: images of another form or on which the back-end fails, a graph that ends in labels, refine for
                a network that does not take it.
        """
        if self.labels:
            raise InputError(
                f"{self.source}: gives labels, and blending tiles or views, resizing, or giving probabilities needs "
                "logits: export it without --labels"
            )
        if refine is not None and not self.takes_refine:
            raise InputError(f"refine is {refine:g}: only ifa, not exported, can be refined: leave it out")
        own = grid_of(images)
        size = size or own
        given = self._input(images)
        if self.run_at is not None and (refine is not None or size != own):
            return self.run_at(given, size, refine)
        logits = self.run(given)
        return logits if logits.shape[-2:] == size else resize(logits, size)

    def ids(self, images: Tensor) -> Tensor:
        """Class ids (N, H, W) uint8 of images as in `logits`, at their size, whatever the graph ends in."""
        return self.run(self._input(images)) if self.labels else self.logits(images).argmax(1).to(torch.uint8)

    def fingerprint(self) -> str:
        """64 hexadecimal digits of the weights of a network or an exported file, and of the precision."""
        digest = hashlib.sha256(b"" if self.precision == "fp32" else self.precision.encode())
        if self.network is not None:
            for name, tensor in self.network.state_dict(keep_vars=True).items():  # a fused one gives no others
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
            return digest.hexdigest()
        for path in (Path(self.source), Path(self.source).with_suffix(".bin")):
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def _input(self, images: Tensor) -> Tensor:
        """What the graph takes for images as in `logits`."""
        channels = self.config.in_channels
        if images.ndim != 4 or images.shape[1] != channels:
            raise InputError(
                f"{self.source}: images of shape {tuple(images.shape)}: (N, {channels}, H, W) is what it takes"
            )
        images = images.to(self.device)
        if not self.raw:
            return normalize(images, self.config.mean, self.config.std)
        return images if images.dtype == torch.uint8 else images.round().clamp(0, 255).to(torch.uint8)
