"""Waiting for a database server that went away: a restart in the middle of a run costs time and nothing else.

The writer is told that the last try may have been stored all the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from tale_core import process as shutdown
from tale_core.errors import StoreUnreachableError

OUTAGE_S = 90.0
"""Seconds that a server is waited for."""
FIRST_WAIT_S, MOST_WAIT_S = 0.1, 2.0

log = logging.getLogger(__name__)
T = TypeVar("T")


def through_outage(work: Callable[[bool], T], *, impatient: Callable[[], bool] = lambda: False) -> T:
    """Do a piece of work with the store, again and again while its server is away. Blocks.

    A process that has been told to end waits a few seconds and no longer.

    Args:
        work: Told whether it may have been done already, by a try whose end is not known.
        impatient: Asked before each wait; True gives up at once.

    Raises:
        StoreUnreachableError: It did not come back in time.
        StoreError: Anything else that `work` raises.
    """
    until, wait = time.monotonic() + OUTAGE_S, FIRST_WAIT_S
    again = False
    while True:
        try:
            return work(again)
        except StoreUnreachableError as e:
            if impatient() or shutdown.hurried() or time.monotonic() + wait > until:
                raise
            if not again:
                log.warning("%s Waiting for it.", e.message)
        again = True
        time.sleep(wait)
        wait = min(MOST_WAIT_S, wait * 2)
