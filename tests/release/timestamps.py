"""A timestamp authority in a folder, run by openssl, and a transparency log in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_CONFIG = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[tsa]
basicConstraints = critical,CA:false
extendedKeyUsage = critical,timeStamping
[stamp]
serial = ./serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha1, sha256, sha384, sha512
"""


class Authority:
    """A root, and a timestamp authority below it that answers queries as ``openssl ts`` does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "c").write_text(_CONFIG)
        (folder / "serial").write_text("01\n")
        for name in ("ca", "tsa"):
            self._run("ecparam", "-genkey", "-name", "prime256v1", "-out", f"{name}.key")
        subject = ("-subj", "/CN=Root", "-extensions", "ca", "-config", "c")
        self._run("req", "-x509", "-new", "-key", "ca.key", "-days", "3650", *subject, "-out", "ca.pem")
        self._run("req", "-new", "-key", "tsa.key", "-subj", "/CN=Stamps", "-config", "c", "-out", "tsa.csr")
        issuer = (
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "c",
            "-extensions",
            "tsa",
        )
        self._run("x509", "-req", "-in", "tsa.csr", *issuer, "-days", "30", "-out", "tsa.pem")

    def valid(self, since: datetime, until: datetime) -> None:
        """Give the authority's certificate this validity, signed by the same root."""
        old = x509.load_pem_x509_certificate((self.folder / "tsa.pem").read_bytes())
        key = load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        new = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number)
        new = new.not_valid_before(since).not_valid_after(until)
        for extension in old.extensions:
            new = new.add_extension(extension.value, extension.critical)
        (self.folder / "tsa.pem").write_bytes(new.sign(key, SHA256()).public_bytes(Encoding.PEM))

    @property
    def root(self) -> str:
        return str(self.folder / "ca.pem")

    def stamp(self, manifest: Path, ending: str = ".tsr", digest: str = "sha256", *more: str) -> str:
        """The path of a response (or, with ``-token_out``, a token) over the manifest's bytes."""
        out = f"{manifest}{ending}"
        self._run("ts", "-query", "-data", str(manifest), f"-{digest}", "-cert", "-out", "q")
        keys = ("-signer", "tsa.pem", "-inkey", "tsa.key", "-config", "c", "-section", "stamp")
        self._run("ts", "-reply", "-queryfile", "q", *keys, *more, "-out", out)
        return out

    def _run(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


class Log:
    """A log with one key, whose entries are leaves of a tree as in RFC 6962."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key()
        self.der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(SHA256()))

    def bundle(self, message: bytes, seconds: int, others: int = 4, index: int = 2) -> dict[str, Any]:
        """A bundle whose entry ``index`` among ``others`` + 1 names ``message``."""
        hashed = {"algorithm": "sha256", "value": hashlib.sha256(message).hexdigest()}
        record = {"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": {"data": {"hash": hashed}}}
        body = json.dumps(record).encode()
        leaves = [b"other %d" % n for n in range(others)]
        leaves.insert(index, body)
        root, path = tree([hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves], index)
        identity = hashlib.sha256(self.der).digest()
        signed = {
            "body": b64(body), "integratedTime": seconds, "logID": identity.hex(), "logIndex": index + 1000
        }  # fmt: skip
        promise = self.sign(json.dumps(signed, sort_keys=True, separators=(",", ":")).encode())
        text = f"log - 1\n{len(leaves)}\n{b64(root)}\n"
        note = f"{text}\n— log {b64(identity[:4] + self.sign(text.encode()))}\n"
        entry = {
            "logIndex": str(index + 1000), "integratedTime": str(seconds), "canonicalizedBody": b64(body),
            "logId": {"keyId": b64(identity)}, "inclusionPromise": {"signedEntryTimestamp": b64(promise)},
            "inclusionProof": {
                "logIndex": str(index), "treeSize": str(len(leaves)), "rootHash": b64(root),
                "hashes": [b64(step) for step in path], "checkpoint": {"envelope": note},
            },
        }  # fmt: skip
        media = "application/vnd.dev.sigstore.bundle.v0.3+json"
        return {"mediaType": media, "verificationMaterial": {"tlogEntries": [entry]}}


def tree(leaves: Sequence[bytes], index: int) -> tuple[bytes, list[bytes]]:
    """Root and inclusion path by the recursive definition of RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return leaves[0], []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    left, right = leaves[:k], leaves[k:]
    (a, path) = tree(left, index) if index < k else (tree(left, 0)[0], [])
    if index >= k:
        b, path = tree(right, index - k)
        path = [*path, a]
    else:
        b = tree(right, 0)[0]
        path = [*path, b]
    return hashlib.sha256(b"\1" + a + b).digest(), path


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
