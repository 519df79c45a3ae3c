"""An entry of a transparency log over a manifest: a sigstore bundle. Called in the worker.

The *time* of an entry is signed only in the log's promise (SignedEntryTimestamp): the inclusion path and the
checkpoint say that the entry is in the log, not since when. So the promise is required, and an inclusion path
that is there must hold too. Who signed the manifest does not matter: what counts is its digest, by a time.
Formats: sigstore protobuf-specs (bundle 0.1 to 0.3, ``hashedrekord`` 0.0.1), RFC 6962 section 2.1.1, and the
signed notes of transparency-dev.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from apograph.findings import Json
from apograph.release.json_text import parse_json
from apograph.release.refuse import refuse

_MOST_HASHES = 64
"""Steps of an inclusion path: enough for a log of 2^64 entries."""
_YEAR_10000 = 253_402_300_800


def read_log(data: bytes, message: bytes, keys: list[str], path: str) -> dict[str, Json]:
    """{"time": seconds since 1970, "authority": the log's key id, "trusted": bool} of an entry over
    ``message``.

    ``keys``: public keys of logs that the user trusts (base64 of DER); without any the promise cannot be
    checked and ``trusted`` is False. Raises Refusal 2 with the reason.
    """
    bundle: Any = parse_json(data, path, 1 << 20)
    try:
        (entry,) = bundle["verificationMaterial"]["tlogEntries"]
        return _read_entry(entry, message, [_bytes(key) for key in keys], path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise refuse("witness.no_bundle", path) from None


def _read_entry(entry: Any, message: bytes, keys: Sequence[bytes], path: str) -> dict[str, Json]:
    body = _bytes(entry["canonicalizedBody"])
    if _digest_in(parse_json(body, path, 1 << 20)) != hashlib.sha256(message).hexdigest():
        raise refuse("witness.other_bytes", path)
    seconds, index = int(entry["integratedTime"]), int(entry["logIndex"])
    log_id = _bytes(entry["logId"]["keyId"])
    promise = entry.get("inclusionPromise")
    if not promise or not 0 < seconds < _YEAR_10000:
        raise refuse("witness.no_promise", path)
    told: dict[str, Json] = {"time": seconds, "authority": log_id.hex()[:64], "trusted": bool(keys)}
    if not keys:
        return told
    key = next((k for k in keys if hashlib.sha256(k).digest() == log_id), None)
    if key is None:
        raise refuse("witness.unknown_log", path)
    payload = {
        "body": base64.b64encode(body).decode(),
        "integratedTime": seconds,
        "logID": log_id.hex(),
        "logIndex": index,
    }
    signed = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    if not signature_holds(key, _bytes(promise["signedEntryTimestamp"]), signed):
        raise refuse("witness.promise", path)
    if "inclusionProof" in entry:
        _check_inclusion(entry["inclusionProof"], body, key, path)
    return told


def _digest_in(body: Any) -> str:
    """SHA-256 (hex) of the artefact that a ``hashedrekord`` entry names."""
    if body["kind"] != "hashedrekord" or body["apiVersion"] != "0.0.1":
        raise ValueError
    hashed = body["spec"]["data"]["hash"]
    if hashed["algorithm"] != "sha256":
        raise ValueError
    return str(hashed["value"]).lower()


def _check_inclusion(given: Any, body: bytes, key: bytes, path: str) -> None:
    index, size = int(given["logIndex"]), int(given["treeSize"])
    hashes = [_bytes(step) for step in given["hashes"]]
    root = root_of(hashlib.sha256(b"\0" + body).digest(), index, size, hashes)
    if root is None or root != _bytes(given["rootHash"]):
        raise refuse("witness.inclusion", path)
    if not _checkpoint_holds(str(given["checkpoint"]["envelope"]), key, size, root):
        raise refuse("witness.checkpoint", path)


def root_of(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion path leads to (RFC 9162, 2.1.3.2); None when the lengths do not fit.

    ``leaf`` is the hash of entry ``index`` in a tree of ``size``, ``hashes`` its siblings, lowest first.
    """
    if not 0 <= index < size or len(hashes) > _MOST_HASHES or any(len(h) != 32 for h in hashes):
        return None
    first, last, root = index, size - 1, leaf
    for step in hashes:
        if last == 0:
            return None
        if first & 1 or first == last:
            root = hashlib.sha256(b"\1" + step + root).digest()
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            root = hashlib.sha256(b"\1" + root + step).digest()
        first, last = first >> 1, last >> 1
    return root if last == 0 else None


def _checkpoint_holds(note: str, key: bytes, size: int, root: bytes) -> bool:
    """Whether the log's key signed a note that names this size and this root."""
    text, blank, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) < 3 or lines[1] != str(size) or _bytes(lines[2]) != root:
        return False
    for line in signatures.splitlines():
        dash, _, rest = line.partition(" ")
        signature = rest.rpartition(" ")[2]
        if dash == "—" and signature_holds(key, _bytes(signature)[4:], f"{text}\n".encode()):
            return True
    return False


def signature_holds(key: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether ``signature`` by the public ``key`` (DER; ECDSA with SHA-256, or Ed25519) fits ``signed``."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    public = load_der_public_key(key)
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, signed, ec.ECDSA(SHA256()))
        elif isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, signed)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
