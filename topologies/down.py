# SPDX-License-Identifier: Apache-2.0
"""Ends the labs that were left up on purpose (`--keep`), and what is left of those whose owner died.

    python -m topologies.down             all of them
    python -m topologies.down NAME ...    these

Labs that somebody is using right now are left alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

from topologies import keeper


def main() -> None:
    names = sys.argv[1:]
    for directory in sorted(keeper.RUN.glob("*/")):
        if names and directory.name not in names:
            continue
        if keeper.is_running(directory / "owner") or not keeper.is_running(directory / "keeper"):
            continue
        with contextlib.suppress(OSError, ValueError):
            handle = os.pidfd_open(int((directory / "keeper").read_text().split()[0]))
            if keeper.is_running(directory / "keeper"):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
                select.select([handle], [], [], 10)
                print(f"ended {directory.name}")
            os.close(handle)
    for name in keeper.clean_up_after_the_dead():
        print(f"cleaned up after {name}")


if __name__ == "__main__":
    main()
