"""The pages of the documentation, and the blocks of code on them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("example_project/**/*.md"),
    )
)

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<language>.*)$")
_FILE = re.compile(r"\A(?:# |\{# )(?P<file>[\w./]+\.(?:py|html))(?P<rest>[^\n]*)\n")

SHELL = "python manage.py shell"


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path from the root of the repository.
        line: of its first line of code, from 1.
        language: what stands behind the fence.
        code: all between the fences.
    """

    page: str
    line: int
    language: str
    code: str

    @property
    def file(self) -> str | None:
        """The file that its first line names; ``None``: it is for the shell."""
        named = _FILE.match(self.code)
        return named["file"] if named else None

    @property
    def is_appended(self) -> bool:
        """Whether it comes at the end of its file, and not in place of it."""
        named = _FILE.match(self.code)
        return named is not None and "at the end" in named["rest"]


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def all_blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    found: list[Block] = []
    begun: tuple[int, str, str] | None = None
    code: list[str] = []
    for number, line in enumerate(text_of(page).splitlines(keepends=True), start=1):
        fence = _FENCE.match(line.rstrip("\n"))
        if fence and begun is None:
            assert not fence["indent"], f"{page}:{number}: indented blocks would not be found"
            begun, code = (number + 1, fence["language"].strip(), fence["ticks"]), []
        elif fence and begun is not None and fence["ticks"] == begun[2] and not fence["language"]:
            found.append(Block(page, begun[0], begun[1], "".join(code)))
            begun = None
        else:
            code.append(line)
    assert begun is None, f"{page}: the block of line {begun} does not end"
    return found


def blocks(page: str) -> list[str]:
    """The code of a page's Python blocks, in order."""
    return [one.code for one in python_blocks(page)]


def python_blocks(page: str) -> list[Block]:
    return [one for one in all_blocks(page) if one.language == "python"]


def number_of_python_blocks(page: str) -> int:
    """Counted without `all_blocks`, so that neither can overlook one alone."""
    return len(re.findall(r"^[ >]*[`~]{3,} *py", text_of(page), re.MULTILINE | re.IGNORECASE))


def prose_of(page: str) -> str:
    """The page without its blocks."""
    lines, is_code = [], False
    for line in text_of(page).splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif not is_code:
            lines.append(line)
    return "\n".join(lines)
