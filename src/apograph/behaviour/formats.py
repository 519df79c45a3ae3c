"""From the rows of a file to records: our own normal form and the logs of three evaluation harnesses.

The shape is told by the names of the first row's fields: ``doc_id`` with ``resps`` or ``filtered_resps``
(lm-evaluation-harness and lmms-eval, ``--log_samples``), ``index`` and ``prediction`` (VLMEvalKit), anything
else is our normal form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from apograph.behaviour.harness import harness_record, vlmeval_record
from apograph.behaviour.records import By, Record, identified
from apograph.behaviour.rows import AnswerFile
from apograph.release.refuse import refuse

_ITEM = ("item", "id", "item_id", "question_id", "index")
_PROMPT = ("prompt", "question")
_ANSWER = ("parsed", "raw", "response", "prediction", "output", "answer")
_KEY = ("key", "target", "label")
_STATES = {"": "", "ok": "", "refusal": "refusal", "failure": "failure", "error": "failure"}


def read_records(file: AnswerFile, *, keys: bool = False, by: By = "content") -> Iterator[Record]:
    """The answers of one file (``keys``: or right answers alone), items identified ``by`` what
    ``records.identity`` says. Raises Refusal 2 when its rows hold no answers or no names of items."""
    rows = iter(file)
    first = next(rows, None)
    if first is None:
        raise refuse("answers.empty", file.path)
    convert = _converter(first, file, keys, by)
    for row in chain((first,), rows):
        record = convert(row)
        if record is not None:
            yield record


def _converter(
    first: dict[str, Any], file: AnswerFile, keys: bool, by: By
) -> Callable[[dict[str, Any]], Record | None]:
    if "doc_id" in first and ("resps" in first or "filtered_resps" in first):
        filtered = first.get("filter")
        # A task with several filters logs every answer once per filter: the first filter's are taken.
        return lambda row: harness_record(row, file, by) if row.get("filter") == filtered else None
    if "index" in first and "prediction" in first:
        return lambda row: vlmeval_record(row, file, by)
    names = {
        "item": _first_of(_ITEM, first),
        "prompt": _first_of(_PROMPT, first),
        "answer": _first_of(_ANSWER, first),
        "key": _first_of(_KEY, first) or ("answer" if {"answer", "prediction"} <= first.keys() else None),
    }
    given = names["answer"] or (keys and names["key"])
    if not given or not (names["item"] or names["prompt"] or "item_hash" in first):
        raise refuse("answers.fields", file.path, found=", ".join(first))
    return _normal(names, file, by)


def _first_of(names: tuple[str, ...], row: dict[str, Any]) -> str | None:
    return next((name for name in names if name in row), None)


def _normal(names: dict[str, str | None], file: AnswerFile, by: By) -> Callable[[dict[str, Any]], Record]:
    item_name, prompt_name = names["item"] or "", names["prompt"] or "prompt"
    answer_name, key_name = names["answer"] or "", names["key"] or ""
    plain = {item_name, answer_name, key_name, "item_hash", "prompt_hash", "model"}
    new, no_answer_name = tuple.__new__, "raw" if answer_name == "parsed" else ""

    def text(value: Any) -> str | None:
        return value if type(value) is str else file.text(value)

    def convert(row: dict[str, Any]) -> Record:
        get = row.get
        item, given, answer = get(item_name), get("item_hash"), get(answer_name)
        key, prompt_hash, model = get(key_name), get("prompt_hash"), get("model")
        if type(item) is not str:
            item = text(item) or ""
        if type(prompt_hash) is not str:
            prompt_hash = text(prompt_hash)
        if by == "content" and type(given) is str and given:
            identity = "h:" + given
        else:
            identity, prompt_hash = _identified(by, row, item, prompt_hash, text(get(prompt_name)), file)
        if type(answer) is not str:
            answer = text(answer) if answer is not None else text(get(no_answer_name))
        if type(key) is not str:
            key = text(key)
        if type(model) is not str:
            model = text(model) or ""
        known = (identity, item, answer, key, prompt_hash or None)
        if row.keys() <= plain:  # the usual row, a million times over
            return new(Record, (*known, "", None, "", 0, model, None))
        return Record._make((*known, *_particulars(row, model, file)))

    return convert


def _identified(
    by: By, row: dict[str, Any], item: str, prompt_hash: str | None, prompt: str | None, file: AnswerFile
) -> tuple[str, str | None]:
    """``records.identified`` of a row of normal form."""
    given, options, images = row.get("item_hash"), row.get("options") or (), row.get("images") or ()
    file.check(isinstance(images, list | tuple) and isinstance(options, list | tuple))
    named, shown = given if isinstance(given, str) else "", row.get("content_hash")
    file.check(bool(item) or (by != "name" and bool(named or prompt)))
    content = (prompt, [str(o) for o in options], [str(i) for i in images])
    return identified(by, item, prompt_hash, named, content, shown if isinstance(shown, str) else "")


def _particulars(
    row: dict[str, Any], model: str, file: AnswerFile
) -> tuple[str, float | None, str, int, str, float | None]:
    """The rest of a record: sample, margin, state, options, model, sigma."""
    state, options = row.get("state") or "", row.get("options")
    file.check(isinstance(state, str) and state in _STATES)
    count, sigma = len(options) if isinstance(options, list) else 0, _number(row.get("sigma"), file)
    return file.text(row.get("seed")) or "", _margin(row, file), _STATES[state], count, model, sigma


def _margin(row: dict[str, Any], file: AnswerFile) -> float | None:
    """Gap between the two best of the ``logprobs`` (a mapping or a list of numbers), or ``margin`` itself."""
    found = row.get("logprobs")
    if not found:
        return _number(row.get("margin"), file)
    values = list(found.values()) if isinstance(found, dict) else found
    file.check(isinstance(values, list) and all(isinstance(v, int | float) for v in values))
    best = sorted(values, reverse=True)
    return float(best[0] - best[1]) if len(best) > 1 else None


def _number(value: Any, file: AnswerFile) -> float | None:
    """A number, or one that a table wrote as text; None where there is none."""
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    file.check(math.isfinite(found))
    return found
