"""The commands, and round trips through them."""

import json
import os
import stat
import threading
from datetime import timedelta
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rill_django.integrity.importing import Import
from rill_django.management.commands.export_events import complete_or_absent, moment
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import Event
from tests.integrity.logs import (
    NOON,
    TAMPERS,
    NewEvent,
    append,
    delete_position,
    deposited,
    export,
    exported_events,
    import_file,
    insert,
    opened,
    small_log,
)
from tests.integrity.test_canonical import floats, values

pytestmark = pytest.mark.django_db


def verify(**options):
    out, error = StringIO(), StringIO()
    try:
        call_command("verify_events", stdout=out, stderr=error, **options)
    except CommandError as failed:
        return out.getvalue(), failed
    return out.getvalue(), None


# --- verify_events --------------------------------------------------------------------------


def test_verify_says_that_a_log_is_whole():
    small_log()
    out, failed = verify()
    assert out == "9 events in 3 streams were read.\nThe log is whole.\n"
    assert failed is None


def test_verify_lists_unknown_types_and_damage():
    small_log(accounts=1)
    insert("shop.Cart/a%2fb", 0, type="shop.Cart.filled")
    insert("shop.Cart/1", 0, type="shop.Cart.filled")
    insert("shop.Cart/1", 1, type="shop.Cart.emptied", metadata="[]")
    out, failed = verify()
    assert out == (
        "6 events in 3 streams were read.\n"
        "3 are of types that today's code does not know:\n"
        "  shop.Cart.emptied: 1\n"
        "  shop.Cart.filled: 2\n"
        "unknown-aggregate: 3 × an event is in a stream of an aggregate type that no code knows\n"
        "  position 4, shop.Cart/a%2fb@0: no code knows shop.Cart\n"
        "  position 5, shop.Cart/1@0: no code knows shop.Cart\n"
        "  position 6, shop.Cart/1@1: no code knows shop.Cart\n"
        "stream-name: 1 × a stream's name is not canonical\n"
        "  position 4, shop.Cart/a%2fb@0: is not canonical: that would be shop.Cart/a%2Fb\n"
        "metadata: 1 × metadata are not as they must be\n"
        "  position 6, shop.Cart/1@1: Expected `object`, got `array`\n"
    )
    assert "The log is damaged" in str(failed)
    assert failed.returncode == 1


def test_verify_tells_what_today_s_code_cannot_read_from_damage():
    small_log(accounts=1)
    insert("bank.Account/9", 0, data='{"number": "9"}')
    insert("bank.Account/8", 0, data='{"number": "8", "owner": "Ann", "phone": "1"}')
    out, failed = verify()
    assert out == (
        "5 events in 3 streams were read.\n"
        "unknown-field: 1 × bank.Account.opened has 'phone', which no code knows\n"
        "  first at position 5, bank.Account/8@0. If 'phone' was renamed, write an "
        "@upcast('bank.Account.opened') that gives its value the new name. If it is to be left out, write "
        "one that drops it, or name it in its aggregate, ignores = ('bank.Account.opened.phone',), or in "
        "RILL['UNKNOWN_EVENTS'].\n"
        "unreadable-event: 1 × an event cannot be read by today's code\n"
        "  position 4, bank.Account/9@0 (bank.Account.opened): Object missing required field `owner`\n"
    )
    assert "The log is not damaged, but today's code leaves parts of it out" in str(failed)
    assert failed.returncode == 3
    report, _ = verify(format="json")
    assert json.loads(report)["verdict"] == "unreadable"
    insert("bank.Account/7", 0, data="[]")
    _, failed = verify()
    assert "The log is damaged" in str(failed)
    assert failed.returncode == 1


@TAMPERS
def test_verify_as_json():
    small_log(accounts=1)
    out, failed = verify(format="json")
    assert json.loads(out)["whole"] is True
    assert failed is None
    delete_position(2)
    out, failed = verify(format="json")
    assert [one["kind"] for one in json.loads(out)["damage"]] == [
        "position-missing",
        "event-without-position",
    ]
    assert failed.returncode == 1


@pytest.mark.parametrize(("verbosity", "shown"), [(0, False), (1, True)])
def test_progress_is_on_stderr_if_it_is_wanted(verbosity, shown, tmp_path):
    small_log(accounts=1)
    for command, options in (
        ("verify_events", {}),
        ("export_events", {"output": tmp_path / "log"}),
        ("import_events", {"file": tmp_path / "log"}),
    ):
        out, error = StringIO(), StringIO()
        given = {name: str(one) for name, one in options.items() if name == "file"}
        call_command(
            command,
            *given.values(),
            stdout=out,
            stderr=error,
            verbosity=verbosity,
            **{name: one for name, one in options.items() if name != "file"},
        )
        assert bool(error.getvalue()) is shown
        assert "/s" not in out.getvalue()


# --- export_events --------------------------------------------------------------------------


def test_export_writes_lines_and_nothing_else_to_stdout():
    small_log(accounts=2, deposits=1)
    lines = [json.loads(line) for line in exported_events().splitlines()]
    assert [line["id"] for line in lines] == [
        "bank.Account/0@0",
        "bank.Account/1@0",
        "bank.Account/0@1",
        "bank.Account/1@1",
    ]
    assert export() == export()


def test_export_passes_all_filters_on():
    for number in range(4):
        append(f"bank.Account/{number}", opened(number, NOON + timedelta(hours=number)))
        append(f"bank.Account/{number}", deposited(number, 1, NOON + timedelta(hours=number)), at=0)

    def ids(**options):
        return [json.loads(line)["id"][-3:] for line in exported_events(**options).splitlines()]

    assert ids(stream=["bank.Account/1", "bank.Account/3"]) == ["1@0", "1@1", "3@0", "3@1"]
    assert ids(category="bank") == []
    assert ids(type=["bank.Account.opened"], after=2) == ["1@0", "2@0", "3@0"]
    assert ids(since=NOON + timedelta(hours=3), category="bank.Account") == ["3@0", "3@1"]
    assert ids(until=NOON + timedelta(hours=1)) == ["0@0", "0@1"]


def test_export_names_its_source():
    small_log(accounts=1, deposits=0)
    for line in export().splitlines():
        assert json.loads(line)["source"] == "/rill_django"
    for line in export(source="https://bank.example").splitlines():
        assert json.loads(line)["source"] == "https://bank.example"
    with pytest.raises(CommandError, match="must not be empty"):
        export(source="")


@pytest.mark.parametrize(
    "text", ["2024-05-31T12:00:00", "2024-05-31", "noon", "2024-13-31T12:00:00Z", ""]
)
def test_times_need_a_zone(text):
    with pytest.raises(Exception, match="not a time with a zone"):
        moment(text)


def test_a_time_with_a_zone():
    assert moment("2024-05-31T14:00:00.123456+02:00") == NOON
    assert moment("2024-05-31T12:00:00.123456Z") == NOON


def test_export_to_a_file(tmp_path):
    small_log()
    file = tmp_path / "events.ndjson"
    assert "9 events are in" in export(output=file)
    assert "9 events are in" in export(output=str(file))
    assert file.read_text() == export()
    assert os.listdir(tmp_path) == ["events.ndjson"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_export_that_fails_leaves_the_old_file_as_it_was(tmp_path):
    small_log(accounts=1)
    insert("bank.Account/9", 0, data="[1]")
    file = tmp_path / "events.ndjson"
    file.write_text("old")
    with pytest.raises(
        CommandError, match=r"bank\.Account/9@0 cannot be exported: .*verify_events"
    ):
        export(output=file)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["events.ndjson"]


def test_an_export_to_nowhere_is_an_error(tmp_path):
    with pytest.raises(CommandError, match=r"cannot be written: .*No such file"):
        export(output=tmp_path / "none" / "events.ndjson")


def test_a_pipe_is_written_and_not_replaced(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(daemon=True, target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with complete_or_absent(pipe) as file:
        file.write(b"lines")
    reader.join()
    assert read == [b"lines"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with complete_or_absent(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_lines_are_utf_8_whatever_the_encoding_of_stdout_is():
    append("bank.Account/1", opened("é"))
    buffer = BytesIO()
    out = TextIOWrapper(buffer, encoding="ascii")
    call_command("export_events", stdout=out, stderr=StringIO())
    first, _trailer = buffer.getvalue().decode().splitlines()
    assert json.loads(first)["data"]["number"] == "é"
    assert buffer.getvalue().endswith(b"\n")


def test_lines_on_a_terminal_are_progress_enough():
    class Terminal(StringIO):
        def isatty(self):
            return True

    small_log(accounts=1)
    out, error = Terminal(), StringIO()
    call_command("export_events", stdout=out, stderr=error, no_color=True)
    assert (out.getvalue(), error.getvalue()) == (export(), "")


# --- import_events --------------------------------------------------------------------------


@pytest.fixture
def exported(tmp_path):
    """A file with the events of a log, all of which are there already."""
    small_log()
    file = tmp_path / "events.ndjson"
    file.write_text(export())
    return file


def test_import_of_what_is_there_changes_nothing(exported):
    before = list(Event.objects.values_list())
    assert "0 events were imported; 9 were there already." in import_file(exported)
    assert list(Event.objects.values_list()) == before


def test_import_names_the_line_and_how_to_go_on(exported):
    lines = exported.read_text().splitlines(keepends=True)
    lines.insert(7, lines[8].replace("@2", "@4").replace('"streamversion":2', '"streamversion":4'))
    exported.write_text("".join(lines))
    with pytest.raises(CommandError) as failed:
        import_file(exported, batch_size=5)
    assert str(failed.value) == (
        "line 8: bank.Account/2@4 leaves a gap: the stream ends at version 2, so version 3 is next.\n"
        "Nothing was stored."
    )


def test_import_dry(exported):
    with exported.open("a") as file:
        file.write(exported.read_text().splitlines()[0].replace("Account/0", "Account/7") + "\n")
    out = import_file(exported, dry_run=True, accept=["incomplete", "wrong-streams"])
    assert "1 events would be imported; 9 were there already." in out
    assert Event.objects.count() == 9
    with exported.open("a") as file:
        file.write("oops\n")
    with pytest.raises(CommandError, match=r"(?s)line 12: is not JSON.*Nothing was stored\.$"):
        import_file(exported, dry_run=True)


def test_import_of_no_file_is_an_error(tmp_path):
    with pytest.raises(CommandError, match=r"cannot be read: .*No such file"):
        import_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("passes", "said"),
    [(0, "Interrupted. Nothing was stored."), (1, r"(?s)Interrupted\..*Run the command again")],
)
def test_an_interrupted_import_says_how_to_go_on(exported, monkeypatch, passes, said):
    run, begun = Import.run, []

    def interrupted(self, lines):
        begun.append(self)
        yield from run(self, lines)
        if len(begun) > passes:
            raise KeyboardInterrupt

    monkeypatch.setattr(Import, "run", interrupted)
    with pytest.raises(CommandError, match=said) as failed:
        import_file(exported)
    assert failed.value.returncode == 130


# --- there and back, on this database -------------------------------------------------------


def round_trip(tmp_path, *events):
    """Append events as a command would, and their like by an import; return both exports."""
    for version, event in enumerate(events):
        append("x.Thing/1", event, at=version - 1)
    first = exported_events()
    file = tmp_path / "events.ndjson"
    file.write_text(first.replace("x.Thing/1", "x.Thing/2"))
    import_file(file, accept=["incomplete", "unknown-types"])
    import_file(file, accept=["incomplete", "unknown-types"])
    second = exported_events(stream=["x.Thing/2"])
    return first, second.replace("x.Thing/2", "x.Thing/1")


def test_awkward_values_come_back_as_they_were(tmp_path):
    data = (
        rb'{"z": 1.0, "a": [1.10, -0.0, 1e16, 1.5e300, 5e-324, 1E+2, 0.1234567890123456789],'
        rb' "big": 123456789012345678901234567890, "min": -9223372036854775808, "aa": {"b": 1, "": 2},'
        rb' "text": "\u00e9\ud83d\ude00 \/ \" \\ \u2028 \u007f \u0001 \n <>", "none": null,'
        rb' "true": true, "decimal": "1.10", "twice": 1, "twice": 2}'
    )
    metadata = b'{"reason": "says \\"so\\"", "actor": "Zo\xc3\xab", "n": 1.50}'
    first, second = round_trip(tmp_path, NewEvent("x.Thing.was", data, metadata, NOON))
    assert second == first
    assert json.loads(first)["data"]["a"][:3] == [1.1, 0.0, 10_000_000_000_000_000]


def test_times_come_back_to_the_microsecond(tmp_path):
    times = [
        NOON.replace(microsecond=one, year=year)
        for one in (0, 1, 999_999, 500_000)
        for year in (1000, 1969, 2024, 9999)
    ]
    first, second = round_trip(
        tmp_path, *(NewEvent("x.Thing.was", b"{}", b"{}", time) for time in times)
    )
    assert second == first
    assert [json.loads(line)["time"] for line in first.splitlines()][:2] == [
        "1000-05-31T12:00:00.000000Z",
        "1969-05-31T12:00:00.000000Z",
    ]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.dictionaries(st.just("v"), values(floats)), min_size=1, max_size=5))
def test_any_values_come_back_as_they_were(tmp_path, payloads):
    version = DjangoEventStore().version("x.Thing/1")
    for payload in payloads:
        append(
            "x.Thing/1",
            NewEvent("x.Thing.was", json.dumps(payload).encode(), b"{}", NOON),
            at=version,
        )
        version += 1
    file = tmp_path / "events.ndjson"
    first = exported_events(stream=["x.Thing/1"])
    file.write_text(first.replace("x.Thing/1", "x.Thing/2"), newline="")
    import_file(file, accept=["incomplete", "unknown-types", "deep-values"])
    there = exported_events(stream=["x.Thing/2"])
    assert there.replace("x.Thing/2", "x.Thing/1") == first
