"""A project outside of this repository, as a reader makes it, and the blocks of a page in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.docs.pages import ROOT, Block, all_blocks, number_of_python_blocks, python_blocks
from tests.patience import HOPE_SECONDS

# Run by `manage.py shell`; an error names the page and its line.
RUN = """
from pathlib import Path

namespace = {{"__name__": "__main__"}}
for name in {names!r}:
    exec(compile(Path(name).read_text(), name, "exec"), namespace)
"""


class Project:
    """One folder with `manage.py`, a site called `mysite` and an app called `bank`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._done: set[tuple[str, int]] = set()

    def environment(self) -> dict[str, str]:
        """Nothing of this repository but its code."""
        ours = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL")
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}"}

    def run(self, *arguments: str, expected: int = 0, **options: str) -> str:
        """Run Python in the project; its standard output."""
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout

    def manage(self, *arguments: str, **options: str) -> str:
        return self.run("manage.py", *arguments, **options)

    def calls(self, *commands: Sequence[str]) -> str:
        """Run management commands after each other in one process, which starts once."""
        script = "from django.core.management import call_command\n"
        script += "".join(f"call_command(*{list(command)!r})\n" for command in commands)
        return self.manage("shell", "-v0", input=script)

    def write(self, block: Block) -> None:
        """Do with a block what its first line says."""
        assert block.file is not None
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() + "\n\n" if block.is_appended else ""
        path.write_text(before + block.code)
        self._done.add((block.page, block.line))

    def shell(self, given: Sequence[Block]) -> str:
        """Run the blocks after each other, in one namespace."""
        names = []
        for block in given:
            # Lines are counted as the page counts them.
            name = self.folder / f"{block.page.replace('/', '.')}.{block.line}.py"
            name.write_text("\n" * (block.line - 1) + block.code)
            names.append(name.name)
        self._done.update((block.page, block.line) for block in given)
        return self.manage("shell", "-v0", input=RUN.format(names=names))

    def make_tables(self) -> None:
        self.calls(["makemigrations", "bank", "-v0"], ["migrate", "-v0"])

    def follow(self, page: str, *, shell: bool = True) -> None:
        """Put the blocks of a page where they belong, make the tables, and run those for the shell."""
        given = python_blocks(page)
        for block in all_blocks(page):
            if block.file is not None:
                self.write(block)
        self.make_tables()
        if shell:
            self.shell([block for block in given if block.file is None])

    def has_done_all_of(self, page: str) -> bool:
        """Whether every Python block of the page was used, and nothing that looks like one is left over."""
        done = [one for one in python_blocks(page) if (page, one.line) in self._done]
        return len(done) == number_of_python_blocks(page)

    def copy_to(self, folder: Path) -> "Project":
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        copy = Project(folder)
        copy._done = set(self._done)
        return copy


def new_project(folder: Path) -> Project:
    """A project with the library in its settings, as the README's tutorial begins."""
    project = Project(folder)
    project.run("-m", "django", "startproject", "mysite", ".")
    project.manage("startapp", "bank")
    (settings,) = (one for one in python_blocks("README.md") if one.file == "mysite/settings.py")
    project.write(settings)
    return project


def tutorial_project(folder: Path) -> Project:
    """The project at the end of the README's tutorial, its rows up to date."""
    project = new_project(folder)
    given = python_blocks("README.md")
    for block in given:
        if block.file not in (None, "mysite/settings.py"):
            project.write(block)
    project.make_tables()
    said = project.shell([block for block in given if block.file is None])
    assert said.strip().endswith("only 100 there")
    project.manage("run_projections", "--once")
    return project


@contextmanager
def worker(project: Project) -> Iterator[None]:
    """`run_projections` beside the project's other processes."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_projections"],
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(HOPE_SECONDS) == 0
