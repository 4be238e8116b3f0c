"""Class names and colours where a data set gives none."""

import colorsys


def default_classes(count: int) -> list[str]:
    """Names class_0, class_1, ... for ``count`` classes."""
    return [f"class_{i}" for i in range(count)]


def default_colours(count: int) -> list[list[int]]:
    """``count`` distinct RGB colours (0 to 255): hues by the golden ratio, so that neighbours in id differ most."""
    colours = []
    for i in range(count):
        value, saturation = ((0.95, 0.65), (0.75, 0.85), (0.6, 0.5))[i // 3 % 3]
        red, green, blue = colorsys.hsv_to_rgb(i * 0.618034 % 1, saturation, value)
        colours.append([round(255 * red), round(255 * green), round(255 * blue)])
    return colours
