"""Serve a page on which models are tried: an image in, classes out, and where the network looked; also for programs."""

from typing import Any

HELP = "serve a page for trying models in a browser, and an API"

_UNITS = {"kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}


def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "--models",
        nargs="+",
        default=["default"],
        metavar="MODEL",
        help="what visitors can choose: bundled names, folders, Hub ids, FILE.onnx, FILE.xml",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: all of this machine's")
    parser.add_argument("--port", type=int, default=7860, help="port to listen at")
    parser.add_argument("--max-upload", default="20MB", metavar="SIZE", help="largest file, such as 500kB or 20MB")
    parser.add_argument("--max-pixels", type=int, default=16_000_000, help="larger images are refused undecoded")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="of work for one request")
    parser.add_argument("--allow-hub", action="store_true", help="visitors may name any model of the Hub, owner/name")


def run(args: Any) -> int:
    import signal
    import time

    from pixalign.errors import InputError

    if args.max_pixels < 1024:
        raise InputError(f"--max-pixels is {args.max_pixels}: give 1024 or more")
    if not args.timeout > 0:
        raise InputError(f"--timeout is {args.timeout:g}: give more than 0 seconds")
    upload = parse_bytes(args.max_upload)

    import pixalign.app  # says what to install where gradio is missing, before anything is loaded  # noqa: F401
    from pixalign.app.page import launch
    from pixalign.app.service import Limits, Service

    told: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    service = Service(args.models, Limits(upload, args.max_pixels, args.timeout), args.allow_hub)
    try:
        server = launch(service, args.host, args.port)
        for number in handlers:  # SIGTERM is how systemd and docker end a service; a second one changes nothing
            signal.signal(number, lambda number, frame: told.append(number))
        print(f"pixalign app: {', '.join(service.names)} at {server.address} (Ctrl-C ends it)", flush=True)
        while not told:  # a lock that the handler released could be missed by a wait that is just beginning
            time.sleep(0.2)
        server.close()
        print("pixalign app: ended")
    finally:
        service.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 0


def parse_bytes(text: str) -> int:
    """Bytes from a text such as 20MB, 500kB or 1.5GB (powers of 1000)."""
    from pixalign.errors import InputError

    number, factor = text.strip().lower(), 1
    for unit, size in _UNITS.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit).strip(), size
    try:
        found = int(float(number) * factor)
    except (ValueError, OverflowError):
        found = 0
    if found < 1:
        raise InputError(f"--max-upload {text!r} cannot be read: give a size such as 500kB or 20MB")
    return found
