"""The content of certificate and key files, which may be PEM or DER. Pure."""

import base64
import re
from typing import Final

_CERTIFICATE: Final = re.compile(rb"-----BEGIN (X509 |)CERTIFICATE-----\s.*?-----END \1CERTIFICATE-----", re.DOTALL)
_PEM: Final = b"-----BEGIN "
_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_PKCS12_VERSION: Final = 3


class CertificateFileError(ValueError):
    """A file that cannot be used. Message and hint are whole sentences without a subject: `contains no …`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def authorities_in(content: bytes) -> str | bytes:
    """Return the certificates of a bundle for `SSLContext.load_verify_locations(cadata=…)`.

    Raises `CertificateFileError` if there are none.
    """
    if _PEM in content:
        found = [match[0].replace(b"X509 CERTIFICATE", b"CERTIFICATE") for match in _CERTIFICATE.finditer(content)]
        if found:
            return b"\n".join(found).decode("ascii", "replace")
    elif content[:1] == bytes([_SEQUENCE]):
        _refuse_pkcs12(content)
        return content
    raise CertificateFileError("contains no certificate.", "Set it to a PEM or DER file.")


def certificate_as_pem(content: bytes) -> bytes | None:
    """Return a DER certificate as PEM; None if it is PEM. Raises `CertificateFileError` if it is neither."""
    if _PEM in content:
        if _CERTIFICATE.search(content):
            return None
    elif content[:1] == bytes([_SEQUENCE]):
        _refuse_pkcs12(content)
        return _armored(content, "CERTIFICATE")
    raise CertificateFileError("contains no certificate.", "Set it to a PEM or DER file.")


def private_key_as_pem(content: bytes) -> bytes | None:
    """Return a DER key as PEM, still encrypted if it was; None if it is PEM. Raises `CertificateFileError`."""
    if b"PRIVATE KEY-----" in content:
        return None
    if content[:1] == bytes([_SEQUENCE]) and (label := _key_label(content)):
        return _armored(content, label)
    raise CertificateFileError("contains no private key.", "Set it to a PEM or DER file.")


def is_encrypted_key(content: bytes) -> bool:
    """Return whether a private key needs a password."""
    if _PEM in content:
        return b"BEGIN ENCRYPTED PRIVATE KEY" in content or b"Proc-Type: 4,ENCRYPTED" in content
    return _key_label(content) == "ENCRYPTED PRIVATE KEY"


def _key_label(der: bytes) -> str:
    """Tell the structures of keys apart by what the outer sequence begins with (PKCS#8, PKCS#1, SEC1)."""
    _refuse_pkcs12(der)
    inner = _contents(der)
    if inner[:1] == bytes([_SEQUENCE]):
        return "ENCRYPTED PRIVATE KEY"  # the algorithm, then the encrypted key
    match inner[:3]:
        case b"\x02\x01\x01":
            return "PRIVATE KEY" if inner[3:4] == bytes([_SEQUENCE]) else "EC PRIVATE KEY"
        case b"\x02\x01\x00":
            return "PRIVATE KEY" if inner[3:4] == bytes([_SEQUENCE]) else "RSA PRIVATE KEY"
        case _:
            return ""


def _contents(der: bytes) -> bytes:
    """Return what follows the tag and the length of the outer element."""
    if len(der) < 2:
        return b""
    return der[2 + (der[1] & 0x7F) if der[1] & 0x80 else 2 :]


def _refuse_pkcs12(der: bytes) -> None:
    if _contents(der)[:3] == bytes([_INTEGER, 1, _PKCS12_VERSION]):
        raise CertificateFileError(
            "is a PKCS#12 file.",
            "Convert it to PEM, for example with `openssl pkcs12 -in FILE -nodes -out FILE.pem`.",
        )


def _armored(der: bytes, label: str) -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
