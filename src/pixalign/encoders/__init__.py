"""Encoders: any timm backbone behind one contract, maps at strides 4, 8, 16 and 32."""

from pixalign.encoders.timm_encoder import TimmEncoder, list_encoders

__all__ = ["TimmEncoder", "list_encoders"]
