"""What docs/observing.md shows, runs; but for the blocks that go on from something not shown there."""

import pytest
from django.test import RequestFactory

from rill_django.projections import observing
from rill_django.projections.observing import observe_batch
from tests.test_docs import blocks


@pytest.mark.django_db
def test_the_page(monkeypatch):
    monkeypatch.setattr(observing, "_listeners", ())
    namespace = {"__name__": "bank.observing"}
    exec(compile("\n".join(blocks("docs/observing.md")), "docs/observing.md", "exec"), namespace)
    answer = namespace["projections_health"](RequestFactory().get("/"))
    assert (answer.status_code, answer.content) == (200, b'{"problems": []}')
    observe_batch("bank.Balances", 2, 2, 4, 0.5)
    assert namespace["rates"] == {"bank.Balances": 8}
