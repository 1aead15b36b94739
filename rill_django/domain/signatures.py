"""What type checkers know of arguments: of keys, events, commands and `evolve`. Nothing here runs.

Python cannot say "the parameters of this constructor, then the parameters of that method". So a class with
one, two or three keys is told from others by what it can be called with; see decision 22.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, overload

from typing_extensions import ParamSpec, TypeVar

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
K = ParamSpec("K")
F = ParamSpec("F")
Key1 = TypeVar("Key1", contravariant=True)
Key2 = TypeVar("Key2", contravariant=True)
Key3 = TypeVar("Key3", contravariant=True)


class OneKey(Protocol[Key1, A_co]):
    """An aggregate type with one key property."""

    def __call__(self, key: Key1, /) -> A_co:
        """Return the empty aggregate."""


class TwoKeys(Protocol[Key1, Key2, A_co]):
    """An aggregate type with two key properties."""

    def __call__(self, key: Key1, second: Key2, /) -> A_co:
        """Return the empty aggregate."""


class ThreeKeys(Protocol[Key1, Key2, Key3, A_co]):
    """An aggregate type with three key properties."""

    def __call__(self, key: Key1, second: Key2, third: Key3, /) -> A_co:
        """Return the empty aggregate."""


class SomeKeys(Protocol):
    """An aggregate type whose keys are not known: it has more than three, or mypy looks at it."""

    def __call__(self, *keys: Any) -> Any:
        """Return the empty aggregate."""


class _Constructor(Protocol[K, A_co]):
    def __call__(self, *keys: K.args, **named_keys: K.kwargs) -> A_co: ...


class _Replaceable(Protocol[F]):
    # From Python 3.13 on, checkers know this method of everything that is like a dataclass.
    def __replace__(self, *_: F.args, **changes: F.kwargs) -> object: ...


class FetchMethod(Protocol):
    """The type of ``Aggregate.get``: takes what the aggregate type takes."""

    @overload
    def __get__(self, instance: object, owner: _Constructor[K, A]) -> Callable[K, A]: ...
    @overload
    def __get__(self, instance: object, owner: type[A]) -> Callable[..., A]: ...


class EvolveMethod(Protocol):
    """The type of ``Aggregate.evolve``: takes any of the fields, by name."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, instance: _Replaceable[F], owner: type[A]) -> Callable[F, A]: ...
