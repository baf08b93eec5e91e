# SPDX-License-Identifier: Apache-2.0
"""`python -m sdnctl` is `sdnctl`."""

import sys

from sdnctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
