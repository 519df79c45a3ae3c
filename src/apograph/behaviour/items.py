"""Item sets: chosen on the reference and the panel only, frozen by a hash before the candidate is asked.

The commitment is a SHA-256 over a secret nonce and the hashes of all items with their keys. Published before
asking, it shows later that neither items nor right answers were picked to fit the answers; without the nonce
it tells nothing of them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from apograph.behaviour.records import content_hash
from apograph.behaviour.rows import AnswerFile
from apograph.behaviour.sheet import Sheet
from apograph.behaviour.view import reference_view
from apograph.findings import Message
from apograph.release.refuse import refuse

FORMAT = "apograph items 2"
MAX_IMAGE = 64 << 20


def read_items(path: Path) -> list[dict[str, Any]]:
    """The items of a file (JSONL, CSV …): each with ``item``, ``prompt`` and, if any, ``options`` and
    ``image`` or ``images`` (paths below the file's folder); ``item_hash`` is computed, and checked where
    given.

    Raises Refusal 2 for an item without a prompt, a repeated name, an unreadable image or a wrong hash.
    """
    items: dict[str, dict[str, Any]] = {}
    file = AnswerFile(path)
    for row in file:
        prompt, name = (
            row.get("prompt", row.get("question")),
            row.get("item", row.get("id", row.get("index"))),
        )
        if not isinstance(prompt, str) or not prompt or name in (None, "") or str(name) in items:
            raise refuse("answers.item", str(path), row=file.row)
        shown = row.get("images") or ([row["image"]] if row.get("image") else [])
        options = row.get("options") or []
        if not _texts(shown) or not _texts(options):
            raise refuse("answers.field", str(path), row=file.row)
        digests = [hashlib.sha256(read_image(path.parent, image)).hexdigest() for image in shown]
        found = content_hash(prompt, options, digests, "" if digests else str(name))
        if row.get("item_hash") not in (None, "", found):
            raise refuse("answers.item_hash", str(path), item=str(name))
        key = row.get("key")
        items[str(name)] = {
            "item": str(name),
            "item_hash": found,
            "prompt": prompt,
            "options": options,
            "images": shown,
            "image_hashes": digests,
            **({"key": key} if isinstance(key, str) else {}),
        }
    return list(items.values())


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def read_image(folder: Path, name: str) -> bytes:
    """The bytes of an image below ``folder``, at most 64 MiB. Raises Refusal 2 when it lies elsewhere,
    cannot be read or is no image (a file of items may come from anyone, and its images are sent away), 5
    beyond."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise refuse("answers.image", str(folder / name))
    try:
        with (folder / name).open("rb") as stream:
            data = stream.read(MAX_IMAGE + 1)
    except OSError as error:
        raise refuse("answers.open", str(folder / name), reason=error.strerror or "") from None
    if len(data) > MAX_IMAGE:
        raise refuse("answers.limit", str(folder / name), code=5, rows=1, limit=MAX_IMAGE)
    if media_type(data) is None:
        raise refuse("answers.image", str(folder / name))
    return data


def media_type(data: bytes) -> str | None:
    """The media type that the first bytes show: PNG, JPEG, GIF or WebP, else None."""
    for start, kind in ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif")):
        if data.startswith(start):
            return f"image/{kind}"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def choose(sheet: Sheet, reference: int, panel: Sequence[int], most: int) -> list[str]:
    """Identities of the best items: those the reference gets wrong, the panel also (so that both-wrong is
    likely) but not with the reference's answer. Ordered by the panel models that repeat it (fewest first),
    then by the panel models that err (most first), then by the item's hash. The candidate is not looked at.
    """
    import numpy as np

    view = reference_view(sheet, reference)
    wrong = sheet.valid(reference) & ~sheet.right(reference) if sheet.keyed else sheet.valid(reference)
    rows = np.flatnonzero(wrong)
    alike = view.hit[list(panel)].sum(axis=0)
    errs = view.tried[list(panel)].sum(axis=0)
    order = sorted(range(len(rows)), key=lambda n: (int(alike[n]), -int(errs[n]), sheet.items[int(rows[n])]))
    return [sheet.items[int(rows[n])] for n in order[:most]]


def commitment(hashes: Iterable[str], nonce: str) -> str:
    """SHA-256 (hex) over the format's name, the nonce and the sorted hashes, one per line."""
    lines = [FORMAT, nonce, *sorted(hashes)]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def frozen(item: dict[str, Any]) -> str:
    """What is committed to: the item's hash, with its key where it has one."""
    if "key" not in item:
        return str(item["item_hash"])
    return hashlib.sha256(json.dumps([item["item_hash"], item["key"]]).encode()).hexdigest()


def commit(items: Sequence[dict[str, Any]], nonce: str | None = None) -> dict[str, Any]:
    """What is kept (nonce and hashes) and what may be published (``commitment``, the number of items).

    ``nonce``: 256 random bits in hex, drawn when not given.
    """
    nonce = secrets.token_hex(32) if nonce is None else nonce
    hashes = sorted(map(frozen, items))
    return {
        "format": FORMAT,
        "commitment": commitment(hashes, nonce),
        "items": len(hashes),
        "nonce": nonce,
        "hashes": hashes,
    }


def verify(items: Sequence[dict[str, Any]], kept: object) -> Message:
    """What is to be said: ``same`` when the items are those of the commitment, else ``format``, ``hash`` (the
    record contradicts itself) or ``items`` (others, more or fewer than were committed, or other keys)."""
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        return Message("answers.items.format")
    nonce, hashes, said = kept.get("nonce"), kept.get("hashes"), kept.get("commitment")
    if not isinstance(nonce, str) or not _texts(hashes) or not isinstance(hashes, list):
        return Message("answers.items.format")
    if commitment(hashes, nonce) != said:
        return Message("answers.items.hash")
    here = {frozen(item): item["item"] for item in items}
    other = sorted(name for digest, name in here.items() if digest not in set(hashes))
    missing = len(set(hashes) - here.keys())
    if not other and not missing and len(items) == len(hashes):
        return Message("answers.items.same")
    named = ", ".join(other[:3]) + (", …" if len(other) > 3 else "")
    return Message("answers.items.items", {"other": len(other), "missing": missing, "named": named or "–"})


def dumps(record: object) -> str:
    """JSON of a record, one line."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
