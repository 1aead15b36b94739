"""What a type checker makes of a user's code: samples that it must accept, and mistakes that it must find."""

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).parent / "typing"

ERROR = re.compile(r"^(?P<file>.*\.py):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")
REVEALED = re.compile(r'^(?P<file>.*\.py):(?P<line>\d+): note: Revealed type is "(?P<type>.*)"$')


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """What mypy says of the samples, each line matched by the pattern given."""
    folder = tmp_path_factory.mktemp("mypy")
    config = folder / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = true\nfollow_imports = silent\nmypy_path = {ROOT}\n")
    samples = [str(SAMPLES / name) for name in ("good.py", "bad.py")]
    output, complaints, _ = api.run(
        ["--config-file", str(config), "--cache-dir", str(folder / "cache"), *samples]
    )
    assert not complaints

    def matching(pattern: re.Pattern[str], sample: str) -> list[tuple[int, str]]:
        found = map(pattern.match, output.splitlines())
        return [
            (int(one["line"]), one[pattern.groups])
            for one in found
            if one and Path(one["file"]).name == sample
        ]

    return matching


def marked(sample: str, sign: str) -> list[tuple[int, str]]:
    lines = (SAMPLES / sample).read_text().splitlines()
    return [
        (number, line.split(f"# {sign}: ")[1])
        for number, line in enumerate(lines, 1)
        if f"# {sign}: " in line
    ]


def test_right_code_has_no_errors(reported):
    assert reported(ERROR, "good.py") == []


def test_the_types_of_events_and_commands_are_known(reported):
    expected = marked("good.py", "R")
    revealed = [
        (line, re.sub(r"[\w.]+\.(?=EventType|CommandType|Account)", "", text))
        for line, text in reported(REVEALED, "good.py")
    ]
    assert len(expected) == 3
    assert revealed == expected


def test_every_mistake_is_found_where_it_is_and_nothing_else(reported):
    assert len(marked("bad.py", "E")) > 20
    assert reported(ERROR, "bad.py") == marked("bad.py", "E")
