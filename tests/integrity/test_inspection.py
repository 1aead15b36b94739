"""What speaks against an import is found before anything is stored, and accepted only by name."""

import codecs
import gzip
import json
import tracemalloc
from io import BytesIO

import pytest
from django.core.management import CommandError
from django.db import connection

from rill_django.domain.json_texts import MOST_LEVELS, levels_of
from rill_django.integrity.import_file import ImportFile
from rill_django.integrity.importing import Import, ImportRefused
from rill_django.integrity.inspection import Objection, doubled_keys
from rill_django.integrity.trailer import Tally, as_trailer
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import Event
from tests.integrity.logs import export, import_file

pytestmark = pytest.mark.django_db


def line(number=1, version=0, *, data=None, text=None, **changes):
    """An event of a bank, as a line."""
    stream = f"bank.Account/{number}"
    data = {"number": str(number), "owner": "Ann", "branch": "main"} if data is None else data
    made = {
        "specversion": "1.0",
        "id": f"{stream}@{version}",
        "source": "/elsewhere",
        "type": "bank.Account.opened",
        "subject": stream,
        "time": "2024-05-31T12:00:00Z",
        "streamversion": version,
        "metadata": "{}",
        "data": data,
        **changes,
    }
    made = json.dumps(made)
    return (made.replace('"DATA"', text) if text else made).encode() + b"\n"


def sealed(*lines, source="/elsewhere"):
    """Lines with the trailer that belongs to them."""
    tally = Tally()
    for one in lines:
        tally.add(one)
    return b"".join(lines) + tally.trailer(source)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "events.ndjson"


def refused(file, content, **options):
    """What is said when a file is refused; nothing of it is stored."""
    before = Event.objects.count()
    file.write_bytes(content)
    with pytest.raises(CommandError) as failed:
        import_file(file, **options)
    assert "Nothing was stored" in str(failed.value)
    assert Event.objects.count() == before
    return str(failed.value)


GOOD = [line(number) for number in range(1, 30)]


# --- the trailer -----------------------------------------------------------------------------


def test_an_export_ends_with_a_trailer_and_an_import_wants_it(file):
    file.write_bytes(sealed(*GOOD))
    assert "29 events were imported" in import_file(file, batch_size=4)
    lines = export().encode().splitlines(keepends=True)
    trailer = as_trailer(lines[-1])
    assert trailer.data.events == 29
    assert b"".join(lines) == sealed(*lines[:-1], source="/rill_django")
    assert "0 events were imported; 29 were there" in _imported(file, b"".join(lines))


def _imported(file, content, **options):
    file.write_bytes(content)
    return import_file(file, **options)


def test_of_no_events_there_is_an_export_too(file):
    assert "0 events were imported" in _imported(file, export().encode())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"".join(GOOD), "it ends without its last line"),
        (b"", "it ends without its last line"),
        (b"\n\n", "it ends without its last line"),
        (sealed(*GOOD)[:-1].rpartition(b"\n")[0] + b"\n", "it ends without its last line"),
        (sealed(*GOOD) + line(99), "it ends without its last line"),
        (sealed(*GOOD).split(b"\n", 1)[1], "29 events were written, and 28 are there"),
        (GOOD[0] + sealed(*GOOD), "29 events were written, and 30 are there"),
        (sealed(*GOOD).replace(b"Ann", b"Bob", 1), "their digest is another one"),
        (sealed(*GOOD[:9]).replace(b"Ann", b"Bob", 1) + sealed(*GOOD[9:]), "another one"),
        (b"".join([GOOD[1], GOOD[0], sealed(*GOOD[:2]).splitlines()[-1]]), "another one"),
    ],
    ids=range(10),
)
def test_what_is_no_complete_export(file, content, said):
    message = refused(file, content)
    assert said in message
    assert "--accept incomplete" in message
    _imported(file, content, accept=["incomplete"])


@pytest.mark.parametrize(
    "content",
    [
        sealed(*GOOD[:9]) + sealed(*GOOD[9:]),
        sealed(*GOOD[:9]) + b"\n\n" + sealed(*GOOD[9:]) + b"\n",
        sealed(*GOOD).replace(b"\n", b"\r\n"),
        codecs.BOM_UTF8 + sealed(*GOOD),
        sealed(*GOOD).replace(b"\n", b"\n\n"),
        sealed(*GOOD)[:-1],
    ],
    ids=["two", "two with blank lines", "crlf", "bom", "blank lines", "no end of line"],
)
def test_what_transports_and_people_do_to_files(file, content):
    assert "29 events were imported" in _imported(file, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(sealed(*GOOD)), "compressed by gzip. Unpack it before: gzip -dc"),
        (gzip.compress(sealed(*GOOD))[:40], "compressed by gzip"),
        (sealed(*GOOD).decode().encode("utf-16"), "is UTF-16"),
        (b"(\xb5/\xfd....", "compressed by zstd"),
        (b"PK\x03\x04", "zip"),
        (b"\x00" * 100, "line 1: is not JSON"),
    ],
    ids=["gzip", "gzip that is cut", "utf-16", "zstd", "zip", "zeros"],
)
def test_files_of_another_kind(file, content, said):
    assert said in refused(file, content)


# --- lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + b"".join(GOOD)])
def test_a_line_without_end_is_refused_before_it_is_in_memory(file, end):
    content = b"".join(GOOD) + b'{"specversion":' + b" " * 60_000_000 + end
    file.write_bytes(content)
    del content
    tracemalloc.start()
    try:
        with pytest.raises(CommandError, match=r"line 30: has more than 4,010,000 bytes"):
            import_file(file)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert not Event.objects.exists()


def test_the_limit_of_an_event_holds_and_can_be_raised(file, settings):
    large = sealed(line(data={"number": "1", "owner": "x" * 3_000}))
    settings.RILL = {"MAX_EVENT_BYTES": 2_000}
    message = refused(file, large)
    assert "line 1: bank.Account/1@0 has 3,0" in message
    assert "at most 2,000 are allowed" in message
    assert "--max-event-bytes" in message
    assert "1 events were imported" in _imported(file, large, max_event_bytes=4_000)


def test_the_number_of_events_in_one_transaction_is_limited(file, settings, monkeypatch):
    settings.RILL = {"MAX_EVENTS_PER_COMMIT": 3}
    sizes = []
    real = DjangoEventStore.append_all

    def counted(self, appends, **options):
        sizes.append(sum(len(one.events) for one in appends))
        return real(self, appends, **options)

    monkeypatch.setattr(DjangoEventStore, "append_all", counted)
    _imported(file, sealed(*GOOD), batch_size=1_000)
    assert max(sizes) == 3
    assert sum(sizes) == 29


def test_a_batch_is_limited_in_bytes(monkeypatch):
    monkeypatch.setattr("rill_django.integrity.importing.BATCH_BYTES", 2 * len(GOOD[0]))
    job = Import(DjangoEventStore(), batch_size=1_000)
    assert list(job.run(GOOD[:7])) == [2, 4, 6, 7]


@pytest.mark.parametrize(
    "text",
    [
        '{"number":"1","owner":NaN}',
        '{"number":"1","owner":Infinity}',
        '{"number":"1","owner":-Infinity}',
        '{"number":"1","owner":1e999999}',
        '{"number":"1","owner":"\\ud800"}',
        '{"number":"1","owner":"\\u0000"}',
        '{"number":"1","owner":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"number":"1",}',
        "[]",
        "null",
    ],
)
def test_no_option_accepts_what_is_no_payload(file, text):
    everything = [one.value for one in Objection]
    bad = line(2, data="DATA", text=text)
    assert "line 2: " in refused(file, sealed(GOOD[0], bad), accept=everything)


def test_bytes_that_are_no_text(file):
    bad = line(2).replace(b"Ann", b"\xff\xfe")
    assert "line 2: " in refused(file, sealed(GOOD[0], bad))


# --- what may be accepted --------------------------------------------------------------------

LEVELS = 40
DEEP = '{"number":"1","owner":"Ann","x":' + "[" * LEVELS + "]" * LEVELS + "}"


@pytest.mark.parametrize(
    ("kind", "bad", "said"),
    [
        ("unknown-types", line(1, type="bank.Account.added"), "no code knows bank.Account.added"),
        (
            "unknown-types",
            line(1, subject="bank.Konto/1", id="bank.Konto/1@0"),
            "no code knows bank.Konto",
        ),
        ("refused-values", line(1, data={"number": "1"}), "missing required field `owner`"),
        ("refused-values", line(1, data={"number": 1, "owner": "Ann"}), "Expected `str`"),
        (
            "refused-values",
            line(1, type="bank.Account.deposited", data={"number": "1", "amount": "-5"}),
            "today's code would refuse it: bank.Account.deposited, field 'amount'",
        ),
        ("refused-values", line(1, metadata='{"occurred_at":"noon"}'), "Invalid RFC3339"),
        (
            "refused-values",
            line(1, metadata='{"occurred_at":"2024-05-31T12:00:00"}'),
            "today's code would refuse them: metadata, field 'occurred_at'",
        ),
        (
            "wrong-streams",
            line(1, data={"number": "2", "owner": "Ann"}),
            "belongs to bank.Account/2",
        ),
        (
            "doubled-keys",
            line(1, data="DATA", text='{"number":"1","owner":"Ann","owner":"Bob"}'),
            "bank.Account/1@0: 'owner'",
        ),
        (
            "doubled-keys",
            line(1, data="DATA", text='{"number":"1","owner":"Ann","x":[{"a":1,"a":2}]}'),
            "bank.Account/1@0: 'a'",
        ),
        ("doubled-keys", line(1, metadata='{"actor":"a","actor":"b"}'), "'actor'"),
        ("doubled-keys", line(1).replace(b"{", b'{"source":"x",', 1), "'source'"),
    ],
)
def test_each_is_refused_and_can_be_accepted(file, kind, bad, said):
    content = sealed(*GOOD[1:], bad)
    message = refused(file, content)
    assert f"{kind}: 1 × " in message
    assert f"line 29, {said}" in message or said in message
    assert f"--accept {kind}" in message
    accept = [kind, "wrong-streams"] if "Konto" in said else [kind]
    assert "29 events were imported" in _imported(file, content, accept=accept)


def test_deep_values_are_accepted_where_the_database_takes_them(file):
    content = sealed(line(1, data="DATA", text=DEEP))
    if connection.vendor != "mysql":
        assert "deep-values: 1 × " in refused(file, content)
        assert "1 events were imported" in _imported(file, content, accept=["deep-values"])


@pytest.mark.skipif("not getattr(connection, 'mysql_is_mariadb', False)", reason="about MariaDB")
def test_what_the_database_does_not_take_is_not_accepted(file):
    content = sealed(*GOOD[1:], line(1, data="DATA", text=DEEP))
    message = refused(file, content, accept=["deep-values"], batch_size=2)
    assert f"is nested {LEVELS + 1} levels deep, and this database's JSON has 31 at most" in message


def test_all_is_told_at_once_with_few_examples(file):
    bad = [line(number, type="bank.Account.added") for number in range(40)]
    message = refused(file, b"".join([*bad, line(50, data={"number": "50"})]))
    lines = message.splitlines()
    assert "incomplete: 1 × it is no complete export" in lines
    assert "unknown-types: 40 × events that no code knows" in lines
    assert "  … and 35 more" in lines
    assert "refused-values: 1 × events with values that today's code refuses" in lines
    assert "--accept incomplete --accept unknown-types --accept refused-values" in lines[-1]
    assert len(lines) < 15


def test_what_the_settings_pass_over_speaks_against_nothing(file, settings):
    settings.RILL = {"UNKNOWN_EVENTS": ["bank.Account.added"]}
    assert "1 events were imported" in _imported(file, sealed(line(1, type="bank.Account.added")))


def test_a_dry_run_finds_the_same(file):
    assert "unknown-types" in refused(
        file, sealed(line(1, type="bank.Account.added")), dry_run=True
    )


@pytest.mark.parametrize("bad", [b"oops\n", line(28, 5)])
def test_what_cannot_be_imported_at_the_end_keeps_the_beginning_out(file, bad):
    assert "line 29: " in refused(file, sealed(*GOOD[:28], bad), batch_size=2)


def test_an_event_that_comes_again_in_a_later_batch(file):
    other = line(1, data={"number": "1", "owner": "Zoe", "branch": "main"})
    for again, fails in ((GOOD[0], False), (other, True)):
        content = sealed(*GOOD[:28], again)
        assert "repeated-events: 1 × " in refused(file, content, batch_size=2)
        # In the same batch it is compared.
        if fails:
            assert "line 29: bank.Account/1@0 is there already, but with other" in refused(
                file, content
            )
    assert "28 events were imported; 1 were" in _imported(
        file, sealed(*GOOD[:28], GOOD[0]), batch_size=2, accept=["repeated-events"]
    )


def test_a_file_that_changes_while_it_is_read(file):
    file.write_bytes(sealed(*GOOD))
    with file.open("rb") as opened:
        lines = iter(ImportFile(opened, 10_000))
        assert next(lines) == GOOD[0]
        with file.open("ab") as other:
            other.write(GOOD[0])
        with pytest.raises(ImportRefused, match="was changed while it was read"):
            list(lines)


def test_a_pipe_is_read_as_a_file_is(monkeypatch):
    class Pipe:
        buffer = BytesIO(sealed(*GOOD))

    monkeypatch.setattr("sys.stdin", Pipe)
    assert "29 events were imported" in import_file("-")


# --- no database -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (b'{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}', []),
        (b'{"a":1,"a":1}', ["a"]),
        (b'{"x":{"a":1,"b":2,"a":3,"b":4,"a":5}}', ["a", "b", "a"]),
        (b'{"x":[[[{"\\u0061":1,"a":2}]]]}', ["a"]),
        (b'{"metadata":"{\\"a\\":1,\\"a\\":2}"}', ["a"]),
        (b'{"n":1e999999,"big":' + b"9" * 10_000 + b"}", []),
    ],
)
def test_doubled_keys(text, keys):
    assert doubled_keys(text) == keys


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        (b"{}", 1),
        (b'{"a":{"b":[]}}', 3),
        (b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", 51),
        (b'{"a":"' + b"[" * 50 + b'"}', 1),
        (b'{"a":[' + b",".join([b"{}"] * 50) + b"]}", 3),
    ],
)
def test_levels(text, levels):
    found = levels_of(text)
    assert found == levels if levels > MOST_LEVELS else found <= MOST_LEVELS


@pytest.mark.parametrize(
    "text",
    [
        line(1),
        line(1, data={"text": "rill_django.export.ended"}),
        line(1, type="rill_django.export.ended"),
        b'{"type":"rill_django.export.ended"}',
        b'"rill_django.export.ended"',
    ],
)
def test_what_is_no_trailer(text):
    assert as_trailer(text) is None
