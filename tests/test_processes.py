"""Processes that share work: what they give, and that none outlives whoever has begun it."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures.process import BrokenProcessPool

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from rill_django import processes
from rill_django.processes import in_processes
from tests import parts
from tests.integrity.logs import small_log
from tests.patience import HOPE_SECONDS


def ended(pids):
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    return True


def test_each_part_comes_with_its_result():
    found = in_processes(parts.doubled, iter(range(20)), 2)
    assert sorted(found) == [(number, number * 2) for number in range(20)]
    assert list(in_processes(parts.doubled, [], 2)) == []


def test_parts_are_taken_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(processes, "PARTS_AHEAD", 2)
    taken = []
    endless = (taken.append(number) or number for number in iter(int, 1))
    found = in_processes(parts.doubled, endless, 1)
    assert [next(found) for _ in range(5)] == [(0, 0)] * 5
    assert len(taken) <= 5 + 2
    found.close()


def test_what_is_told_is_there_before_the_result():
    pids = []
    results = in_processes(parts.told, range(4), 2, told=pids.append)
    for count, _ in enumerate(results, 1):
        assert len(pids) >= count
    assert ended(pids)


def test_a_stop_asks_all_of_them_and_is_waited_for():
    stop, pids = threading.Event(), []

    def told(pid):
        pids.append(pid)
        if len(set(pids)) == 2:
            stop.set()

    found = in_processes(parts.until_asked, range(2), 2, told=told, stop=stop)
    assert sorted(found) == [(0, "stopped"), (1, "stopped")]
    assert ended(pids)


def test_one_that_is_killed_is_told_of_and_takes_the_others_along():
    with pytest.raises(BrokenProcessPool):
        list(in_processes(parts.killed, range(3), 2))


def test_an_error_of_the_work_comes_as_it_is():
    with pytest.raises(ValueError, match="part 0"):
        list(in_processes(parts.failing, [0], 1))


def test_left_early_it_ends_those_that_hear_nothing():
    pids = []

    def told(pid):
        pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_processes(parts.deaf, range(2), 2, told=told))
    assert ended(pids)


def test_settings_of_no_module_cannot_be_read_elsewhere(monkeypatch):
    monkeypatch.setattr(processes, "settings", object())
    with pytest.raises(ImproperlyConfigured, match="DJANGO_SETTINGS_MODULE"):
        next(in_processes(parts.doubled, [1], 2))


# A process of its own, which begins others.
_PROGRAM = """
import os, sys
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["RILL_TEST_NAME"]
import django
django.setup()
"""

_POOL = """
from rill_django.processes import in_processes
from tests import parts
tell = lambda pid: print(pid, flush=True)
list(in_processes(getattr(parts, sys.argv[1]), range(2), 2, told=tell))
"""

# Stops at every line of the main thread, as a signal might, while it waits for its processes.
_AT_EVERY_LINE = """
from rill_django import processes
from tests import parts

class Pool(processes.ProcessPoolExecutor):
    futures = []
    def submit(self, *arguments):
        self.futures.append(super().submit(*arguments))
        return self.futures[-1]

processes.ProcessPoolExecutor = Pool
at_work, lines = set(), iter(range(300))

def look(frame, event, argument):
    if any(future._condition._is_owned() for future in Pool.futures):
        print("locked at", frame.f_code.co_qualname, frame.f_lineno, flush=True)
        os._exit(1)
    if event == "line" and next(lines, None) is None:
        sys.settrace(None)
        raise KeyboardInterrupt
    return look

def tell(pid):
    at_work.add(pid)
    if len(at_work) == 2:
        frame = sys._getframe()
        while frame := frame.f_back:
            frame.f_trace = look
        sys.settrace(look)

try:
    list(processes.in_processes(parts.until_asked, range(2), 2, told=tell))
except KeyboardInterrupt:
    print("interrupted", next(lines, "after all lines"))
"""

# Who is told of the progress never comes back, so that all processes wait for more to do.
_VERIFICATION = """
import time
from rill_django.management.progress import Progress
Progress.advance_to = lambda *_: (print("at it", flush=True), time.sleep(1_000))
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "verify_events", "--workers", "2"])
"""


def program(text, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM + text, *arguments],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
            "RILL_TEST_NAME": str(connection.settings_dict["NAME"]),
        },
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@pytest.mark.parametrize(
    ("work", "number"),
    [("until_asked", signal.SIGKILL), ("deaf", signal.SIGTERM), ("deaf", signal.SIGINT)],
)
def test_they_end_with_whoever_has_begun_them(work, number):
    starter = program(_POOL, work)
    try:
        for _ in range(2):
            assert int(starter.stdout.readline())
        starter.send_signal(number)
        # Those that are left would keep the other end of the pipe open.
        starter.communicate(timeout=HOPE_SECONDS)
    finally:
        starter.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_of_them_ends_all_of_them_quietly(number):
    starter = program(_POOL, "until_asked", start_new_session=True)
    try:
        for _ in range(2):
            assert int(starter.stdout.readline())
        os.killpg(starter.pid, number)
        said, _ = starter.communicate(timeout=HOPE_SECONDS)
    finally:
        starter.kill()
    assert "Process SpawnProcess" not in said


def test_wherever_an_interrupt_comes_it_leaves_nothing_locked_that_their_results_wait_for():
    starter = program(_AT_EVERY_LINE)
    try:
        said, _ = starter.communicate(timeout=HOPE_SECONDS)
    finally:
        starter.kill()
    assert said == "interrupted after all lines\n"


def test_ctrl_c_while_they_start_is_the_starters_alone():
    starter = program("print(flush=True)" + _POOL, "until_asked", start_new_session=True)
    try:
        starter.stdout.readline()
        # The first that is told of is ready; the other one is just starting, or about to.
        starter.stdout.readline()
        os.killpg(starter.pid, signal.SIGINT)
        said, _ = starter.communicate(timeout=HOPE_SECONDS)
    finally:
        starter.kill()
    assert starter.returncode == -signal.SIGINT or "KeyboardInterrupt" in said
    assert said.count("Traceback") <= 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_verification_that_is_killed_leaves_no_process_behind(number):
    small_log()
    starter = program(_VERIFICATION)
    try:
        while "at it" not in starter.stdout.readline():
            assert starter.poll() is None
        starter.send_signal(number)
        said, _ = starter.communicate(timeout=HOPE_SECONDS)
    finally:
        starter.kill()
    assert "Traceback" not in said
    assert starter.returncode == (130 if number == signal.SIGINT else -number)
