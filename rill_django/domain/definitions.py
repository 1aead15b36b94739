"""Event and command types: what `@event` and `@command` make of a method."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from msgspec.structs import replace
from typing_extensions import Self

from .conditions import check_postconditions, check_preconditions
from .deciding import deciding, lost_rejection
from .errors import Misuse
from .left_out import refuse_left_out
from .limits import LOOK_FROM, Limits
from .message_types import RESERVED, Key1, Key2, Key3, Keys, MessageType
from .messages import CommandMessage, EventMessage, Message
from .methods import promise_of
from .misuse import Hint
from .parameters import Parameter
from .records import RESERVED_EVENT_FIELDS
from .results import Rejected, Result
from .runtime import current, current_or_none
from .signatures import OneKey, SomeKeys, ThreeKeys, TwoKeys
from .state import freeze_state
from .tracebacks import shorten

if TYPE_CHECKING:
    from .aggregates import Aggregate

A = TypeVar("A", bound="Aggregate")
B = TypeVar("B", bound="Aggregate")
P = ParamSpec("P")


class EventType(MessageType[A, P, EventMessage, Keys], Generic[A, P, Keys]):
    """The type of an event. ``Account.opened`` is one; ``account.opened(…)`` applies a new event."""

    decorator = "event"
    message_base = EventMessage
    forbid_unknown_fields = False
    reserved = RESERVED | RESERVED_EVENT_FIELDS

    _promise: str
    """What it is annotated to return, unless that may be nothing."""

    if not TYPE_CHECKING:
        transact = Hint(
            "Commands are carried out: write one that returns self.<event>(…), and send that."
        )

    @overload
    def __get__(
        self, instance: None, owner: OneKey[Key1, B]
    ) -> EventType[B, P, OneKey[Key1, B]]: ...
    @overload
    def __get__(
        self, instance: None, owner: TwoKeys[Key1, Key2, B]
    ) -> EventType[B, P, TwoKeys[Key1, Key2, B]]: ...
    @overload
    def __get__(
        self, instance: None, owner: ThreeKeys[Key1, Key2, Key3, B]
    ) -> EventType[B, P, ThreeKeys[Key1, Key2, Key3, B]]: ...
    @overload
    def __get__(self, instance: None, owner: type[B]) -> EventType[B, P, SomeKeys]: ...
    @overload
    def __get__(self, instance: B, owner: type) -> Callable[P, B]: ...
    @overload  # An attribute of something else.
    def __get__(self, instance: object, owner: type) -> Self: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None or isinstance(instance, Message):
            return self
        return MethodType(self._called, instance)

    def bound_to(self, aggregate: type[Aggregate], keys: tuple[Parameter, ...]) -> Self:
        """See `MessageType.bound_to`."""
        definition = super().bound_to(aggregate, keys)
        definition._promise = promise_of(self.function, aggregate)
        return definition

    def _calling(self) -> Callable[..., Any]:
        def apply_new(aggregate: A, /, *args: Any, **kwargs: Any) -> A:
            __tracebackhide__ = True
            try:
                return self.apply_new(aggregate, self._fresh_message(aggregate, args, kwargs))
            except Exception as error:
                shorten(error)
                raise

        return apply_new

    def apply_new(self, aggregate: A, message: EventMessage) -> A:
        """Return the aggregate with the message applied as a new, uncommitted event.

        Raises:
            InvalidMessage: a precondition does not hold.
            PostconditionFailed: a postcondition does not hold.
            TooLarge: there are more new events than one commit may have.
        """
        arguments = self._arguments(message)
        required, ensured = self._conditions
        alone = deciding.set(self) if deciding.get() is None else None
        try:
            if required:
                check_preconditions(required, self.name, aggregate, arguments, self.fields)
            applied = self._run(aggregate, arguments)
            if applied is not aggregate:
                self._refuse_misuse(aggregate, applied)
            if ensured:
                check_postconditions(ensured, self.name, applied, arguments)
        finally:
            if alone is not None:
                deciding.reset(alone)
        new_events = (*aggregate._new_events, message)
        if len(new_events) >= LOOK_FROM:
            runtime = current_or_none()
            limits = Limits() if runtime is None else runtime.limits
            limits.check_while_made(aggregate.stream, new_events)
        return freeze_state(replace(applied, _new_events=new_events, _evolved=aggregate._evolved))

    def apply_recorded(self, aggregate: A, message: EventMessage) -> A:
        """Return the aggregate with an event applied that happened before. Facts are not checked again."""
        return self._run(aggregate, self._arguments(message))

    def _run(self, aggregate: A, arguments: tuple[Any, ...]) -> A:
        applied = self._call(aggregate, arguments)
        if applied is None:
            if self._promise:
                raise Misuse(
                    f"The event method {self.name} returned nothing, and is annotated -> {self._promise}. "
                    "Write: return self.evolve(…), or return self where it changes nothing. One that never "
                    "changes anything is annotated -> None."
                )
            return aggregate
        if type(applied) is not type(aggregate):
            raise self._returned(applied)
        return applied

    def _refuse_misuse(self, aggregate: A, applied: A) -> None:
        if self._keys_of(applied) != self._keys_of(aggregate):
            raise self._returned(applied)
        if applied._new_events is not aggregate._new_events:
            # Read from the log, it would be applied here and once more on its own.
            raise Misuse(
                f"The event method {self.name} applies another event. Leave that to the command, "
                "and what both events do to a plain method."
            )

    def _returned(self, wrong: object) -> Misuse:
        if isinstance(wrong, Rejected):
            return Misuse(
                f"The event method {self.name} rejects. An event is what has happened, and nobody can reject "
                "it: reject in the command, before it applies the event."
            )
        return Misuse(
            f"The event method {self.name} has to return the aggregate, or None to leave it as "
            f"it is; it returned {wrong!r}. Write: return self.evolve(…)"
        )


class CommandType(MessageType[A, P, CommandMessage[A], Keys], Generic[A, P, Keys]):
    """The type of a command. ``account.withdraw(…)`` decides; nothing is stored."""

    decorator = "command"
    message_base = CommandMessage
    forbid_unknown_fields = True
    reserved = RESERVED | {"expected_version", "idempotency_key"}  # arguments of `transact`

    @overload
    def __get__(
        self, instance: None, owner: OneKey[Key1, B]
    ) -> CommandType[B, P, OneKey[Key1, B]]: ...
    @overload
    def __get__(
        self, instance: None, owner: TwoKeys[Key1, Key2, B]
    ) -> CommandType[B, P, TwoKeys[Key1, Key2, B]]: ...
    @overload
    def __get__(
        self, instance: None, owner: ThreeKeys[Key1, Key2, Key3, B]
    ) -> CommandType[B, P, ThreeKeys[Key1, Key2, Key3, B]]: ...
    @overload
    def __get__(self, instance: None, owner: type[B]) -> CommandType[B, P, SomeKeys]: ...
    @overload
    def __get__(self, instance: B, owner: type) -> Callable[P, B | Rejected]: ...
    @overload  # An attribute of something else.
    def __get__(self, instance: object, owner: type) -> Self: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None or isinstance(instance, Message):
            return self
        return MethodType(self._called, instance)

    def _calling(self) -> Callable[..., Any]:
        def decide(aggregate: A, /, *args: Any, **kwargs: Any) -> A | Rejected:
            __tracebackhide__ = True
            try:
                return self.decide(aggregate, self._fresh_message(aggregate, args, kwargs))
            except Exception as error:
                shorten(error)
                raise

        return decide

    def decide(self, aggregate: A, message: CommandMessage) -> A | Rejected:
        """Let the aggregate decide about a message: new events, or a rejection.

        Raises:
            InvalidMessage: a precondition does not hold.
            PostconditionFailed: a postcondition does not hold.
            TypeError: the method returns neither its own aggregate nor a rejection, or goes on after one.
            CommitInCommand, QueryInCommand: the method commits events, or asks the database.
            UnknownEvents: the aggregate's stream holds events that no code knows.
        """
        if aggregate._unknown_events:
            refuse_left_out(aggregate)
        arguments = self._arguments(message)
        required, ensured = self._conditions
        token = deciding.set(self)
        try:
            if required:
                check_preconditions(required, self.name, aggregate, arguments, self.fields)
            decision: A | Rejected = self._call(aggregate, arguments)
            if isinstance(decision, Rejected):
                # Whatever was tried in between, or by others, is not what refuses.
                is_own = decision._aggregate is aggregate
                return decision if is_own else Rejected(decision.reason, decision.data, aggregate)
            if deciding.get() is not self:
                raise lost_rejection(self)
            self._refuse_misuse(aggregate, decision)
            if ensured:
                check_postconditions(ensured, self.name, decision, arguments)
        finally:
            deciding.reset(token)
        return decision

    def _refuse_misuse(self, aggregate: A, decision: A) -> None:
        if type(decision) is not type(aggregate) or (
            decision is not aggregate and self._keys_of(decision) != self._keys_of(aggregate)
        ):
            raise Misuse(
                f"The command method {self.name} has to return its own aggregate or a rejection; it "
                f"returned {decision!r}. Write: return self.<event>(…), self.reject(…) or self."
            )
        if decision._evolved and not aggregate._evolved:
            raise Misuse(
                f"The command method {self.name} changed its aggregate by evolve. What no event says is "
                "gone after a reload: evolve in an event method, and return self.<event>(…)."
            )

    @overload
    def transact(
        self: CommandType[A, P, OneKey[Key1, Any]],
        key: Key1,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result[A]: ...
    @overload
    def transact(
        self: CommandType[A, P, TwoKeys[Key1, Key2, Any]],
        key: Key1,
        second: Key2,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result[A]: ...
    @overload
    def transact(
        self: CommandType[A, P, ThreeKeys[Key1, Key2, Key3, Any]],
        key: Key1,
        second: Key2,
        third: Key3,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result[A]: ...
    @overload
    def transact(
        self: CommandType[A, P, SomeKeys],
        key: Any,
        second: Any,
        third: Any,
        fourth: Any,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Result[A]: ...
    # Nothing may stand beside the parameters of a method; a message is checked with options, too.
    @overload
    def transact(
        self,
        /,
        *args: Any,
        expected_version: int | None,
        idempotency_key: str | None = None,
        **kwargs: Any,
    ) -> Result[A]: ...
    @overload
    def transact(self, /, *args: Any, idempotency_key: str | None, **kwargs: Any) -> Result[A]: ...
    @overload
    def transact(self, /, **by_name: Any) -> Result[A]: ...
    def transact(  # type: ignore[misc] # P might have these names; see `reserved`
        self,
        /,
        *args: Any,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        **kwargs: Any,
    ) -> Result[A]:
        """Fetch the aggregate, let it decide, and commit. Arguments as in `message`.

        Args:
            expected_version: version of the stream that the caller has seen; a `Conflict` comes back
                if the stream is no longer there. Without it, a lost race is tried again.
            idempotency_key: stands for this command and its repetitions: the first one is carried
                out, the others get its result.

        Raises:
            TypeError, InvalidMessage: as in `message`.
            IdempotencyKeyReused: the key was used for another command.
        """
        __tracebackhide__ = True
        try:
            message = self.message(*args, **kwargs)
            return current().transact(
                message, expected_version=expected_version, idempotency_key=idempotency_key
            )
        except Exception as error:
            shorten(error)
            raise


@overload
def event(function: Callable[Concatenate[A, P], object], /) -> EventType[A, P]: ...
@overload
def event(
    *, name: str | None = None
) -> Callable[[Callable[Concatenate[A, P], object]], EventType[A, P]]: ...
def event(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a method an event type. It returns the aggregate as it is after the event.

    Args:
        name: keeps the stored name when the method is renamed; without a dot it is the last part.
    """
    if function is None:
        return lambda function: EventType(function, name)
    return EventType(function, name)


@overload
def command(function: Callable[Concatenate[A, P], A | Rejected], /) -> CommandType[A, P]: ...
@overload
def command(
    *, name: str | None = None
) -> Callable[[Callable[Concatenate[A, P], A | Rejected]], CommandType[A, P]]: ...
def command(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a method a command type. It returns the aggregate with new events, or a rejection.

    Args:
        name: keeps the name when the method is renamed; without a dot it is the last part.
    """
    if function is None:
        return lambda function: CommandType(function, name)
    return CommandType(function, name)
