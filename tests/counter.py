"""A pytest plugin that notes how many tests passed, for `tests.run` to add up."""

import json
import os
from pathlib import Path

import pytest

RESULT_VARIABLE = "RILL_TEST_RESULT"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return  # One process of several: the one that started it counts for all.
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    counts = {outcome: len(reports) for outcome, reports in reporter.stats.items()}
    Path(os.environ[RESULT_VARIABLE]).write_text(json.dumps(counts))
