"""`python -m tale_core …`."""

import sys

from tale_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
