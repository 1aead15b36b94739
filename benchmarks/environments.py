"""Interpreters of the peers: each in an environment of its own, since their requirements disagree."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "peers"
REQUIREMENTS = Path(__file__).resolve().parent / "requirements"


def python_for(contestant: str) -> str:
    """Return the interpreter that a contestant runs on, its environment made if there is none.

    Raises:
        subprocess.CalledProcessError: pip could not install it.
    """
    wanted = REQUIREMENTS / f"{contestant}.txt"
    if not wanted.exists():
        return sys.executable
    home = HOME / contestant
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    marker = home / "installed.txt"
    if not (marker.exists() and marker.read_text() == wanted.read_text()):
        print(f"Installing {contestant} for comparison", flush=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", wanted], check=True)
        marker.write_text(wanted.read_text())
    return str(python)
