"""Projects that the pages start from; each test has a copy."""

import pytest

from tests.docs.project import Project, new_project, tutorial_project


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Project:
    return tutorial_project(tmp_path_factory.mktemp("tutorial"))


@pytest.fixture
def tutorial(made_once, tmp_path) -> Project:
    """The project at the end of the README's tutorial."""
    return made_once.copy_to(tmp_path)


@pytest.fixture
def empty(tmp_path) -> Project:
    """A project with the library in its settings, and an app without code."""
    return new_project(tmp_path)
