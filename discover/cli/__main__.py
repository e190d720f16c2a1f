"""``python -m discover.cli`` is the command line."""

import sys

from discover.cli import main

if __name__ == "__main__":
    sys.exit(main())
