"""The form in which answers are compared, and what is no answer: refusals, empty text, parse failures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from statistics import median
from typing import Literal

from apograph.behaviour.actions import parse_actions, written

Kind = Literal["choice", "text", "transcript", "action"]
KINDS: tuple[Kind, ...] = ("choice", "text", "transcript", "action")
MISSING, EMPTY, REFUSED, FAILED = -1, -2, -3, -4

_REFUSAL = re.compile(
    r"(i['’]?m|i am|we are)?\s*(very |really )?(sorry|afraid)\b.{0,80}"
    r"\b(can['’]?t|cannot|unable|not able|won['’]?t)"
    r"|i (can['’]?t|cannot|am unable to|am not able to|won['’]?t) (help|assist|comply|provide|answer|fulfil)"
    r"|as an ai\b.{0,80}\b(can['’]?t|cannot|unable|not able)"
    r"|(很?抱歉|对不起).{0,20}(无法|不能)",
    re.IGNORECASE | re.DOTALL,
)
_NO_ANSWER = frozenset({"[invalid]", "Failed to obtain answer via API."})
"""What lm-evaluation-harness and VLMEvalKit put where an answer could not be parsed or was not had."""
_LETTER = re.compile(r"[(\[]?([A-Z])(?:[)\].:,]|$)")
_STATED = re.compile(r"\b(?:answer|choice|option)\b(?:\s+is)?\s*:?\s*[(\[*]*([A-Z])\b", re.IGNORECASE)


def is_refusal(answer: str) -> bool:
    """Whether a short answer (up to 400 characters) opens by declining to answer."""
    return len(answer) <= 400 and _REFUSAL.match(answer.strip()) is not None


def plain(answer: str) -> str:
    """Unicode NFC, every run of white space one blank, none at the ends."""
    text = answer if answer.isascii() else unicodedata.normalize("NFC", answer)
    return " ".join(text.split())


def choice(answer: str) -> str | None:
    """The letter (or number) that an answer to a multiple-choice question names, None when it names none.

    Read in this order: the whole answer, a letter at its start, the last "answer is X".
    """
    text = plain(answer)
    if text.isdecimal() or (len(text) == 1 and text.isalpha()):
        return text.upper()
    if found := _LETTER.match(text):
        return found[1]
    stated = _STATED.findall(text)
    return stated[-1].upper() if stated else None


def canonical(answer: str, kind: Kind) -> str | int:
    """The comparable form of an answer, or EMPTY, REFUSED or FAILED."""
    if not answer or answer.isspace():
        return EMPTY
    if answer.strip() in _NO_ANSWER:
        return FAILED
    if kind == "choice":
        letter = choice(answer)
        if letter is not None:
            return letter
        return REFUSED if is_refusal(answer) else FAILED
    if is_refusal(answer):
        return REFUSED
    if kind == "action":
        steps = parse_actions(answer)
        return written(steps) if steps else FAILED
    if kind == "transcript":
        return unicodedata.normalize("NFC", answer.replace("\r\n", "\n").strip())
    return plain(answer)


def guess_kind(answers: Sequence[str], options: Sequence[int]) -> Kind:
    """The kind of a file's first answers: choices were offered or all are single letters, most are actions,
    the median is over 200 characters, else open text."""
    if not answers:
        return "choice" if any(options) else "text"
    if all(options) or all(len(a.strip()) == 1 and a.strip().isalpha() for a in answers):
        return "choice"
    if sum(bool(parse_actions(a)) for a in answers) * 2 > len(answers):
        return "action"
    return "transcript" if median(len(a) for a in answers) > 200 else "text"
