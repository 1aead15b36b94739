"""The front page."""

from itertools import islice

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from example_project.flights.dataset import Period
from example_project.flights.recording import record
from example_project.home.chart import Hour, delay_chart
from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections.registry import current_projections
from rill_django.projections.worker import catch_up

pytestmark = pytest.mark.django_db


def page(client):
    response = client.get(reverse("home"))
    assert response.status_code == 200
    return response.content.decode()


def queries(client):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        page(client)
    return len(captured)


def test_an_empty_site_says_what_to_do(client):
    text = page(client)
    assert "The log is empty" in text
    assert "make demo" in text
    assert "<svg" not in text


def test_without_a_worker_it_says_so(client):
    record(islice(Period.DAY.reports(), 5))
    text = page(client)
    assert "Nothing derived yet" in text
    assert "manage.py run_projections" in text
    assert "never run" in text


def test_it_shows_what_there_is(client):
    record(Period.DAY.reports())
    catch_up()
    text = page(client)
    events = 842 * 2 + 838
    assert f'<span class="spoken">{events:,}</span>' in text
    assert '<span class="spoken">842</span>' in text
    assert "on 1 January 2013" in text
    assert '<title id="delays-title">' in text
    assert "United Air Lines Inc." in text
    assert "Newark Liberty Intl" in text
    inline = current_projections().inline
    by_workers = len(current_projections().named()) - len(inline)
    assert text.count('<td class="state">up to date</td>') == by_workers
    assert text.count('<td class="state">inline</td>') == len(inline) == 1
    for name in ("flights.PunctualityByCarrier", "registration.OwnedAddresses"):
        url = reverse("admin:rill_django_checkpoint_projection", args=(name,))
        assert f'<a href="{url}">{name.replace(".", ".<wbr>")}</a>' in text
    for name in (
        "admin:rill_django_event_changelist",
        "admin:flights_departure_changelist",
        "admin:rill_django_checkpoint_changelist",
        "rill_django:root",
    ):
        assert f'href="{reverse(name)}"' in text


def test_a_projection_with_trouble_says_so(client):
    record(islice(Period.DAY.reports(), 5))
    catch_up()
    board = Checkpoint.objects.get(name="flights.DepartureBoard")
    board.stop("flights.Flight/UA/1@0", "ValueError: no")
    ParkedEvent.objects.create(projection="flights.AirportDays", position=1, event="x@1", keys=[])
    text = page(client)
    assert text.count('<td class="state bad">stopped</td>') == 1
    assert text.count('<td class="state">up to date, 1 parked</td>') == 1


def test_it_needs_few_queries_and_no_more_for_more_flights(client):
    record(islice(Period.DAY.reports(), 10))
    catch_up()
    few = queries(client)
    record(islice(Period.DAY.reports(), 200))
    catch_up()
    assert queries(client) == few <= len(current_projections().named()) + 8


def test_nothing_on_it_comes_from_elsewhere(client):
    record(islice(Period.DAY.reports(), 10))
    catch_up()
    text = page(client)
    assert "<script" not in text
    assert "<style" not in text
    assert " style=" not in text
    assert "://" not in text


def test_only_reading_is_allowed(client):
    assert client.post(reverse("home")).status_code == 405


class TestChart:
    def test_nothing_gives_no_picture(self):
        assert delay_chart([]) is None

    def test_one_hour_is_enough(self):
        chart = delay_chart([Hour(6, 1, 0)])
        assert [column.hour for column in chart.columns] == ["06"]
        assert chart.best == chart.worst == Hour(6, 1, 0)

    def test_early_departures_hang_below_the_line(self):
        chart = delay_chart([Hour(5, 40, -200), Hour(6, 40, 800)])
        early, late = chart.columns
        assert early.y == chart.baseline
        assert early.mean == "−5"
        assert (early.late, late.late) == (False, True)
        assert float(late.y) + float(late.height) == pytest.approx(float(chart.baseline))
        # To scale: 20 minutes are four times as high as 5.
        assert float(late.height) == pytest.approx(4 * float(early.height), abs=0.3)

    def test_a_missing_hour_leaves_its_place_free(self):
        first, last = delay_chart([Hour(5, 1, 3), Hour(8, 1, 3)]).columns
        assert float(last.x[:-1]) - float(first.x[:-1]) == pytest.approx(3 * 96 / 4, abs=0.1)

    def test_hours_with_few_departures_are_not_spoken_of(self):
        chart = delay_chart([Hour(1, 1, 500), Hour(6, 100, 100), Hour(22, 100, 2000)])
        assert (chart.best.hour, chart.worst.hour) == (6, 22)

    @pytest.mark.parametrize("delays", [-(10**15), 1, 31, 301, 10**6, 10**15])
    def test_no_delay_makes_more_than_a_few_lines(self, delays):
        """The page is public: what one flight says must not keep it busy."""
        chart = delay_chart([Hour(6, 1, delays), Hour(7, 1, 3)])
        assert 2 <= len(chart.grid) <= 7

    def test_the_line_of_lateness_is_always_there(self):
        for delays in (1, 20, 55):
            chart = delay_chart([Hour(6, 1, delays)])
            assert [line.minutes for line in chart.grid if line.late] == [15]
