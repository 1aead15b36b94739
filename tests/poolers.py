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

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

SESSIONS = 4
"""Fewer than there are clients: each transaction gets whichever is free."""

_CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
unix_socket_dir =
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="rill-pooler-"))
    folder.chmod(0o777)
    file = folder / "pgbouncer.ini"
    file.write_text(
        _CONFIGURATION.format(server=server, port=port, sessions=SESSIONS, folder=folder)
    )
    # It refuses to run as root.
    account = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen([PROGRAM, "-q", file], stderr=subprocess.DEVNULL, **account)
    try:
        _wait_for(port, process)
        yield {"HOST": "127.0.0.1", "PORT": str(port), "PASSWORD": "x"}
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port, process):
    while process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("PgBouncer ended at its start")


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
