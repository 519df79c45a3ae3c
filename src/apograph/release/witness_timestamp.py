"""A timestamp token (RFC 3161) over a manifest, checked with ``rfc3161-client``; called in the worker.

What the library checks: the signature, the chain to a given root at the stamped time, that the signer's
certificate is for timestamping (critical extended key usage), and the message imprint. What is added here:
weak hashes, a second purpose of the signer's certificate (RFC 3161, 2.3), and two certificates that claim the
same issuer and serial number, of which the library might check one while the other signed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from typing import Any

from apograph.findings import Json
from apograph.release.refuse import refuse

_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----\s+([A-Za-z0-9+/=\s]+?)-----END [A-Z0-9 ]+-----")
_STRONG = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_GRANTED = bytes.fromhex("3003020100")
"""PKIStatusInfo "granted", in front of a token that was stored without its response."""


def read_timestamp(data: bytes, message: bytes, certificates: list[str], path: str) -> dict[str, Json]:
    """{"time": seconds since 1970, "authority": the signer's name, "trusted": bool} of a token over
    ``message``.

    ``data``: a response or a bare token, DER or PEM. ``certificates``: the roots that the user trusts
    (base64); without any nobody vouches for the signature, which is then not checked, and ``trusted`` is
    False. The time is the stamped one plus the accuracy that the authority states: by then the message
    existed. Raises Refusal 2 with the reason.
    """
    response = _decode(_der(data), path)
    imprint = response.tst_info.message_imprint
    hashed = _STRONG.get(imprint.hash_algorithm.dotted_string)
    weak = {oid.dotted_string for oid in response.signed_data.digest_algorithms} - _STRONG.keys()
    if hashed is None or weak:
        raise refuse("witness.weak_hash", path)
    digest = hashlib.new(hashed, message).digest()
    if imprint.message != digest:
        raise refuse("witness.other_bytes", path)
    authority = _signer(response, path)
    if certificates:
        _verify(response, digest, certificates, path)
    stamped = response.tst_info.gen_time.timestamp() + _accuracy(response.tst_info.accuracy)
    return {"time": -int(-stamped // 1), "authority": authority, "trusted": bool(certificates)}


def query(message: bytes) -> bytes:
    """A timestamp query (DER) for ``message``: SHA-256, with a nonce, asking for the certificates."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256)
    return bytes(builder.cert_request(cert_request=True).nonce(nonce=True).build().as_bytes())


def _der(data: bytes) -> bytes:
    found = _PEM.search(data) if data.lstrip().startswith(b"-----BEGIN") else None
    return base64.b64decode(found[1]) if found else data


def _decode(der: bytes, path: str) -> Any:
    """The response, whether ``der`` is one or a bare token."""
    from rfc3161_client import decode_timestamp_response

    at = der.find(_GRANTED, 0, 16)
    token = der[at + len(_GRANTED) :] if at >= 0 else der
    for form in (der, _wrapped(token), _in_order(token)):
        try:
            response = decode_timestamp_response(form)
            if response.status != 0:
                break
            if response.tst_info.gen_time is not None and response.signed_data is not None:
                return response
        except Exception:  # the parsers know many errors; each means that this is no such form
            continue
    else:
        raise refuse("witness.no_token", path)
    raise refuse("witness.not_granted", path)


def _in_order(token: bytes) -> bytes:
    """The response with its certificates in the order that DER asks for and authorities often do not keep
    (openssl among them); the library insists on it. No signature covers that order."""
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the very order
            held = pkcs7.load_der_pkcs7_certificates(token)
    except ValueError:
        return b""
    forms = sorted(certificate.public_bytes(Encoding.DER) for certificate in held)
    start = min((token.find(form) for form in forms), default=0)
    block = b"".join(forms)
    return _wrapped(token[:start] + block + token[start + len(block) :])


def _wrapped(token: bytes) -> bytes:
    return _sequence(_GRANTED + token)


def _sequence(body: bytes) -> bytes:
    """``body`` as a DER sequence."""
    if len(body) < 128:
        return b"\x30" + bytes([len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return b"\x30" + bytes([0x80 | len(length)]) + length + body


def _signer(response: Any, path: str) -> str:
    """The name of the certificate that signed. Raises Refusal 2 when it is absent, ambiguous or for more than
    timestamping."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signers = list(response.signed_data.signer_infos)
    try:
        held = [x509.load_der_x509_certificate(bytes(c)) for c in response.signed_data.certificates]
        mine = [
            c for c in held for s in signers if c.issuer == s.issuer and c.serial_number == s.serial_number
        ]
    except ValueError:
        raise refuse("witness.no_token", path) from None
    if len(signers) != 1 or len(mine) != 1:
        raise refuse("witness.no_certificate", path)
    try:
        purposes = mine[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        raise refuse("witness.purpose", path) from None
    if not purposes.critical or list(purposes.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise refuse("witness.purpose", path)
    return str(mine[0].subject.rfc4514_string())[:200]


def _verify(response: Any, digest: bytes, certificates: list[str], path: str) -> None:
    from cryptography import x509
    from rfc3161_client import VerificationError, VerifierBuilder

    roots = [x509.load_der_x509_certificate(base64.b64decode(text)) for text in certificates]
    try:
        VerifierBuilder(roots=roots).build().verify(response, digest)
    except VerificationError as error:
        raise refuse("witness.not_vouched", path, reason=str(error)[:150]) from None


def _accuracy(accuracy: Any) -> float:
    """Seconds; nothing stated counts as none."""
    if accuracy is None:
        return 0.0
    parts = (accuracy.seconds, accuracy.millis, accuracy.micros)
    return sum((part or 0) * unit for part, unit in zip(parts, (1.0, 1e-3, 1e-6), strict=True))
