"""``python -m pixalign`` is the command line."""

import sys

from pixalign.cli import main

if __name__ == "__main__":
    sys.exit(main())
