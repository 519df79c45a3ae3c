"""A case file: one TOML file that names all inputs of a comparison."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from apograph.findings import Message, Param, Refusal
from apograph.release.json_text import parse_json

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class AnswerFiles:
    """Files of recorded answers: both sides', the panel's, those of noised copies, and the key."""

    reference: str
    candidate: str
    panel: tuple[str, ...] = ()
    noised: tuple[str, ...] = ()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Dating:
    """Witness files, the roots that vouch for them, and ``SIDE=DATE`` statements of first publication."""

    witnesses: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    published: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a comparison is given, as the user named it."""

    reference: str
    candidate: str
    base: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    claims: str | None = None
    answers: AnswerFiles | None = None
    dating: Dating = Dating()
    logits: str | None = None


def answer_files(
    sides: tuple[str, str] | None, panel: Sequence[str], noised: Sequence[str], key: str | None
) -> AnswerFiles | None:
    """What the options name. Raises Refusal 4 for a panel, noised answers or a key without ``--answers``."""
    if sides is None:
        if panel or noised or key:
            raise Refusal(4, Message("cli.error.answers_alone"))
        return None
    return AnswerFiles(*sides, tuple(panel), tuple(noised), key)


def read_case(path: str) -> Inputs:
    """The inputs that a case file names. A name that exists below the file's folder is taken from there.

    Raises Refusal 4 when the file cannot be opened, is no TOML, lacks a side or holds an unknown field.
    """
    try:
        with open(path, "rb") as stream:
            content = tomllib.loads(stream.read(_LARGEST).decode("utf-8"))
    except OSError as error:
        raise _refusal("open", path, reason=error.strerror or "") from None
    except (ValueError, RecursionError) as error:
        raise _refusal("toml", path, reason=str(error)[:150]) from None
    folder = os.path.dirname(path)
    reference, candidate = (_side(folder, s, content.pop(s, None), path) for s in ("reference", "candidate"))
    base, claimed, panel = (_refs(folder, s, content.pop(s, []), path) for s in ("base", "claimed", "panel"))
    return _with_files(Inputs(reference, candidate, base, claimed, panel), content, folder, path)


def files_text(inputs: Inputs) -> str:
    """All inputs but the releases as JSON, with the fields of a case file; empty where there are none."""
    answers, dating = inputs.answers, inputs.dating
    content = {
        "claims": inputs.claims,
        "logits": inputs.logits,
        "answers": answers and [answers.reference, answers.candidate],
        "panel_answers": answers and answers.panel,
        "noised_answers": answers and answers.noised,
        "key": answers and answers.key,
        "witness": dating.witnesses,
        "witness_roots": dating.roots,
        "published": dict(stated.split("=", 1) for stated in dating.published if "=" in stated),
    }
    given = {name: value for name, value in content.items() if value}
    return json.dumps(given) if given else ""


def check_files(inputs: Inputs) -> None:
    """Raises Refusal 4 for a named file that cannot be opened: before a release is."""
    answers = inputs.answers
    paths = [inputs.claims, inputs.logits]
    if answers is not None:
        paths += [answers.reference, answers.candidate, *answers.panel, *answers.noised, answers.key]
    for path in paths:
        if path is not None:
            try:
                open(path, "rb").close()
            except OSError as error:
                raise Refusal(4, Message("report.file", {"reason": error.strerror or ""}), path) from None


def with_files_of(inputs: Inputs, text: str, path: str) -> Inputs:
    """``inputs`` with the files that ``files_text`` wrote into the report at ``path``, where it names none.

    Raises Refusal 4 as ``read_case`` does.
    """
    content = parse_json(text.encode("utf-8", "replace"), path, _LARGEST) if text else {}
    if not isinstance(content, dict):
        raise _refusal("value", path, field="inputs")
    saved = _with_files(inputs, content, "", path)
    return replace(
        saved,
        claims=inputs.claims or saved.claims,
        logits=inputs.logits or saved.logits,
        answers=inputs.answers or saved.answers,
        dating=saved.dating if inputs.dating == Dating() else inputs.dating,
    )


def _with_files(inputs: Inputs, content: dict[str, Any], folder: str, path: str) -> Inputs:
    claims, logits = (_file(folder, name, content.pop(name, None), path) for name in ("claims", "logits"))
    answers = _answers(folder, content, path)
    dating = _dating(folder, content, path)
    if content:
        raise _refusal("field", path, field=next(iter(content)))
    return replace(inputs, claims=claims, answers=answers, dating=dating, logits=logits)


def _answers(folder: str, content: dict[str, object], path: str) -> AnswerFiles | None:
    sides = _refs(folder, "answers", content.pop("answers", []), path)
    panel, noised = (
        _refs(folder, name, content.pop(name, []), path) for name in ("panel_answers", "noised_answers")
    )
    key = content.pop("key", None)
    if len(sides) not in (0, 2) or not (key is None or isinstance(key, str)):
        raise _refusal("value", path, field="key" if len(sides) in (0, 2) else "answers")
    both = (sides[0], sides[1]) if sides else None
    return answer_files(both, panel, noised, None if key is None else _beside(folder, key))


def _dating(folder: str, content: dict[str, object], path: str) -> Dating:
    files, roots = (_refs(folder, name, content.pop(name, []), path) for name in ("witness", "witness_roots"))
    stated = content.pop("published", {})
    if not isinstance(stated, dict) or not all(isinstance(day, str | date) for day in stated.values()):
        raise _refusal("value", path, field="published")
    return Dating(files, roots, tuple(f"{side}={day}" for side, day in stated.items()))


def _side(folder: str, name: str, ref: object, path: str) -> str:
    if not isinstance(ref, str):
        raise _refusal("side", path, field=name)
    return _beside(folder, ref)


def _file(folder: str, name: str, ref: object, path: str) -> str | None:
    if not (ref is None or isinstance(ref, str)):
        raise _refusal("value", path, field=name)
    return None if ref is None else _beside(folder, ref)


def _refs(folder: str, name: str, refs: object, path: str) -> tuple[str, ...]:
    listed = [refs] if isinstance(refs, str) else refs
    if not isinstance(listed, list) or not all(isinstance(ref, str) for ref in listed):
        raise _refusal("value", path, field=name)
    return tuple(_beside(folder, ref) for ref in listed)


def _beside(folder: str, ref: str) -> str:
    """``ref``, or its path below the case file's folder where that exists (``@revision`` apart)."""
    near = os.path.join(folder, ref)
    return near if os.path.lexists(near) or os.path.lexists(near.rpartition("@")[0]) else ref


def _refusal(kind: str, path: str, **params: Param) -> Refusal:
    return Refusal(4, Message(f"cli.error.case.{kind}", params), path)
