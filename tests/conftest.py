"""Fixtures for the whole suite."""

import signal

# A shell's background job ignores Ctrl-C, and so does whatever it starts: programs that tests interrupt
# would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
