"""Networks ready to run by PyTorch, ONNX Runtime or OpenVINO: one call, images in, logits out."""

from pixalign.runtime.manifest import MANIFEST, manifest_file, read_manifest
from pixalign.runtime.runtime import EXPORTED, PRECISIONS, Runtime, hash_weights, is_exported, load_runtime, pick_device

__all__ = [
    "EXPORTED",
    "MANIFEST",
    "PRECISIONS",
    "Runtime",
    "hash_weights",
    "is_exported",
    "load_runtime",
    "manifest_file",
    "pick_device",
    "read_manifest",
]
