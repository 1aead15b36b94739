"""PgBouncer in transaction mode, before the server that the tests use: if it is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.db import connection

from tests.patience import wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

PORT = "6432"
"""Of a socket in a folder of its own: a port that was free a moment ago may be taken."""

SESSIONS = 4
"""Fewer than there are clients: each transaction gets whichever is free."""

_CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr =
listen_port = {PORT}
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
unix_socket_dir = {folder}
ignore_startup_parameters = extra_float_digits,options
logfile = {folder}/log
"""


@contextmanager
def transaction_pooler():
    """Run one; gives what a connection needs to go through it."""
    parameters = connection.get_connection_params()
    server = " ".join(
        f"{name}={parameters[key]}"
        for name, key in (
            ("host", "host"),
            ("port", "port"),
            ("user", "user"),
            ("password", "password"),
        )
        if parameters.get(key)
    )
    folder = Path(tempfile.mkdtemp(prefix="rill-pooler-"))
    folder.chmod(0o777)
    file = folder / "pgbouncer.ini"
    file.write_text(
        _CONFIGURATION.format(server=server, PORT=PORT, sessions=SESSIONS, folder=folder)
    )
    # It refuses to run as root.
    account = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen([PROGRAM, "-q", file], stderr=subprocess.DEVNULL, **account)
    try:
        wait_until(lambda: is_open(folder / f".s.PGSQL.{PORT}") or process.poll() is not None)
        assert process.poll() is None, "PgBouncer ended at its start"
        yield {"HOST": str(folder), "PORT": PORT, "PASSWORD": "x"}
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def is_open(path):
    """Whether somebody takes connections there."""
    with socket.socket(socket.AF_UNIX) as attempt:
        return attempt.connect_ex(str(path)) == 0


def other_client(place):
    """Another client of the pooler, so that sessions change hands."""
    return psycopg.connect(
        host=place["HOST"],
        port=place["PORT"],
        user=connection.settings_dict["USER"] or "postgres",
        dbname=connection.settings_dict["NAME"],
        password=place["PASSWORD"],
        prepare_threshold=None,
    )
