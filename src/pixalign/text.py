"""Text for people: figures in words, names that may hold anything, messages of other libraries."""

from collections.abc import Iterable, Sequence


def first_line(error: Exception) -> str:
    """What another library's error says, in one line of at most 300 characters; its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: file names under an ASCII locale become what their bytes say, or U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def shown(text: str, limit: int = 0) -> str:
    """Return text that is safe to print: control characters as escapes, the middle left out beyond ``limit``."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii") for c in text)
    if limit and len(text) > limit:
        tail = limit // 2
        text = f"{text[: limit - tail - 1]}…{text[-tail:]}"
    return text


def number_of(count: int, noun: str, plural: str = "s") -> str:
    """Such as "1 image" and "1,200 images"."""
    return f"{count:,} {noun}{plural if count != 1 else ''}"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of a table in Markdown; columns behind the first ``left`` ones are set to the right."""
    rule = "|" + "---|" * left + "---:|" * (len(headings) - left)
    heading, *body = ("| " + " | ".join(cells) + " |" for cells in (headings, *rows))
    return [heading, rule, *body]


def percent(share: float) -> str:
    """A share of 0 to 1, which may be small, in percent: two significant digits at least."""
    if not share:
        return "–"
    return "< 0.01 %" if share < 0.0001 else f"{100 * share:.{1 if share >= 0.1 else 2}f} %"


def points(share: float | None, signed: bool = False) -> str:
    """A score of 0 to 1 in percent, or a difference of two, signed, in percentage points: one digit, no unit."""
    if share is None:
        return "–" if signed else "absent"
    text = f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}"
    return text.replace("-", "−").replace("−0.0", "0.0").replace("+0.0", "0.0")
