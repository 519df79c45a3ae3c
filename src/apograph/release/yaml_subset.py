"""The plain part of YAML that model cards are written in, read as data.

Maps, lists, flow collections, plain, quoted and block scalars, comments. Anchors, aliases, tags, merge and
complex keys, directives and several documents are not read but refused: the first two are how a short text
becomes a large one, the third how data becomes code. Plain scalars are typed by the core schema of YAML 1.2
(``yes`` is a string, so is a date). Work is linear in the text.
"""

from __future__ import annotations

import re

from apograph.findings import Json

MAX_DEPTH = 32
_INT = re.compile(r"[-+]?[0-9]{1,64}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,64}|[0-9]{1,64}(?:\.[0-9]{0,64})?)(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, Json] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"|\'((?:[^\']|\'\')*+)\'', re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])")
_ESCAPES = dict(zip('0abtnvfre "/\\N_LP\t', '\0\a\b\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029\t', strict=True))
_HEADER = re.compile(r"[|>](?:([-+])?([1-9])?|([1-9])([-+]))(?:[ \t]+#.*)?[ \t]*")
_END = re.compile(r"[ \t]*(?:[ \t]#[^\n]*)?(?:\n|\Z)")
_FLOW_SPACE = re.compile(r"(?:[ \t\n]|(?<=[ \t\n])#[^\n]*)*+")
_FLOW_PLAIN = re.compile(r"[^,\[\]{}]*")
_REFUSED = {"&": "anchor", "*": "alias", "!": "tag", "%": "directive", "@": "@", "`": "`", "?": "complex key"}


class NotPlainYaml(ValueError):  # noqa: N818 - says what it is
    """Beyond the subset: ``line`` (1-based) and ``what`` was met there."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


def read_yaml(text: str) -> Json:
    """The value of ``text`` (None when empty). Raises NotPlainYaml."""
    reader = _Reader(text)
    indent = reader.next_content()
    if indent < 0:
        return None
    value = reader.node(indent, -1, 0)
    if reader.next_content() >= 0:
        raise reader.refusal("indentation")
    return value


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith(("- ", "-\t"))


def _uncommented(text: str) -> str:
    cut = text.find(" #")
    return (text if cut < 0 else text[:cut]).rstrip()


def _typed(text: str) -> Json:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _folded(lines: list[str]) -> str:
    """Lines of one flow scalar joined: a line break is a blank, an empty line is a line break."""
    parts, breaks = [lines[0]], 0
    for i, line in enumerate(lines[1:], 2):
        if line or i == len(lines):
            parts += ["\n" * breaks or " ", line]
            breaks = 0
        else:
            breaks += 1
    return "".join(parts)


def _stripped(lines: list[str]) -> list[str]:
    """The lines of a quoted scalar without the blanks around its line breaks."""
    if len(lines) == 1:
        return lines
    middle = [line.strip(" \t") for line in lines[1:-1]]
    return [lines[0].rstrip(" \t"), *middle, lines[-1].lstrip(" \t")]


def _refused(text: str) -> str | None:
    """What ``text`` begins with that is not read."""
    if text[:1] == "?" and text[1:2] not in ("", " ", "\n"):
        return None
    return _REFUSED.get(text[:1])


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._text = text
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._i = 0

    def refusal(self, what: str) -> NotPlainYaml:
        return NotPlainYaml(min(self._i + 1, len(self._lines)), what)

    def next_content(self) -> int:
        """Advance to the next line that is neither blank nor a comment; its indentation, -1 at the end."""
        while self._i < len(self._lines):
            line = self._lines[self._i].strip()
            if line and not line.startswith("#"):
                if self._lines[self._i].lstrip(" ").startswith("\t"):
                    raise self.refusal("tab")
                return _indent(self._lines[self._i])
            self._i += 1
        return -1

    def node(self, column: int, parent: int, depth: int) -> Json:
        """What stands at ``column`` of the present line, inside a collection indented by ``parent``."""
        if depth > MAX_DEPTH:
            raise self.refusal("depth")
        text = self._lines[self._i][column:]
        if _is_item(text):
            return self._sequence(column, depth)
        if self._key(column) is not None:
            return self._mapping(column, depth)
        if text[0] in "|>":
            return self._block(column, parent)
        return self._inline(column, parent)

    def _key(self, column: int) -> tuple[str, int] | None:
        """The key at ``column`` and the column after its colon, if a key stands there."""
        text = self._lines[self._i][column:]
        if text[0] in "\"'":
            quoted = _QUOTED.match(text)
            rest = text[quoted.end() :].lstrip(" ") if quoted else ""
            if quoted and (rest == ":" or rest.startswith(": ")):
                return self._unquote(quoted), len(self._lines[self._i]) - len(rest) + 1
            return None
        end = text.find(": ")
        if end < 0 and _uncommented(text).endswith(":"):
            end = len(_uncommented(text)) - 1
        if end < 0 or text[0] in "[{#|>" or " #" in text[:end]:
            return None
        key = text[:end].rstrip()
        refused = "merge key" if key == "<<" else _refused(text)
        if refused:
            raise self.refusal(refused)
        return key, column + end + 1

    def _mapping(self, column: int, depth: int) -> dict[str, Json]:
        found: dict[str, Json] = {}
        at = column
        while at == column:
            key = self._key(column)
            if key is None:
                raise self.refusal("key")
            if key[0] in found:
                raise self.refusal(f"{key[0]} twice")
            found[key[0]] = self._value(key[1], column, depth, of_key=True)
            at = self.next_content()
        if at > column:
            raise self.refusal("indentation")
        return found

    def _sequence(self, column: int, depth: int) -> list[Json]:
        found: list[Json] = []
        at = column
        while at == column and _is_item(self._lines[self._i][column:]):
            found.append(self._value(column + 1, column, depth, of_key=False))
            at = self.next_content()
        if at > column:
            raise self.refusal("indentation")
        return found

    def _value(self, at: int, parent: int, depth: int, *, of_key: bool) -> Json:
        line = self._lines[self._i]
        text = line[at:].lstrip(" \t")
        if text and not text.startswith("#"):
            column = len(line) - len(text)
            if not of_key:
                return self.node(column, parent, depth + 1)
            return self._block(column, parent) if text[0] in "|>" else self._inline(column, parent)
        self._i += 1
        indent = self.next_content()
        if indent > parent:
            return self.node(indent, parent, depth + 1)
        if of_key and indent == parent and _is_item(self._lines[self._i][indent:]):
            return self._sequence(indent, depth + 1)
        return None

    def _inline(self, column: int, parent: int) -> Json:
        if self._lines[self._i][column] in "\"'[{":
            value, end = self._flow(self._starts[self._i] + column, 0)
            closing = _END.match(self._text, end)
            if closing is None:
                raise self.refusal("text after a value")
            self._i += self._text.count("\n", self._starts[self._i], closing.end())
            self._i += closing.end() == len(self._text) and not closing[0].endswith("\n")
            return value
        return self._plain(column, parent)

    def _plain(self, column: int, parent: int) -> Json:
        first = self._lines[self._i][column:]
        refused = _refused(first)
        if refused:
            raise self.refusal(refused)
        lines: list[str] = []
        line = first
        while True:
            text = _uncommented(line)
            if ": " in text or text.endswith(":"):
                raise self.refusal("colon")
            lines.append(text.strip())
            self._i += 1
            if self._i == len(self._lines) or text != line.rstrip():
                break
            line = self._lines[self._i]
            if line.strip() and (_indent(line) <= parent or line.lstrip().startswith("#")):
                break
        while len(lines) > 1 and not lines[-1]:
            lines.pop()
        return _typed(lines[0]) if len(lines) == 1 else _folded(lines)

    def _block(self, column: int, parent: int) -> str:
        header = self._lines[self._i][column:]
        match = _HEADER.fullmatch(header)
        if match is None:
            raise self.refusal("block scalar")
        chomp, given = match[1] or match[4], match[2] or match[3]
        self._i += 1
        lines: list[str] = []
        indent = max(parent, 0) + int(given) if given else None
        while self._i < len(self._lines):
            line = self._lines[self._i]
            if line.strip(" "):
                if indent is None:
                    indent = max(_indent(line), parent + 1)
                if _indent(line) < indent:
                    break
            lines.append(line[indent:] if indent is not None else "")
            self._i += 1
        end = len(lines)
        while end and not lines[end - 1]:
            end -= 1
        body = "\n".join(lines[:end]) if header[0] == "|" else _fold_block(lines[:end])
        if chomp == "+":
            return body + "\n" * (len(lines) - end + bool(end))
        return body if chomp == "-" or not end else body + "\n"

    def _unquote(self, match: re.Match[str]) -> str:
        if match[2] is not None:
            lines = match[2].replace("''", "'").split("\n")
            return _folded(_stripped(lines))
        joined = re.sub(r"(?<!\\)((?:\\\\)*)\\\n[ \t]*", r"\1", match[1])
        return _ESCAPE.sub(self._escape, _folded(_stripped(joined.split("\n"))))

    def _escape(self, match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1:
            number = int(code[1:], 16)
            if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                raise self.refusal("escape")
            return chr(number)
        if code not in _ESCAPES:
            raise self.refusal("escape")
        return _ESCAPES[code]

    def _flow(self, at: int, depth: int) -> tuple[Json, int]:
        """The flow value at offset ``at`` of the text, and the offset after it."""
        if depth > MAX_DEPTH:
            raise self.refusal("depth")
        mark = self._text[at : at + 1]
        if mark and mark in "\"'":
            quoted = _QUOTED.match(self._text, at)
            if quoted is None:
                raise self.refusal("quotation mark")
            return self._unquote(quoted), quoted.end()
        if mark == "[":
            return self._flow_items(at, depth)
        if mark == "{":
            return self._flow_pairs(at, depth)
        text, end = self._flow_plain(at)
        if ": " in text or text.endswith(":") or " #" in text:
            raise self.refusal("colon")
        return _typed(text), end

    def _flow_plain(self, at: int) -> tuple[str, int]:
        match = _FLOW_PLAIN.match(self._text, at)
        assert match is not None  # it matches the empty string
        refused = _refused(match[0])
        if refused:
            raise self.refusal(refused)
        return " ".join(match[0].split()), match.end()

    def _skip(self, at: int) -> int:
        match = _FLOW_SPACE.match(self._text, at)
        assert match is not None  # it matches the empty string
        return match.end()

    def _flow_items(self, at: int, depth: int) -> tuple[list[Json], int]:
        found: list[Json] = []
        at = self._skip(at + 1)
        while self._text[at : at + 1] != "]":
            value, at = self._flow(at, depth + 1)
            found.append(value)
            at = self._separator(at, "]")
        return found, at + 1

    def _flow_pairs(self, at: int, depth: int) -> tuple[dict[str, Json], int]:
        found: dict[str, Json] = {}
        at = self._skip(at + 1)
        while self._text[at : at + 1] != "}":
            quoted = _QUOTED.match(self._text, at)
            if quoted:
                key, end = self._unquote(quoted), self._skip(quoted.end())
            else:
                key, _ = self._flow_plain(at)
                key = key.split(": ")[0].removesuffix(":")
                end = self._text.find(":", at + len(key))
            if self._text[end : end + 1] != ":" or key in found or not key.strip():
                raise self.refusal("flow map")
            value, at = self._flow(self._skip(end + 1), depth + 1)
            found[key] = value
            at = self._separator(at, "}")
        return found, at + 1

    def _separator(self, at: int, closing: str) -> int:
        at = self._skip(at)
        if self._text[at : at + 1] == ",":
            return self._skip(at + 1)
        if self._text[at : at + 1] != closing:
            raise self.refusal("flow collection")
        return at


def _fold_block(lines: list[str]) -> str:
    """A folded block: single breaks between lines that start at the block's own indentation become blanks."""
    parts: list[str] = []
    breaks = 0
    before: str | None = None
    for line in lines:
        if not line:
            breaks += 1
            continue
        if before is None:
            parts.append("\n" * breaks)
        elif before[0] in " \t" or line[0] in " \t":
            parts.append("\n" * (breaks + 1))
        else:
            parts.append("\n" * breaks or " ")
        parts.append(line)
        before, breaks = line, 0
    return "".join(parts)
