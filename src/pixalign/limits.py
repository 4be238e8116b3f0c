"""What holds for every network."""

SMALLEST = 32  # pixels of a side of an image; no network is asked for less
