"""From the rows of a file to records: our own normal form and the logs of three evaluation harnesses.

The shape is told by the names of the first row's fields: ``resps`` and ``doc_id`` (lm-evaluation-harness and
lmms-eval, ``--log_samples``), ``index`` and ``prediction`` (VLMEvalKit), anything else is our normal form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from apograph.behaviour.records import Record, content_hash
from apograph.behaviour.rows import AnswerFile
from apograph.release.refuse import refuse

_ITEM = ("item", "id", "item_id", "question_id", "index")
_PROMPT = ("prompt", "question")
_ANSWER = ("parsed", "raw", "response", "prediction", "output", "answer")
_KEY = ("key", "target", "label")
_STATES = {"": "", "ok": "", "refusal": "refusal", "failure": "failure", "error": "failure"}


def read_records(file: AnswerFile, *, keys: bool = False) -> Iterator[Record]:
    """The answers of one file (``keys``: or right answers alone). Raises Refusal 2 when its rows hold no
    answers or no names of items."""
    rows = iter(file)
    first = next(rows, None)
    if first is None:
        raise refuse("answers.empty", file.path)
    convert = _converter(first, file, keys)
    for row in chain((first,), rows):
        record = convert(row)
        if record is not None:
            yield record


def _converter(
    first: dict[str, Any], file: AnswerFile, keys: bool
) -> Callable[[dict[str, Any]], Record | None]:
    if "resps" in first and "doc_id" in first:
        filtered = first.get("filter")
        # A task with several filters logs every answer once per filter: the first filter's are taken.
        return lambda row: _harness(row, file) if row.get("filter") == filtered else None
    if "index" in first and "prediction" in first:
        return lambda row: _vlmeval(row, file)
    names = {
        "item": _first_of(_ITEM, first),
        "prompt": _first_of(_PROMPT, first),
        "answer": _first_of(_ANSWER, first),
        "key": _first_of(_KEY, first) or ("answer" if {"answer", "prediction"} <= first.keys() else None),
    }
    given = names["answer"] or (keys and names["key"])
    if not given or not (names["item"] or names["prompt"] or "item_hash" in first):
        raise refuse("answers.fields", file.path, found=", ".join(first))
    return _normal(names, file)


def _first_of(names: tuple[str, ...], row: dict[str, Any]) -> str | None:
    return next((name for name in names if name in row), None)


def _normal(names: dict[str, str | None], file: AnswerFile) -> Callable[[dict[str, Any]], Record]:
    item_name, prompt_name = names["item"] or "", names["prompt"] or "prompt"
    answer_name, key_name = names["answer"] or "", names["key"] or ""
    plain = {item_name, answer_name, key_name, "item_hash", "prompt_hash", "model"}
    new, no_answer_name = tuple.__new__, "raw" if answer_name == "parsed" else ""

    def text(value: Any) -> str | None:
        return value if type(value) is str else _text(value, file)

    def convert(row: dict[str, Any]) -> Record:
        get = row.get
        item, given, answer = get(item_name), get("item_hash"), get(answer_name)
        key, prompt_hash, model = get(key_name), get("prompt_hash"), get("model")
        if type(item) is not str:
            item = text(item) or ""
        if type(given) is str and given:
            identity = "h:" + given
        else:
            prompt = text(get(prompt_name))
            identity = _identity(item, prompt, get("options") or (), get("images") or (), file)
        if type(answer) is not str:
            answer = text(answer) if answer is not None else text(get(no_answer_name))
        if type(key) is not str:
            key = text(key)
        if type(prompt_hash) is not str:
            prompt_hash = text(prompt_hash)
        if type(model) is not str:
            model = text(model) or ""
        known = (identity, item, answer, key, prompt_hash or None)
        if row.keys() <= plain:  # the usual row, a million times over
            return new(Record, (*known, "", None, "", 0, model, None))
        return Record._make((*known, *_particulars(row, model, file)))

    return convert


def _particulars(
    row: dict[str, Any], model: str, file: AnswerFile
) -> tuple[str, float | None, str, int, str, float | None]:
    """The rest of a record: sample, margin, state, options, model, sigma."""
    state, sigma, options = row.get("state") or "", row.get("sigma"), row.get("options")
    _checked(isinstance(state, str) and state in _STATES, file)
    _checked(sigma is None or isinstance(sigma, int | float), file)
    count = len(options) if isinstance(options, list) else 0
    return _text(row.get("seed"), file) or "", _margin(row, file), _STATES[state], count, model, sigma


def _identity(item: str, prompt: str | None, options: Any, images: Any, file: AnswerFile) -> str:
    """The hash of the content where a row shows it, else the item's name. Where the digests of its images are
    not at hand, the name is part of the content."""
    if not prompt:
        _checked(bool(item), file)
        return "i:" + item
    _checked(isinstance(images, list | tuple) and isinstance(options, list | tuple), file)
    shown = [str(i) for i in images]
    return "h:" + content_hash(prompt, [str(o) for o in options], shown, "" if shown else item)


def _margin(row: dict[str, Any], file: AnswerFile) -> float | None:
    """Gap between the two best of the ``logprobs`` (a mapping or a list of numbers), or ``margin`` itself."""
    found = row.get("logprobs")
    if not found:
        margin = row.get("margin")
        return float(margin) if isinstance(margin, int | float) else None
    values = list(found.values()) if isinstance(found, dict) else found
    _checked(isinstance(values, list) and all(isinstance(v, int | float) for v in values), file)
    best = sorted(values, reverse=True)
    return float(best[0] - best[1]) if len(best) > 1 else None


def _harness(row: dict[str, Any], file: AnswerFile) -> Record:
    """A sample of lm-evaluation-harness or lmms-eval. For tasks scored by likelihood (a log-likelihood and a
    flag per choice) the answer is the number of the likeliest choice."""
    doc, prompt = row.get("doc"), _harness_prompt(row.get("arguments"))
    item = str(row["doc_id"]) if "doc_id" in row else ""
    if isinstance(row.get("doc_hash"), str):
        identity = "h:" + row["doc_hash"]
    elif isinstance(doc, dict):
        identity = "h:" + hashlib.sha256(json.dumps(doc, sort_keys=True).encode()).hexdigest()
    elif prompt is not None:
        identity = "h:" + content_hash(prompt, item=item)
    else:
        identity = "i:" + item
    digest = row.get("prompt_hash")
    if not isinstance(digest, str):
        digest = hashlib.sha256(prompt.encode()).hexdigest() if prompt is not None else None
    answers = row.get("filtered_resps") or row.get("resps")
    if not isinstance(answers, list) or not answers:
        raise refuse("answers.field", file.path, row=file.row)
    likelihoods = _likelihoods(answers)
    if likelihoods is None:
        answer = answers[0]
        while isinstance(answer, list) and answer:
            answer = answer[0]
        return Record(identity, item, _text(answer, file), _text(row.get("target"), file), digest)
    best = max(range(len(likelihoods)), key=likelihoods.__getitem__)
    ordered = sorted(likelihoods, reverse=True)
    key = _choice_number(row.get("target"), doc)
    return Record(
        identity, item, str(best), key, digest, margin=ordered[0] - ordered[1], options=len(likelihoods)
    )


def _harness_prompt(arguments: Any) -> str | None:
    """The first text in ``arguments``: a list of requests, or the later form {"gen_args_0": {"arg_0": …}}."""
    while isinstance(arguments, list | dict) and arguments:
        arguments = next(iter(arguments.values())) if isinstance(arguments, dict) else arguments[0]
    return arguments if isinstance(arguments, str) else None


def _likelihoods(answers: list[Any]) -> list[float] | None:
    pairs = [a[0] if isinstance(a, list) and len(a) == 1 else a for a in answers]
    if len(pairs) < 2 or not all(
        isinstance(p, list) and len(p) == 2 and str(p[1]).lower() in ("true", "false") for p in pairs
    ):
        return None
    try:
        return [float(p[0]) for p in pairs]
    except (TypeError, ValueError):
        return None


def _choice_number(target: Any, doc: Any) -> str | None:
    text = str(target).strip()
    if text.isdecimal():
        return text
    choices = doc.get("choices") if isinstance(doc, dict) else None
    if isinstance(choices, list) and target in choices:
        return str(choices.index(target))
    return str(ord(text) - ord("A")) if len(text) == 1 and "A" <= text <= "Z" else None


def _vlmeval(row: dict[str, Any], file: AnswerFile) -> Record:
    options = [str(row[letter]) for letter in "ABCDEFGH" if row.get(letter) not in (None, "")]
    item = str(row.get("index", ""))
    question = _text(row.get("question"), file)
    identity = "h:" + content_hash(question, options, (), item) if question else "i:" + item
    _checked(bool(item), file)
    return Record(
        identity,
        item,
        _text(row.get("prediction"), file),
        _text(row.get("answer"), file),
        options=len(options),
    )


def _text(value: Any, file: AnswerFile) -> str | None:
    """Text as it is, numbers and truth values as JSON writes them, None for null; else refused."""
    if value is None or isinstance(value, str):
        return value
    _checked(isinstance(value, bool | int | float), file)
    return json.dumps(value)


def _checked(fits: bool, file: AnswerFile) -> None:
    if not fits:
        raise refuse("answers.field", file.path, row=file.row)


def read_file(path: Path) -> Iterator[Record]:
    """The records of the file at ``path``."""
    return read_records(AnswerFile(path))
