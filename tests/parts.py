"""What processes do with the parts that a test gives them: functions, since they import them."""

import os
import signal
import time
from contextlib import suppress

from rill_django import processes


def doubled(part, tell, stop):
    return part * 2


def told(part, tell, stop):
    tell(os.getpid())
    return part


def until_asked(part, tell, stop):
    """Works until it is asked to stop."""
    tell(os.getpid())
    while not stop.wait(0.01):
        pass
    return "stopped"


def deaf(part, tell, stop):
    """Hears nothing, like a statement that the database takes its time for."""
    processes.GRACE_SECONDS = 0.1
    tell(os.getpid())
    while True:
        with suppress(KeyboardInterrupt):
            time.sleep(0.01)


def killed(part, tell, stop):
    os.kill(os.getpid(), signal.SIGKILL)


def failing(part, tell, stop):
    raise ValueError(f"part {part}")
