"""Opaque tokens that only the vendor accepts that issued them, such as signatures of reasoning."""

import base64
import binascii
import hashlib
import secrets
from typing import Final

_NONCE_BYTES: Final = 16
_MAC_BYTES: Final = 32
_KEY: Final = b"mock-vendor"


def issue_token(text: str) -> str:
    """Return a new token for `text`, in base64."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + _mac(nonce, text)).decode()


def is_issued(token: str, text: str) -> bool:
    """Return whether `token` was issued for `text`."""
    raw = decode_base64(token)
    nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    return secrets.compare_digest(mac, _mac(nonce, text))


def decode_base64(token: str) -> bytes:
    """Decode base64 in either alphabet; invalid base64 gives no bytes."""
    try:
        return base64.b64decode(token.replace("-", "+").replace("_", "/") + "=" * (-len(token) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _mac(nonce: bytes, text: str) -> bytes:
    content = nonce + text.encode(errors="surrogatepass")
    return hashlib.blake2b(content, key=_KEY, digest_size=_MAC_BYTES).digest()
