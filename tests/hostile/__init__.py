"""Hostile data sets by the thousand, each with the masks that were meant, and a judge of what pixalign makes of them.

``case`` holds what a data set is meant to say; ``masks``, ``images``, ``annotations``, ``layouts``, ``names`` and
``spoilt`` write it in every form that tools, formats and accidents give it, one function per kind; ``judge`` runs the
commands and compares. ``tests/hostile_data.py`` is the program.
"""
