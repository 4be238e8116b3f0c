"""Synthetic street scenes with exact labels: a layout, its things, and a renderer."""
