"""Pauses between tries, so that those who have met do not meet again."""

from __future__ import annotations

import random
import time

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25
"""Seconds: at most the first after one failure, twice as long after each further one, at most the last.

Where a try takes long, so do the pauses: others need as long for theirs.
"""


def pause_after(failures: int, took: float = 0.0) -> None:
    """Wait for a while before another try: at random, or all would come back at the same moment.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").

    Args:
        failures: how many there were, from 1.
        took: seconds that the last try took.
    """
    longest = max(LONGEST_PAUSE, 8 * took)
    wanted = max(FIRST_PAUSE, took) * 2 ** min(failures - 1, 10)
    time.sleep(random.uniform(0, min(longest, wanted)))
