"""Retrying and skipping in the admin: what is offered, to whom, what it does, and what is told and kept."""

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from rill_django import Projection, on
from rill_django.admin.held import skipped_by
from rill_django.models import Checkpoint, Event, ParkedEvent, SkippedEvent
from rill_django.projections.checkpoint import State
from rill_django.projections.mending import NothingToSkip, skip
from rill_django.projections.projection import PARK
from rill_django.projections.rebuild import rebuild
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine

pytestmark = pytest.mark.django_db

NAME = "tests.Lines"
LIST = reverse("admin:rill_django_checkpoint_changelist")
PAGE = reverse("admin:rill_django_checkpoint_projection", args=(NAME,))
RETRY = reverse("admin:rill_django_checkpoint_retry", args=(NAME,))
SECOND = "bank.Account/2@0"


def skip_url(event):
    return reverse("admin:rill_django_checkpoint_skip", args=(NAME,), query={"event": event})


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def lines():
    """A projection that fails on the events in ``trouble``, with events of three accounts to apply."""
    with isolated_projections():

        class Lines(Projection):
            name = NAME
            models = (AuditLine,)
            trouble = {SECOND}

            @on(Account.opened, Account.deposited)
            def happened(self, event):
                if event.identity in self.trouble:
                    raise ValueError(f"cannot take <{event.number}>")
                AuditLine.objects.create(text=event.identity, position=event.position)

        for number in "123":
            Account.open.transact(number, "Ann").unwrap()
        for number in "123":
            Account.deposit.transact(number, 5).unwrap()
        yield Lines


@pytest.fixture
def stopped(lines):
    ProjectionWorker().run_until_caught_up()
    return lines


@pytest.fixture
def parked(lines):
    lines.on_error = PARK
    catch_up()
    return lines


def staff(*codenames):
    user = get_user_model().objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def html_of(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def told_by(response):
    assert (response.status_code, response.url) == (302, PAGE)
    return [(one.level_tag, one.message) for one in get_messages(response.wsgi_request)]


def logged(flag):
    entries = LogEntry.objects.filter(action_flag=flag).order_by("pk")
    return [
        (one.user.get_username(), one.get_edited_object(), one.get_change_message())
        for one in entries
    ]


def applied():
    return set(AuditLine.objects.values_list("text", flat=True))


# --- retrying ---------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [LIST, PAGE])
def test_what_stands_still_has_a_button(stopped, admin_client, url):
    html = html_of(admin_client, url)
    assert f'action="{RETRY}"' in html
    assert f"It stands still at {SECOND}: ValueError: cannot take &lt;2&gt;" in html
    assert "Traceback (most recent call last)" in html


@pytest.mark.parametrize("url", [LIST, PAGE])
def test_what_has_parked_events_has_a_button(parked, admin_client, url):
    assert f'action="{RETRY}"' in html_of(admin_client, url)


@pytest.mark.parametrize("url", [LIST, PAGE])
def test_where_all_is_well_there_is_no_button(lines, admin_client, url):
    assert f'action="{RETRY}"' not in html_of(admin_client, url)
    lines.trouble = {}
    catch_up()
    assert f'action="{RETRY}"' not in html_of(admin_client, url)


def test_a_retry_has_a_worker_take_it_up(stopped, admin_client, admin_user):
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    stopped.trouble = {}
    told = told_by(admin_client.post(RETRY))
    ((level, text),) = told
    assert level == "success"
    assert text.startswith("tests.Lines is taken up again where it stood")
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.state, checkpoint.error) == (State.RUNNING, "")
    assert logged(CHANGE) == [(admin_user.get_username(), checkpoint, f"Retried. {text}")]
    worker.run_until_caught_up()
    assert len(applied()) == 6


def test_a_retry_of_partitions_says_how_many(lines, admin_client):
    lines.partitions = 3
    lines.trouble = {f"bank.Account/{number}@0" for number in "123"}
    ProjectionWorker().run_until_caught_up()
    number = Checkpoint.objects.filter(state=State.STOPPED).count()
    assert number > 1
    assert html_of(admin_client, PAGE).count("Look at the event") == number
    ((level, text),) = told_by(admin_client.post(RETRY))
    assert (level, text.partition(" are ")[0]) == ("success", f"{number} partitions of {NAME}")


def test_a_retry_applies_what_is_parked_and_tells_why_the_rest_is_not(parked, admin_client):
    parked.trouble = {"bank.Account/2@1"}
    assert told_by(admin_client.post(RETRY)) == [
        ("success", "1 parked event is applied."),
        ("warning", "1 event is still parked. ValueError: cannot take <2>"),
    ]
    assert SECOND in applied()
    assert ParkedEvent.objects.get().event == "bank.Account/2@1"
    parked.trouble = {}
    assert told_by(admin_client.post(RETRY))[-1] == ("success", "1 parked event is applied.")
    assert len(applied()) == 6


def test_a_retry_with_nothing_to_do_says_so(lines, admin_client):
    ((level, text),) = told_by(admin_client.post(RETRY))
    assert (level, text.split(":")[0]) == ("info", "There was nothing to retry")


def refusing(statement):
    """Make the database refuse statements that begin so."""

    def run(execute, sql, params, many, context):
        if sql.startswith(statement):
            raise OperationalError("the disk is full")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(run)


def table(model):
    return connection.ops.quote_name(model._meta.db_table)


def test_an_error_of_the_retry_is_told_and_kept(stopped, admin_client, admin_user, caplog):
    with refusing(f"UPDATE {table(Checkpoint)}"):
        told = told_by(admin_client.post(RETRY))
    why = "OperationalError: the disk is full"
    assert told == [("error", f"tests.Lines could not be retried: {why}")]
    checkpoint = Checkpoint.objects.get()
    assert checkpoint.state == State.STOPPED
    assert logged(CHANGE) == [
        (admin_user.get_username(), checkpoint, f"Tried to retry it: {why}"),
    ]
    assert "retrying tests.Lines failed" in caplog.text


# --- who may ----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [LIST, PAGE])
def test_to_look_is_not_to_mend(stopped, url):
    html = html_of(staff("view_checkpoint"), url)
    assert "It stands still at" in html
    assert RETRY not in html
    assert "/skip/" not in html
    assert "manage.py retry_projection tests.Lines" in html


@pytest.mark.parametrize("url", [RETRY, skip_url(SECOND)])
def test_mending_needs_its_permission(stopped, url):
    client = staff("view_checkpoint", "view_event", "change_skippedevent", "delete_checkpoint")
    assert client.get(url).status_code == 403
    assert client.post(url, {"reason": "x"}).status_code == 403
    assert Client().post(url, {"reason": "x"}).status_code == 302
    assert Checkpoint.objects.get().state == State.STOPPED
    assert not SkippedEvent.objects.exists()
    assert not LogEntry.objects.exists()


def test_the_permission_is_enough(stopped):
    client = staff("change_checkpoint")
    html = html_of(client, PAGE)
    assert f'action="{RETRY}"' in html
    # Without the permission to look at events, none is led to.
    assert "Look at the event" not in html
    told_by(client.post(RETRY))
    assert Checkpoint.objects.get().state == State.RUNNING
    change = reverse("admin:rill_django_checkpoint_change", args=(Checkpoint.objects.get().pk,))
    assert client.post(change, {"position": 0}).status_code == 403


def test_a_page_needs_permission_and_a_projection(lines, admin_client):
    assert staff("view_event").get(PAGE).status_code == 403
    for page in ("projection", "skip"):
        url = reverse(f"admin:rill_django_checkpoint_{page}", args=("no.Such",))
        assert admin_client.get(url).status_code == 404
    url = reverse("admin:rill_django_checkpoint_retry", args=("no.Such",))
    assert admin_client.post(url).status_code == 404


@pytest.mark.parametrize("url", [RETRY, skip_url(SECOND)])
def test_other_sites_cannot_have_it_done(stopped, admin_user, url):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(url, {"reason": "x"}).status_code == 403
    html = html_of(client, skip_url(SECOND))
    token = html.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    told_by(client.post(url, {"reason": "x", "csrfmiddlewaretoken": token}))


def test_a_link_cannot_retry(stopped, admin_client):
    assert admin_client.get(RETRY).status_code == 405
    assert Checkpoint.objects.get().state == State.STOPPED


# --- skipping ---------------------------------------------------------------------------------


def test_before_skipping_the_event_and_the_error_are_shown(stopped, admin_client):
    assert f'href="{skip_url(SECOND)}"' in html_of(admin_client, PAGE)
    html = html_of(admin_client, skip_url(SECOND))
    event = Event.objects.get(stream="bank.Account/2", version=0)
    url = reverse("admin:rill_django_event_change", args=(event.pk,))
    assert f'<a href="{url}">{SECOND}</a>' in html
    assert "ValueError: cannot take &lt;2&gt;" in html
    assert "Traceback (most recent call last)" in html
    assert "required" in html
    assert not SkippedEvent.objects.exists()


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_skipping_takes_a_reason(stopped, admin_client, reason):
    response = admin_client.post(skip_url(SECOND), {"reason": reason})
    assert "This field is required." in response.content.decode()
    assert not SkippedEvent.objects.exists()
    assert Checkpoint.objects.get().failed_event == SECOND


def test_skipping_is_recorded_with_who_and_why(stopped, admin_client, admin_user):
    told = told_by(admin_client.post(skip_url(SECOND), {"reason": "a test <account>"}))
    assert told[0] == ("success", f"{SECOND} will never be applied to tests.Lines.")
    skipped = SkippedEvent.objects.get()
    assert (skipped.event, skipped.position, skipped.reason) == (SECOND, 2, "a test <account>")
    assert logged(ADDITION) == [(admin_user.get_username(), skipped, "a test <account>")]
    assert logged(CHANGE)[0] == (
        admin_user.get_username(),
        Checkpoint.objects.get(),
        f"Skipped {SECOND}: a test <account>",
    )
    catch_up()
    assert applied() == {f"bank.Account/{one}" for one in ("1@0", "3@0", "1@1", "2@1", "3@1")}
    html = html_of(admin_client, PAGE)
    assert "a test &lt;account&gt;" in html
    assert f'data-label="By">{admin_user.get_username()}</td>' in html
    detail = reverse("admin:rill_django_skippedevent_change", args=(skipped.pk,))
    assert f">{admin_user.get_username()}</div>" in html_of(admin_client, detail)


def test_skipping_what_is_parked_applies_those_behind_it(parked, admin_client):
    told = told_by(admin_client.post(skip_url(SECOND), {"reason": "wrong"}))
    assert told[1:] == [("success", "1 parked event is applied.")]
    assert "bank.Account/2@1" in applied()
    assert not ParkedEvent.objects.exists()


def test_an_event_that_waits_behind_another_says_so(parked, admin_client):
    assert "It has not been tried" in html_of(admin_client, skip_url("bank.Account/2@1"))


@pytest.mark.parametrize("event", ["bank.Account/1@0", "bank.Account/99@0", "nonsense", ""])
@pytest.mark.parametrize("method", ["get", "post"])
def test_only_what_is_waited_for_can_be_skipped(stopped, admin_client, event, method):
    # So it is too when somebody else was faster.
    url = skip_url(event)
    sent = admin_client.get(url) if method == "get" else admin_client.post(url, {"reason": "x"})
    ((level, text),) = told_by(sent)
    assert level == "error"
    assert "does not wait for" in text
    assert not SkippedEvent.objects.exists()


def test_where_no_event_is_to_blame_none_is_skipped(stopped, admin_client):
    Checkpoint.objects.get().stop("", "OSError: no route to host")
    html = html_of(admin_client, PAGE)
    assert "It stands still: OSError: no route to host" in html
    assert "/skip/" not in html
    ((level, _text),) = told_by(admin_client.get(skip_url("")))
    assert level == "error"
    with pytest.raises(NothingToSkip):
        skip(stopped(), "", "x")


def test_a_skip_that_cannot_be_logged_is_none(stopped, admin_client, caplog):
    with refusing(f"INSERT INTO {table(LogEntry)}"):
        told = told_by(admin_client.post(skip_url(SECOND), {"reason": "x"}))
    why = "OperationalError: the disk is full"
    assert told == [("error", f"{SECOND} could not be skipped: {why}")]
    assert not SkippedEvent.objects.exists()
    assert Checkpoint.objects.get().failed_event == SECOND


# --- the page ---------------------------------------------------------------------------------


def test_the_list_leads_to_the_page_and_the_page_to_what_was_done(stopped, admin_client):
    assert f'<a href="{PAGE}">{NAME}</a>' in html_of(admin_client, LIST)
    admin_client.post(RETRY)
    history = reverse("admin:rill_django_checkpoint_history", args=(Checkpoint.objects.get().pk,))
    assert f'href="{history}"' in html_of(admin_client, PAGE)
    assert "Retried. tests.Lines is taken up again" in html_of(admin_client, history)
    change = reverse("admin:rill_django_checkpoint_change", args=(Checkpoint.objects.get().pk,))
    assert f'<a href="{PAGE}">{NAME}</a>' in html_of(admin_client, change)


def test_parked_events_that_failed_come_before_those_behind_them(parked, admin_client, monkeypatch):
    first = ParkedEvent.objects.get(event=SECOND)
    ParkedEvent.objects.filter(pk=first.pk).update(position=100)
    html = html_of(admin_client, PAGE)
    assert html.index(f">{SECOND}</a>") < html.index(">bank.Account/2@1</a>")
    assert "Behind an earlier event of the same key" in html
    monkeypatch.setattr("rill_django.admin.standing.MOST_SHOWN", 1)
    html = html_of(admin_client, PAGE)
    assert f">{SECOND}</a>" in html
    assert ">bank.Account/2@1</a>" not in html
    assert "These are 1 of 2" in html


def test_an_event_that_was_skipped_by_the_command_has_no_name_to_it(lines, admin_client):
    SkippedEvent.objects.create(projection=NAME, position=1, event="gone/1@0", reason="why not")
    html = html_of(admin_client, PAGE)
    assert "why not" in html
    assert "By manage.py retry_projection" in html
    assert "gone/1@0" in html
    assert ">gone/1@0</a>" not in html


def test_who_skipped_an_event_of_another_database_is_not_mistaken(
    stopped, admin_client, admin_user
):
    admin_client.post(skip_url(SECOND), {"reason": "wrong"})
    mine = SkippedEvent.objects.get()
    other = SkippedEvent(pk=mine.pk, projection="other.Lines", position=9, event="x/1@0")
    assert skipped_by([mine]) == {mine.pk: admin_user.get_username()}
    assert skipped_by([other]) == {}


def test_the_page_takes_the_same_few_queries_for_many_events(
    parked, admin_client, django_assert_max_num_queries
):
    def more(number):
        for version in range(number):
            event = Account.deposit.transact("2", 1).unwrap().version
            skipped = f"bank.Account/2@{version}"
            SkippedEvent.objects.create(projection=NAME, position=event, event=skipped, reason="x")
        catch_up()

    more(20)
    assert ParkedEvent.objects.count() == 22
    with django_assert_max_num_queries(16):
        html = html_of(admin_client, PAGE)
    assert html.count("/skip/") == 22


def test_a_new_version_that_could_not_be_built_is_shown_and_can_be_mended(lines, admin_client):
    lines.trouble = {}
    catch_up()
    beside = Checkpoint.objects.create(name=NAME, is_beside=True, version=2)
    beside.stop(SECOND, "ValueError: cannot")
    for url in (LIST, PAGE):
        html = html_of(admin_client, url)
        assert f"could not be built, because of {SECOND}: ValueError: cannot" in html
        assert f'action="{RETRY}"' in html
    assert "/skip/" in html
    page = skip_url(SECOND)
    assert "ValueError: cannot" in html_of(admin_client, page)
    admin_client.post(page, {"reason": "never mind"})
    assert SkippedEvent.objects.get().event == SECOND
    assert not Checkpoint.objects.filter(is_beside=True).exists()


def test_pages_that_have_nothing_to_show_say_what_to_do(lines, admin_client):
    html = html_of(admin_client, PAGE)
    assert "Start a worker" in html
    assert "on_error = PARK" in html
    lines.on_error, lines.trouble = PARK, {}
    catch_up()
    html = html_of(admin_client, PAGE)
    assert "Nothing. It has applied all of the log." in html
    assert "waits here, and so do later ones of the same key" in html
    Account.open.transact("4", "Ann").unwrap()
    catch_up("tests.Lines")
    Checkpoint.objects.update(position=2, seen="bank.Account/2@0")
    assert "it applies what is left of the log" in html_of(admin_client, PAGE)


def test_the_page_of_an_inline_projection_says_that_commands_do_the_work(admin_client):
    with isolated_projections():
        Account.open.transact("1", "Ann").unwrap()

        class Lines(Projection):
            name = NAME
            models = (AuditLine,)
            inline = True

            @on(Account.opened)
            def opened(self, event): ...

        html = html_of(admin_client, PAGE)
        assert ">not built<" in html
        assert "manage.py rebuild_projections tests.Lines" in html
        rebuild(Lines())
        html = html_of(admin_client, PAGE)
        assert ">inline<" in html
        assert "Commands apply their events to it themselves" in html
        assert "None. It is inline" in html
