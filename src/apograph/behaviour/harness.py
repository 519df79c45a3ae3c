"""Rows of three harnesses as records: lm-evaluation-harness and lmms-eval samples, VLMEvalKit tables."""

from __future__ import annotations

import ast
import hashlib
import json
from typing import Any

from apograph.behaviour.canonical import plain
from apograph.behaviour.records import By, Record, identified
from apograph.behaviour.rows import AnswerFile

_NO_DOC = hashlib.sha256(b"null").hexdigest()
"""What lmms-eval gives as the hash of every item, for its requests do not hold the item."""
_LONGEST_LIST = 20_000


def harness_record(row: dict[str, Any], file: AnswerFile, by: By) -> Record:
    """A sample of lm-evaluation-harness or lmms-eval. For tasks scored by likelihood (a log-likelihood and a
    flag per choice) the answer is the number of the likeliest choice."""
    doc, prompt = row.get("doc"), _prompt(row.get("arguments") or row.get("input"))
    item, given = str(row["doc_id"]) if "doc_id" in row else "", row.get("doc_hash")
    if not isinstance(given, str) or given == _NO_DOC:
        given = _digest(json.dumps(doc, sort_keys=True)) if isinstance(doc, dict) else ""
    digest = row.get("prompt_hash")
    if not isinstance(digest, str):
        digest = _digest(prompt) if prompt is not None else None
    identity, digest = identified(by, item, digest, given, (prompt, (), ()))
    answers = row.get("filtered_resps") or row.get("resps")
    file.check(isinstance(answers, list) and bool(answers))
    likelihoods = _likelihoods(answers)
    if likelihoods is None:
        while isinstance(answers, list) and answers:
            answers = answers[0]
        answer, key = _keyed(file.text(answers), row.get("target"), file)
        return Record(identity, item, answer, key, digest)
    best = max(range(len(likelihoods)), key=likelihoods.__getitem__)
    ordered = sorted(likelihoods, reverse=True)
    key = _choice_number(row.get("target"), doc)
    return Record(
        identity, item, str(best), key, digest, margin=ordered[0] - ordered[1], options=len(likelihoods)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _prompt(arguments: Any) -> str | None:
    """The first text in ``arguments``: a list of requests, or the later form {"gen_args_0": {"arg_0": …}}."""
    while isinstance(arguments, list | dict) and arguments:
        arguments = next(iter(arguments.values())) if isinstance(arguments, dict) else arguments[0]
    return arguments if isinstance(arguments, str) else None


def _keyed(answer: str | None, target: Any, file: AnswerFile) -> tuple[str | None, str | None]:
    """Answer and key. Where several answers are right (a list, which the harnesses write as Python does), the
    first stands for all of them."""
    accepted = target
    if isinstance(target, str) and target.startswith("[") and len(target) <= _LONGEST_LIST:
        try:
            accepted = ast.literal_eval(target)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            accepted = target
    if not isinstance(accepted, list) or not accepted or not all(isinstance(one, str) for one in accepted):
        return answer, file.text(target)
    right = {plain(one) for one in accepted}
    return accepted[0] if answer is not None and plain(answer) in right else answer, accepted[0]


def _likelihoods(answers: Any) -> list[float] | None:
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


def vlmeval_record(row: dict[str, Any], file: AnswerFile, by: By) -> Record:
    """A row of a VLMEvalKit table; its images are not at hand."""
    options = [str(row[letter]) for letter in "ABCDEFGH" if row.get(letter) not in (None, "")]
    item, question = str(row.get("index", "")), file.text(row.get("question"))
    file.check(bool(item))
    identity, prompt_hash = identified(by, item, None, "", (question, options, ()))
    return Record(
        identity,
        item,
        file.text(row.get("prediction")),
        file.text(row.get("answer")),
        prompt_hash,
        options=len(options),
    )
