"""Sound data of which one to three things are spoilt: bytes, sizes, links, pipes, or the place for the results."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.case import STRANGE_NAMES, VOID, Case, Pair, Reading, kind, put, save

CLASSES = 3


def add(case: Case, stem: str, height: int = 0, width: int = 0, suffix: str = ".png") -> Path:
    """Write a pair of any size and expect it; return the image's path."""
    sides = [1, 2, 7, 31, 32, 33, 48, 64, 65, 97, 130, case.dice.randint(1, 300)]
    height, width = height or case.dice.choice(sides), width or case.dice.choice(sides)
    ids = case.noise.integers(0, CLASSES, (-(-height // 8), -(-width // 8)), dtype=np.uint8)
    ids = ids.repeat(8, 0).repeat(8, 1)[:height, :width].copy()
    ids[: height // 6] = VOID
    pair = Pair(ids, case.paint(ids))
    path = case.root / "images" / (stem + suffix)
    case.write_image(pair, path)
    save(Image.fromarray(ids), mask_path(case, stem))
    case.expect(path, pair)
    return path


def mask_path(case: Case, stem: str) -> Path:
    return case.root / "masks" / f"{stem}.png"


def may_lack(case: Case, path: Path) -> None:
    """An image may be left out, if that is said, or the data refused."""
    name = path.relative_to(case.root).as_posix()
    for reading in case.readings:
        reading.absent |= {name}
        reading.warning = "without an image"


def text_as_image(case: Case) -> None:
    add(case, "text").write_text("not an image\n" * case.dice.randint(1, 50))
    case.must_refuse()


def empty_image(case: Case) -> None:
    add(case, "empty").write_bytes(b"")
    case.must_refuse()


def truncated_image(case: Case) -> None:
    path = add(case, "cut", 64, 64, str(case.pick("cut", [".png", ".jpg", ".tif", ".bmp"])))
    path.write_bytes(path.read_bytes()[: case.dice.randint(1, path.stat().st_size - 300)])
    case.must_refuse()


def flipped_bytes(case: Case) -> None:
    path = add(case, "flipped", 48, 64)
    data = bytearray(path.read_bytes())
    for _ in range(case.dice.randint(1, 40)):
        data[case.dice.randrange(len(data))] ^= 1 << case.dice.randrange(8)
    path.write_bytes(data)
    case.pairs[path.relative_to(case.root).as_posix()].tolerance = 256


def random_bytes(case: Case) -> None:
    add(case, "bytes").write_bytes(case.noise.bytes(case.dice.randint(1, 5000)))
    case.must_refuse()


def huge_header(case: Case) -> None:
    path = add(case, "huge")
    side = case.dice.choice([40_000, 2**20, 2**31 - 1])

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    case.must_refuse()


def any_size(case: Case) -> None:
    add(case, "size")


def large_image(case: Case) -> None:
    add(case, "large", case.dice.randint(300, 900), case.dice.randint(300, 900))


def very_long_image(case: Case) -> None:
    sides = [case.dice.choice([1, 40, 64]), 3000]
    case.dice.shuffle(sides)
    add(case, "long", *sides)


def value_outside(case: Case) -> None:
    add(case, "outside", 48, 64)
    ids = np.array(Image.open(mask_path(case, "outside")))
    ids[-1, -1] = case.dice.choice([CLASSES, 7, 200, 254])
    Image.fromarray(ids).save(mask_path(case, "outside"))
    case.must_refuse()


def colored_mask(case: Case) -> None:
    path = add(case, "colored", 48, 64)
    mask_path(case, "colored").write_bytes(path.read_bytes())
    case.must_refuse()


def empty_mask(case: Case) -> None:
    add(case, "hollow")
    mask_path(case, "hollow").write_bytes(b"")
    case.must_refuse()


def truncated_mask(case: Case) -> None:
    add(case, "torn", 64, 96)
    path = mask_path(case, "torn")
    path.write_bytes(path.read_bytes()[: case.dice.randint(8, path.stat().st_size - 30)])
    case.must_refuse()


def folder_named_like_an_image(case: Case) -> None:
    (case.root / "images" / "folder.png").mkdir(parents=True)


def link_to_nothing(case: Case) -> None:
    path = add(case, "dangling")
    path.unlink()
    path.symlink_to("gone.png")
    may_lack(case, path)


def link_to_an_image(case: Case) -> None:
    path = add(case, "linked")
    path.rename(case.root / "elsewhere.png")
    path.symlink_to(case.root / "elsewhere.png")


def circle_of_links(case: Case) -> None:
    (case.root / "images" / "circle").symlink_to(case.root / "images")
    (case.root / "images" / "up").symlink_to(case.root)


def link_to_itself(case: Case) -> None:
    path = add(case, "loop")
    path.unlink()
    path.symlink_to(path)
    may_lack(case, path)


def named_pipe(case: Case) -> None:
    path = add(case, "pipe")
    path.unlink()
    os.mkfifo(path)
    may_lack(case, path)


def classes_yaml_as_found(case: Case) -> None:
    """Forms of classes.yaml that are none, or almost."""
    text = case.dice.choice(
        ["", "classes:\n", "classes: road\n", "- a\n- a\n- b\n", "- a\n- b\n", "classes: [a, b, c, d\n",
         "\tclasses: [a, b, c]\n", "classes:\n- {name: a, id: 0}\n- {name: b, id: 0}\n- c\n", "\x00",
         "classes: [a, b, c]\nignored: [4]\n", "nc: 3\nnames: [a, b, c]\n", "&a [*a, *a, b]\n",
         "- {name: a, id: 0}\n- {name: b, id: 1}\n- {name: c, id: 300000}\n", "- {name: a, ids: [0, 1, 2]}\n"],
    )  # fmt: skip
    put(case.root / "classes.yaml", text)
    case.note(f"classes.yaml={text!r}")
    case.must_refuse()


def output_is_a_file(case: Case) -> None:
    case.out.write_text("in the way")
    case.writable = False


def output_below_a_file(case: Case) -> None:
    (case.root.parent / "file").write_text("in the way")
    case.out, case.writable = case.root.parent / "file" / "below", False


def output_unwritable(case: Case) -> None:
    case.out, case.writable = Path("/proc/pixalign"), False


def output_with_a_strange_name(case: Case) -> None:
    if case.writable:
        case.out = case.root.parent / f"{STRANGE_NAMES[1]} \n[x]"


SPOILERS: tuple[Callable[[Case], None], ...] = (
    text_as_image, empty_image, truncated_image, flipped_bytes, random_bytes, huge_header, any_size, large_image,
    very_long_image, value_outside, colored_mask, empty_mask, truncated_mask, folder_named_like_an_image,
    link_to_nothing, link_to_an_image, circle_of_links, link_to_itself, named_pipe, classes_yaml_as_found,
    output_is_a_file,
    output_below_a_file, output_unwritable, output_with_a_strange_name,
)  # fmt: skip
OUTPUTS = SPOILERS[-4:]


@kind
def spoilt(case: Case) -> None:
    """Three sound pairs and classes.yaml, and one to three things that are not."""
    for stem in ("a", "b", "c", "d"):
        add(
            case, stem, case.dice.randint(32, 70), case.dice.randint(32, 70), case.dice.choice([".png", ".bmp", ".tif"])
        )
    case.yaml([f"class {i}" for i in range(CLASSES)])
    first = SPOILERS[case.seed % len(SPOILERS)]
    others = [s for s in SPOILERS if s is not first and not {s, first} < set(OUTPUTS)]
    chosen = [first, *case.dice.sample(others, case.dice.choice([0, 0, 1, 2]))]
    case.note("+".join(spoil.__name__ for spoil in chosen))
    case.readings = [Reading()]
    for spoil in chosen:
        spoil(case)
    if {*chosen} == {circle_of_links}:
        case.refusal = "no"
