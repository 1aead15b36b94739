"""Make ``.venv`` with all that the example project, the tests and the linters need.

Standard library only. The syntax stays within what very old Pythons can parse, so that one of them
reaches ``old_python_message`` and says what to do instead of showing a traceback.
"""

from __future__ import print_function

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

OLDEST_PYTHON = (3, 10)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = os.path.join(ROOT, ".venv")
# Written before the environment is filled, so that an interrupted set-up is known as our own.
MARKER = "rill-setup.json"
INPUTS = ("requirements.txt", "pyproject.toml", os.path.join("tools", "setup_environment.py"))
PROBE = """
import importlib.util, sys
print("%d.%d" % sys.version_info[:2])
print(sys.prefix)
print("pip" if importlib.util.find_spec("pip") else "no pip")
"""


class SetupError(Exception):
    """Something that the person at the keyboard has to put right; its text says how."""


def old_python_message(version):
    """What to say to a Python of this ``version`` (a tuple), or None if it is new enough."""
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return None
    return (
        "rill_django needs Python %d.%d or newer, and this is Python %s. "
        "Install a newer one, or name it: make setup PYTHON=/path/to/python3.12"
        % (OLDEST_PYTHON[0], OLDEST_PYTHON[1], ".".join(str(part) for part in version[:3]))
    )


def missing_module_message(version, is_there):
    """What to say when this Python cannot make environments, or None if it can.

    ``is_there`` tells whether a module of a given name can be imported.
    """
    missing = [name for name in ("venv", "ensurepip") if not is_there(name)]
    if not missing:
        return None
    return (
        "This Python (%s) cannot make virtual environments: its module %s is missing. "
        "On Debian and Ubuntu: apt install python3-venv (or python%d.%d-venv)"
        % (sys.executable, missing[0], version[0], version[1])
    )


def can_import(name):
    import importlib.util

    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def fingerprint(root, inputs=INPUTS):
    """A digest of the files that decide what is installed."""
    digest = hashlib.sha256()
    for name in inputs:
        with open(os.path.join(root, name), "rb") as file:
            content = file.read()
        digest.update(("%s %d\n" % (name, len(content))).encode())
        digest.update(content)
    return digest.hexdigest()


def read_marker(environment):
    """What the last set-up noted about this environment; None if it is not one of ours."""
    try:
        with open(os.path.join(environment, MARKER)) as file:
            marker = json.load(file)
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def write_marker(environment, marker):
    with open(os.path.join(environment, MARKER), "w") as file:
        json.dump(marker, file, indent=2, sort_keys=True)


def python_of(environment):
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(environment, folder, name)


def fault_of(environment, wanted_version=None):
    """Why this environment cannot be used as it is, or None if it can.

    ``wanted_version`` ("3.12") is given when somebody asked for one Python in particular.
    """
    if not os.path.exists(os.path.join(environment, "pyvenv.cfg")):
        return "it is not a virtual environment"
    try:
        answer = subprocess.check_output(
            [python_of(environment), "-c", PROBE], stderr=subprocess.STDOUT
        )
    except (OSError, subprocess.CalledProcessError):
        return "its Python does not run"
    version, prefix, pip = answer.decode().splitlines()[:3]
    if os.path.realpath(prefix) != os.path.realpath(environment):
        return "it belongs to %s" % prefix
    marker = read_marker(environment) or {}
    if marker.get("root", ROOT) != ROOT:
        return "it was made in %s" % marker["root"]
    if marker.get("python", version) != version:
        return "it was made for Python %s and now runs %s" % (marker["python"], version)
    if wanted_version and version != wanted_version:
        return "it has Python %s, and %s was asked for" % (version, wanted_version)
    if tuple(int(part) for part in version.split(".")) < OLDEST_PYTHON:
        return "its Python %s is too old" % version
    if pip != "pip":
        return "it has no pip"
    return None


def clear_unusable(environment, wanted_version=None):
    """Remove an environment of our own that cannot be used; never one that somebody else made."""
    if not os.path.lexists(environment):
        return
    fault = fault_of(environment, wanted_version)
    if fault is None:
        return
    if read_marker(environment) is None:
        raise SetupError(
            ".venv is in the way: %s. It was not made by 'make setup', so it is left alone; "
            "move it or remove it, then try again." % fault
        )
    print("Making .venv anew: %s" % fault)
    shutil.rmtree(environment)


def run(command, failure):
    try:
        status = subprocess.call(command, cwd=ROOT)
    except OSError as error:
        raise SetupError("%s: %s" % (failure, error))
    if status != 0:
        raise SetupError("%s (the reason is above)." % failure)


def make_environment(environment):
    print("Making .venv with Python %s" % sys.version.split()[0])
    sys.stdout.flush()
    if not os.path.isdir(environment):
        os.mkdir(environment)
    write_marker(environment, {"root": ROOT, "python": "%d.%d" % sys.version_info[:2]})
    run([sys.executable, "-m", "venv", environment], "The virtual environment could not be made")


def install(environment):
    pip_install = [python_of(environment), "-m", "pip", "install"]
    quiet = ["-qq", "--disable-pip-version-check"]
    steps = (
        ("Installing what requirements.txt names", ["-r", "requirements.txt"]),
        ("Installing rill_django itself, editable", ["--no-deps", "--editable", "."]),
    )
    for heading, what in steps:
        print(heading)
        sys.stdout.flush()
        run(pip_install + quiet + what, "%s failed" % heading)


def set_up(environment, this_python):
    """Bring the environment up to date. Quick when it already is."""
    begun = time.time()
    own_version = "%d.%d" % sys.version_info[:2]
    clear_unusable(environment, own_version if this_python else None)
    marker = read_marker(environment)
    wanted = fingerprint(ROOT)
    if marker and marker.get("installed") == wanted:
        print("Ready: .venv is up to date")
        return
    if not os.path.isdir(environment):
        message = missing_module_message(sys.version_info, can_import)
        if message:
            raise SetupError(message)
        make_environment(environment)
    install(environment)
    marker = read_marker(environment) or {"root": ROOT}
    write_marker(environment, dict(marker, installed=wanted))
    print("Ready: .venv (%.0f s)" % (time.time() - begun))


def main(arguments):
    message = old_python_message(sys.version_info)
    if message:
        print(message, file=sys.stderr)
        return 1
    try:
        set_up(ENVIRONMENT, this_python="--this-python" in arguments)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; 'make setup' goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
