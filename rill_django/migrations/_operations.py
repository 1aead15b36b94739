"""Operations of our migrations; the underscore keeps Django from taking this for one of them."""

from collections.abc import Callable
from typing import Any

from django.db import models, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import CreateModel, RunPython
from django.db.migrations.state import ProjectState


class CreateTableOfTheLog(CreateModel):
    """Makes a table wherever the events are.

    Routers that name the log's models, as the reference once did, cannot know of those that came later.
    """

    def allow_migrate_model(self, connection_alias: Any, model: type[models.Model]) -> bool:
        """See Django."""
        event = model._meta.apps.get_model(model._meta.app_label, "event")
        return super().allow_migrate_model(connection_alias, event)


class RunOnModel(RunPython):
    """Runs a function only on databases that have the table of a model, as routers say by ``allow_migrate``.

    Django asks the routers about a function with the app's name alone, unless told the model.

    Args:
        model_name: of a model of this app, e.g. ``"event"``.
        code: see `RunPython`.
        reverse_code: see `RunPython`.
        atomic: see `RunPython`.
    """

    def __init__(
        self,
        model_name: str,
        code: Callable[..., Any],
        reverse_code: Callable[..., Any] | None = None,
        atomic: bool | None = None,
    ) -> None:
        super().__init__(code, reverse_code, atomic, hints={"model_name": model_name})
        self.model_name = model_name

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """See Django."""
        if self._has_table(app_label, schema_editor, to_state):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """See Django."""
        if self._has_table(app_label, schema_editor, from_state):
            super().database_backwards(app_label, schema_editor, from_state, to_state)

    def _has_table(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState
    ) -> bool:
        # Some routers look at the model itself, which the hints of `RunPython` have not.
        model = state.apps.get_model(app_label, self.model_name)
        return router.allow_migrate_model(schema_editor.connection.alias, model)
