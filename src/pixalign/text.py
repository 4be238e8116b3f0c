"""Text of others, as a line and as UTF-8."""


def first_line(error: Exception) -> str:
    """What another library's error says, in one line of at most 300 characters; its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: file names under an ASCII locale become what their bytes say, or U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
