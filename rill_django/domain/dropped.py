"""Values that a domain's methods make and drop: a rejection, or an aggregate with a new event.

Nothing of the domain has an effect: what happens is what is returned. ``self.deposited(5)`` that stands alone
is forgotten. Python has no word against it, so the source is looked at when a class is made; where there is
none, as in an interactive session, nothing is found.
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Collection, Mapping
from opcode import opmap
from tokenize import TokenError
from types import CodeType, FunctionType
from typing import Any

from .errors import DefinitionError

_DROPPING = frozenset((opmap["POP_TOP"], opmap["RAISE_VARARGS"]))

_LOST = {
    "event": "the event",
    "command": "its decision",
    "reject": "the rejection",
    "evolve": "the change",
    "apply": "the events",
}


def refuse_dropped(function: Any, makers: Mapping[str, str], where: str) -> None:
    """Raise `DefinitionError` if a method drops what one of the aggregate's own methods has made.

    Args:
        function: what may be a method of an aggregate.
        makers: the methods whose value is all that they do, by name: an ``event``, a ``command``,
            ``reject``, ``evolve`` or ``apply``.
        where: the method's full name.
    """
    if not isinstance(function, FunctionType):
        return
    code = inspect.unwrap(function).__code__
    if not _may_drop(code, makers):
        return
    for call in _dropped_in(code, makers):
        line = code.co_firstlineno + call.lineno - 2  # Ours is the first one.
        written = f"{ast.unparse(call.func)}(…)"
        kind = makers[call.func.attr]  # type: ignore[attr-defined]
        why, cure = "An aggregate never changes: each makes a new one.", f"return {written}"
        if kind == "reject":
            why = "A rejection is a value, which takes effect by being returned."
        elif kind != "evolve":
            cure += f", or go on with the new one: account = {written}"
        raise DefinitionError(
            f"{where} drops what {written} makes, at {code.co_filename}:{line}, and "
            f"{_LOST[kind]} with it. {why} Write: {cure}"
        )


def _may_drop(code: CodeType, makers: Mapping[str, str]) -> bool:
    """Whether the source is worth a look, which takes a while."""
    nested = [one for one in code.co_consts if isinstance(one, CodeType)]
    names = {*code.co_names, *(name for one in nested for name in one.co_names)}
    if makers.keys().isdisjoint(names):
        return False
    is_suspect = not _DROPPING.isdisjoint(code.co_code[::2])
    return is_suspect or code.co_nlocals > code.co_argcount


def _dropped_in(code: CodeType, makers: Collection[str]) -> list[ast.Call]:
    parsed = _parsed(code)
    own = parsed and [*parsed.args.posonlyargs, *parsed.args.args]
    return _Finder(own[0].arg, makers).look_into(parsed) if parsed and own else []


def _parsed(code: CodeType) -> ast.FunctionDef | None:
    """Return the source of a function, with one line in front; ``None``: there is none."""
    try:
        # Not by inspect.getsource, which looks through all modules that there are.
        linecache.checkcache(code.co_filename)
        following = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
        source = "".join(inspect.getblock(following))
        # As it is indented, and not dedented: texts of several lines may begin further left.
        (block,) = ast.parse(f"if True:\n{source}" if source[:1].isspace() else f"\n{source}").body
    except (SyntaxError, ValueError, TokenError):
        return None
    found = block.body[0] if isinstance(block, ast.If) else block
    return found if isinstance(found, ast.FunctionDef) else None


class _Finder(ast.NodeVisitor):
    """Finds calls, on the aggregate or on what such calls have made, whose value nobody gets."""

    def __init__(self, self_name: str, makers: Collection[str]) -> None:
        self._makers = makers
        self._aggregates = {self_name}
        self._dropped: list[ast.Call] = []
        self._assigned: dict[str, ast.Call] = {}
        self._read: set[str] = set()

    def look_into(self, function: ast.FunctionDef) -> list[ast.Call]:
        """Return the calls of a function, as they are written."""
        for statement in function.body:
            self.visit(statement)
        unused = (
            call
            for name, call in self._assigned.items()
            if name not in self._read and not name.startswith("_")
        )
        return sorted((*self._dropped, *unused), key=lambda call: call.lineno)

    def visit_Expr(self, node: ast.Expr) -> None:
        """See ``ast``."""
        self._dropped += self._made_by(node.value)
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """See ``ast``. What is no exception cannot be raised."""
        self._dropped += self._made_by(node.exc) if node.exc else []
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """See ``ast``."""
        self.generic_visit(node)
        self._note(node.targets, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """See ``ast``."""
        self.generic_visit(node)
        self._note([node.target], node.value)

    def visit_Name(self, node: ast.Name) -> None:
        """See ``ast``."""
        if not isinstance(node.ctx, ast.Store):
            self._read.add(node.id)

    def _note(self, targets: list[ast.expr], value: ast.expr | None) -> None:
        """Take note of names that an aggregate is given."""
        if value is None or not self._is_aggregate(value):
            return
        for target in targets:
            if isinstance(target, ast.Name):
                self._aggregates.add(target.id)
                if isinstance(value, ast.Call):
                    self._assigned.setdefault(target.id, value)

    def _is_aggregate(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._aggregates
        return bool(self._made_by(node))

    def _made_by(self, node: ast.expr) -> list[ast.Call]:
        """Return the calls of the aggregate's methods that the value of an expression comes from."""
        match node:
            case ast.Call(func=ast.Attribute(attr=name, value=of)) if name in self._makers:
                return [node] if self._is_aggregate(of) else []
            case ast.IfExp(body=one, orelse=other):
                return self._made_by(one) + self._made_by(other)
            case ast.BoolOp(values=[*_, last]):
                return self._made_by(last)
            case ast.ListComp(elt=each) | ast.SetComp(elt=each):
                return self._made_by(each)
            case ast.List(elts=several) | ast.Tuple(elts=several):
                return [call for one in several for call in self._made_by(one)]
        return []
