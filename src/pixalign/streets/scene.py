"""What a picture of a drawn street is made from, besides surfaces (`pixalign.streets.builder`): camera, light."""

from dataclasses import dataclass

Color = tuple[float, float, float]
Point = tuple[float, float, float]  # meters: x to the right, y up, z ahead of the camera, which stands at x = z = 0


@dataclass(kw_only=True)
class Light:
    """Colors are display values (0 to 255), directions point to the light."""

    above: Color  # light from above, per channel, as a factor
    around: Color  # the same from all sides
    sun: Color = (0, 0, 0)  # and from the sun
    sun_from: Point  # unit vector to the sun
    shadow: float = 1  # what remains of the light on shadowed ground
    contact: float = 0.55  # the same under vehicles and along walls
    sky: Color  # of the gaps between the clouds
    cloud: Color
    horizon: Color  # of both, low in the sky
    cloudiness: float  # how much cloud, about -1.5 to 2
    texture: float  # how much lighter or darker the parts of a cloud are, as a factor
    haze: float  # share of the horizon's color far away
    haze_depth: float  # meters at which half of it is reached
    noise: float  # deviation of the sensor's noise, in display values
    lamps: float = 0  # brightness of lamps that are lit, 0 (none is) to 1


@dataclass
class Camera:
    """Focal length in heights, the vanishing point (u, v) of the straight street, meters above ground."""

    focal: float
    center: tuple[float, float]
    height: float
    bend: float  # meters sideways per square meter ahead
    vignette: float
    blur: float
    contrast: float
    saturation: float
    clouds: tuple[int, float, float, float]  # which, where, how large
