"""What a constructor builds, as far as reading it tells: the values of the symbolic reading.

Python's own numbers, strings, lists, tuples and dictionaries stand for themselves; everything else is here.
Nothing in this package ever runs the code that it reads.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from apograph.release.static_model.source import FunctionNode, Source

Value: TypeAlias = Any


class _Unknown:
    """The one value of which nothing is known."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
Shape: TypeAlias = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Outside:
    """Something that the release does not define, by its full name."""

    dotted: str

    @property
    def last(self) -> str:
        """The last part of the name."""
        return self.dotted.rpartition(".")[2]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of the release. ``owner`` is the class in which it stands."""

    source: Source
    node: FunctionNode | ast.Lambda
    owner: Class | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class of the release."""

    source: Source
    node: ast.ClassDef


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A method together with its object."""

    owner: Value
    function: Function


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """A method of something of which only the kind is known (a tensor, a list, a module of torch)."""

    owner: Value
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """``functools.partial``."""

    target: Value
    args: tuple[Value, ...]
    kwargs: dict[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Super:
    """``super()`` of ``owner`` on ``me``."""

    me: Value
    owner: Class


@dataclass(slots=True, eq=False)
class Config:
    """A configuration object: its values, its class (or the name of one outside), and whether values beyond
    these may exist."""

    data: dict[str, Value]
    cls: Class | Outside | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of which at most the shape is known; ``parameter``: once assigned, the checkpoint has it."""

    shape: Shape = None
    parameter: bool = False


@dataclass(slots=True, eq=False)
class Net:
    """A module: its parameters and buffers, its named submodules, other attributes.

    ``open``: it may hold more than is listed. ``sequence``: submodules are numbered (ModuleList, Sequential).
    ``cuts``: the slices that code took of it. ``place``: file and line where it was built. ``maybe``: it is
    what an unknown function returned, which may be no module at all.
    """

    kind: str
    parameters: dict[str, Shape] = field(default_factory=dict)
    children: dict[str, Net] = field(default_factory=dict)
    attributes: dict[str, Value] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    open: bool = False
    sequence: bool = False
    cls: Class | None = None
    place: tuple[str, int] = ("", 0)
    cuts: tuple[str, ...] = ()
    maybe: bool = False

    def append(self, child: Value) -> None:
        """Add a numbered submodule; something unknown opens the list."""
        if isinstance(child, Net) and not self.open:
            self.children[str(len(self.children))] = child
        elif child is not None:
            self.open = True
