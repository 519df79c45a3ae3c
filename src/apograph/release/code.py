"""One Python source of a release as plain units that can be compared; the source is never imported.

``parse`` runs in the limited worker (``release.sandbox``); ``read_module`` calls it there. What does not
parse as Python 3 is repaired as far as it goes (``release.python_repair``), so that the rest can still be
examined.
"""

from __future__ import annotations

import ast
import base64
import re
import unicodedata
import warnings
from array import array
from collections import deque
from dataclasses import dataclass

from apograph import plain
from apograph.findings import Json, Message, Refusal
from apograph.release import sandbox
from apograph.release.python_expressions import TooDeep
from apograph.release.python_names import Function, Names, names_of
from apograph.release.python_repair import Gap, repaired
from apograph.release.python_tree import Definition, Tree

MAX_BYTES = 1 << 20
MAX_TOKENS = 250_000
"""Words and marks of a source: the syntax tree takes about a kilobyte for each."""
MAX_UNITS = 5_000
MAX_NODES = 8_000
"""Operations of one unit; a larger one (a table of constants, as a rule) is skipped and named."""
_HEADER_BYTES = 16_384

_TOKEN = re.compile(r"\w+|[^\w\s]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WIDE_WORD = re.compile(r"(?=\w*[^\x00-\x7f])[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Unit:
    """A function, method, class body or the code of a module outside of them.

    ``start`` and ``end`` are 1-based inclusive lines. ``packed`` holds the operations (``unpack``) as base64
    of 32-bit integers: per node its operation, line, number of operands, number of targets, the operands as
    pairs (see ``release.python_tree``) and the targets; texts are indexes into ``Module.strings``.
    """

    name: str
    kind: str
    start: int
    end: int
    packed: str


@dataclass(frozen=True, slots=True)
class Module:
    """One source. ``attributes`` are the names that it stores on objects or defines in classes;
    ``header`` is the comment block at its top and ``header_lines`` its length; ``flags`` are ``repaired``,
    ``limited``, ``bidi`` and ``mixed-script``; ``gaps`` are the line ranges that could not be read."""

    path: str
    strings: tuple[str, ...]
    units: tuple[Unit, ...]
    attributes: tuple[str, ...]
    header: str
    header_lines: int
    flags: tuple[str, ...]
    gaps: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Nodes:
    """The operations of a unit, unpacked: parallel lists, operands before what uses them."""

    ops: list[int]
    lines: list[int]
    operands: list[tuple[tuple[int, int], ...]]
    targets: list[tuple[int, ...]]


def read_module(data: bytes, path: str) -> Module:
    """``parse`` in the limited worker. Raises Refusal as ``parse`` does, and for a crash or a limit."""
    return plain.load(Module, sandbox.call("apograph.release.code:parse", data, path))


def parse(data: bytes, path: str) -> Json:
    """The module of a source as plain JSON values (``plain.load(Module, ...)`` gives it back).

    Raises Refusal 2 when it is not UTF-8 text or nothing of it is Python, 5 when it is over 1 MiB or a
    quarter of a million tokens. A coding cookie has no effect.
    """
    return plain.dump(module_of(data, path))


def module_of(data: bytes, path: str) -> Module:
    """``parse`` without the JSON."""
    text = _text(data, path)
    tree, gaps = _tree(text, path)
    header, header_lines = _header(text, tree)
    strings: dict[str, int] = {}
    names = names_of(tree)
    units, over = _units(tree, names, strings, text.count("\n") + 1)
    flags = [name for name, on in (("repaired", bool(gaps)), ("limited", bool(over))) if on] + _script_flags(
        text
    )
    skipped = tuple(sorted({*gaps, *over}))
    attributes = tuple(sorted(names.attributes))
    return Module(path, tuple(strings), tuple(units), attributes, header, header_lines, tuple(flags), skipped)


def _text(data: bytes, path: str) -> str:
    if len(data) > MAX_BYTES:
        raise Refusal(5, Message("code.source.size", {"limit": MAX_BYTES}), path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(2, Message("code.source.encoding"), path, error.start) from None
    if "\0" in text:
        raise Refusal(2, Message("code.source.binary"), path, text.index("\0"))
    if len(text) > MAX_TOKENS and sum(1 for _ in _TOKEN.finditer(text)) > MAX_TOKENS:
        raise Refusal(5, Message("code.source.tokens", {"limit": MAX_TOKENS}), path)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ")


def _parsed(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None


def _tree(text: str, path: str) -> tuple[ast.Module, list[Gap]]:
    tree = _parsed(text)
    if tree is not None:
        return tree, []
    for candidate, gaps in repaired(text):
        tree = _parsed(candidate)
        if tree is not None and any(not isinstance(s, ast.Pass) for s in tree.body):
            return tree, gaps
    raise Refusal(2, Message("code.source.syntax"), path)


def _units(
    tree: ast.Module, names: Names, strings: dict[str, int], length: int
) -> tuple[list[Unit], list[Gap]]:
    units: list[Unit] = []
    over: list[Gap] = []
    waiting: deque[tuple[Definition | ast.Module, str, bool]] = deque([(tree, "", False)])
    while waiting and len(units) < MAX_UNITS:
        node, owner, method = waiting.popleft()
        is_class = isinstance(node, ast.ClassDef)
        name = "<module>" if isinstance(node, ast.Module) else f"{owner}{node.name}"
        inner = "" if isinstance(node, ast.Module) else name + ("." if is_class else ".<locals>.")

        def found(d: Definition, inner: str = inner, is_class: bool = is_class) -> None:
            waiting.append((d, inner, is_class))

        build = Tree(names, strings, node, found)
        span = (1, length) if isinstance(node, ast.Module) else (node.lineno, node.end_lineno or node.lineno)
        try:
            if isinstance(node, Function):
                build.function(node, method)
            else:
                bases = [build.expression(b) for b in node.bases] if isinstance(node, ast.ClassDef) else []
                build.node("class" if is_class else "module", node, (*bases, build.block(node.body, node)))
        except (TooDeep, RecursionError):
            over.append(span)
            continue
        if len(build.ops) > MAX_NODES:
            over.append((min(line for line in build.lines if line), max(build.lines)))
            continue
        kind = "class" if is_class else "module" if isinstance(node, ast.Module) else "function"
        units.append(Unit(name, "method" if method and kind == "function" else kind, *span, _pack(build)))
    if waiting:
        over.append((min(n.lineno for n, *_ in waiting if not isinstance(n, ast.Module)), length))
    return units, over


def _pack(tree: Tree) -> str:
    flat = array("i")
    for op, line, operands, targets in zip(tree.ops, tree.lines, tree.operands, tree.targets, strict=True):
        flat.extend((op, line, len(operands), len(targets)))
        for operand in operands:
            flat.extend(operand)
        flat.extend(targets)
    return base64.b64encode(flat.tobytes()).decode("ascii")


def unpack(unit: Unit) -> Nodes:
    """The operations of a unit."""
    flat = array("i")
    flat.frombytes(base64.b64decode(unit.packed))
    numbers = flat.tolist()
    nodes = Nodes([], [], [], [])
    at = 0
    while at < len(numbers):
        op, line, n, m = numbers[at : at + 4]
        middle = at + 4 + 2 * n
        nodes.ops.append(op)
        nodes.lines.append(line)
        nodes.operands.append(
            tuple(zip(numbers[at + 4 : middle : 2], numbers[at + 5 : middle : 2], strict=True))
        )
        at = middle + m
        nodes.targets.append(tuple(numbers[middle:at]))
    return nodes


def _header(text: str, tree: ast.Module) -> tuple[str, int]:
    """The comments above the first statement, without their marks, and the number of lines they span;
    the module's docstring where it speaks of rights."""
    lines: list[str] = []
    count = 0
    for number, line in enumerate(text[:_HEADER_BYTES].split("\n"), 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            break
        if bare.startswith(("#!", "# -*-")):
            continue
        lines.append(bare.lstrip("#").strip())
        count = number if bare else count
    docstring = ast.get_docstring(tree) if tree.body else None
    if docstring and re.search(r"copyright|licen[cs]e", docstring[:_HEADER_BYTES], re.IGNORECASE):
        lines.append(docstring[:_HEADER_BYTES])
        count = max(count, tree.body[0].end_lineno or 0)
    return "\n".join(lines).strip(), count


def _script_flags(text: str) -> list[str]:
    if text.isascii():
        return []
    flags = ["bidi"] if _BIDI.search(text) else []
    for word in set(_WIDE_WORD.findall(text)):
        scripts = {unicodedata.name(c, "?").split(" ")[0] for c in word if c.isalpha()}
        if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}:
            return [*flags, "mixed-script"]
    return flags
