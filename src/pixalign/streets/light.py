"""The light over a drawn street."""

import math
from random import Random

from pixalign.streets.scene import Light


def light_of(name: str, dice: Random) -> Light:
    """A light of the given kind, varied."""
    angle, up = dice.uniform(0, 2 * math.pi), dice.uniform(0.5, 1.0)
    if name == "low sun":
        up = dice.uniform(0.15, 0.4)
    flat = math.sqrt(1 / (1 + up * up))
    sun_from = (flat * math.cos(angle), flat * up, flat * math.sin(angle))
    if name == "dusk":
        dark, blue = dice.uniform(0.14, 0.32), dice.uniform(1.05, 1.3)
        cloud = dice.gauss(146, 12)
        return Light(
            above=(0.95 * dark, 1.1 * dark, 1.1 * dark * blue),
            around=(1.05 * dark, 1.28 * dark, 1.28 * dark * blue),
            sun_from=sun_from,
            sky=(0.8 * cloud, 0.95 * cloud, 1.02 * cloud),
            cloud=(0.9 * cloud, 1.02 * cloud, 1.06 * cloud),
            horizon=(1.12 * cloud, 1.24 * cloud, 1.22 * cloud),
            cloudiness=dice.uniform(0.2, 1.2),
            texture=dice.uniform(0.2, 0.45),
            haze=dice.uniform(0.05, 0.25),
            haze_depth=dice.uniform(200, 600),
            noise=dice.uniform(1.5, 5),
            lamps=dice.uniform(0.6, 1),
        )
    haze_depth, noise = dice.uniform(150, 500), dice.uniform(1.5, 5)
    if name == "overcast":
        level, white = dice.uniform(0.6, 1.05), dice.uniform(225, 275)
        tint = dice.uniform(0.95, 1.05)
        return Light(
            above=(level, level, level * tint),
            around=(0.78 * level, 0.78 * level, 0.79 * level * tint),
            sun=(0.1, 0.1, 0.1),
            sun_from=sun_from,
            contact=0.62,
            sky=(0.92 * white, 0.96 * white, white),
            cloud=(white, white, white),
            horizon=(1.03 * white, 1.03 * white, 1.03 * white),
            cloudiness=dice.uniform(0.5, 2),
            texture=dice.uniform(0.02, 0.1),
            haze=dice.uniform(0.1, 0.5),
            haze_depth=haze_depth,
            noise=noise,
        )
    washed = dice.random()
    if name == "day":
        ambient, sun = dice.uniform(0.5, 0.85), dice.uniform(0.4, 0.9)
    else:
        ambient, sun = dice.uniform(0.38, 0.62), dice.uniform(0.8, 1.5)
    return Light(
        above=(0.96 * ambient, ambient, 1.07 * ambient),
        around=(0.8 * ambient, 0.81 * ambient, 0.84 * ambient),
        sun=(sun, 0.96 * sun, 0.86 * sun),
        sun_from=sun_from,
        shadow=dice.uniform(0.4, 0.65),
        sky=(175 + 90 * washed, 225 + 45 * washed, 262 + 10 * washed),
        cloud=(258, 260, 262),
        horizon=(256, 262, 264),
        cloudiness=dice.uniform(-1.5, 0.8),
        texture=0.03,
        haze=dice.uniform(0.1, 0.45),
        haze_depth=haze_depth,
        noise=noise,
    )
