"""Witnesses: what third parties say of the time by which a manifest existed, read and checked.

A witness file lies beside its manifest and bears its name with one ending more: ``m.json.tsr`` stamps
``m.json``. Files of witnesses may come from anyone: they are bounded, and parsed in the confined worker.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from apograph.findings import Message, Refusal
from apograph.release import sandbox
from apograph.release.refuse import refuse
from apograph.release.witness_manifest import LARGEST

LARGEST_WITNESS = 1 << 20
_ENDINGS = (".sigstore.json", ".tsr", ".tst", ".pem", ".sigstore")
_BLOCK = re.compile(
    rb"-----BEGIN (CERTIFICATE|PUBLIC KEY)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----", re.DOTALL
)
MOST_ROOTS = 1000


@dataclass(frozen=True, slots=True)
class Witness:
    """By ``time`` (seconds since 1970 UTC) a file with each of ``digests`` (SHA-256, hex) existed.

    ``authority`` is a name from its certificate, or the id of a log's key: untrusted text. ``trusted``: it
    was checked against a root or key that the user gave; otherwise anyone may have made it.
    """

    path: str
    kind: Literal["timestamp", "log"]
    time: int
    authority: str
    trusted: bool
    digests: frozenset[str]


@dataclass(frozen=True, slots=True)
class Roots:
    """Whom the user trusts: ``certificates`` of timestamp authorities and public ``keys`` of logs, each the
    base64 text of its DER form."""

    certificates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def read_roots(paths: Sequence[str]) -> Roots:
    """Certificates and public keys from PEM files. Raises Refusal 2 for a file without any or of too many,
    4 when one cannot be opened."""
    roots = Roots()
    for path in paths:
        found = _BLOCK.findall(read_bounded(path, LARGEST_WITNESS))
        if not 0 < len(found) <= MOST_ROOTS:
            raise refuse("witness.no_roots", path)
        texts = [(kind == b"CERTIFICATE", b"".join(text.split()).decode("ascii")) for kind, text in found]
        certificates, keys = (
            [text for is_one, text in texts if is_one is wanted] for wanted in (True, False)
        )
        needs_extra()
        sandbox.call("apograph.release.witness:check_roots", certificates, keys, path)
        roots = Roots((*roots.certificates, *certificates), (*roots.keys, *keys))
    return roots


def check_roots(certificates: list[str], keys: list[str], path: str) -> bool:
    """Whether all of it can be read, as a Refusal 2 if not; called in the worker."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from cryptography.x509 import load_der_x509_certificate

    try:
        for text in certificates:
            load_der_x509_certificate(base64.b64decode(text))
        for text in keys:
            load_der_public_key(base64.b64decode(text))
    except Exception:
        raise refuse("witness.no_roots", path) from None
    return True


def read_witness(path: str, roots: Roots) -> Witness:
    """A witness file and the manifest beside it, checked.

    Raises Refusal 4 when either cannot be opened, 5 for a file over the limit, 2 for everything that does not
    hold: no token or bundle, other bytes stamped, a weak hash, a certificate that no root vouches for.
    """
    stamped = path[: -len(_ending(path))]
    data, message = read_bounded(path, LARGEST_WITNESS), read_bounded(stamped, LARGEST)
    needs_extra()
    digests = sandbox.call("apograph.release.witness_manifest:manifest_digests", message, stamped)
    kind: Literal["timestamp", "log"] = "log" if data.lstrip()[:1] == b"{" else "timestamp"
    function = "witness_log:read_log" if kind == "log" else "witness_timestamp:read_timestamp"
    trusted = roots.keys if kind == "log" else roots.certificates
    told = sandbox.call(f"apograph.release.{function}", data, message, list(trusted), path)
    return Witness(path, kind, told["time"], told["authority"], told["trusted"], frozenset(digests))


def _ending(path: str) -> str:
    ending = next((e for e in _ENDINGS if path.endswith(e)), "")
    if not ending or not os.path.basename(path[: -len(ending)]):
        raise Refusal(4, Message("readers.witness.ending", {"list": ", ".join(_ENDINGS)}), path)
    return ending


def needs_extra() -> None:
    """Refusal 4 when the packages that check witnesses are not installed."""
    if not all(find_spec(name) for name in ("cryptography", "rfc3161_client")):
        raise refuse("witness.extra", code=4)


def read_bounded(path: str, limit: int) -> bytes:
    """A regular file's content. Raises Refusal 4 when it cannot be opened, 5 when it is over ``limit``."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise Refusal(4, Message("readers.witness.open", {"reason": error.strerror or ""}), path) from None
    if len(data) > limit:
        raise refuse("witness.large", path, code=5, limit=limit)
    return data
