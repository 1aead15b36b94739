"""The lists of the read side in the admin."""

from itertools import islice

import pytest
from django.urls import reverse

from example_project.flights.dataset import Period
from example_project.flights.models import Departure
from example_project.flights.recording import record
from rill_django.projections.worker import catch_up

MODELS = ("departure", "carrierpunctuality", "airportday", "departurehour")


@pytest.fixture
def _flights(db):
    record(islice(Period.DAY.reports(), 20))
    catch_up()


@pytest.mark.usefixtures("_flights")
@pytest.mark.parametrize("model", MODELS)
def test_lists_are_shown_and_cannot_be_changed(admin_client, model):
    response = admin_client.get(reverse(f"admin:flights_{model}_changelist"))
    assert response.status_code == 200
    assert response.context["cl"].result_count > 0
    assert admin_client.get(reverse(f"admin:flights_{model}_add")).status_code == 403


@pytest.mark.usefixtures("_flights")
def test_the_board_can_be_searched_and_filtered(admin_client):
    url = reverse("admin:flights_departure_changelist")
    assert admin_client.get(url, {"q": "1545"}).context["cl"].result_count == 1
    assert admin_client.get(url, {"q": "N14228"}).context["cl"].result_count == 1
    assert admin_client.get(url, {"o": "2"}).status_code == 200
    assert admin_client.get(url, {"origin": "EWR", "status": "cancelled"}).status_code == 200


@pytest.mark.usefixtures("_flights")
def test_a_flight_leads_to_its_events(admin_client):
    flight = Departure.objects.get(carrier="UA", number=1545)
    response = admin_client.get(reverse("admin:flights_departure_change", args=(flight.pk,)))
    url = reverse("admin:rill_django_event_changelist", query={"stream__exact": flight.stream})
    assert url in response.content.decode()
    assert admin_client.get(url).context["cl"].result_count == 3
