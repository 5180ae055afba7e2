"""Opaque tokens that only the vendor who minted them accepts: thinking signatures, thought signatures."""

import base64
import binascii
import hashlib
import secrets
from typing import Final

_NONCE_BYTES: Final = 16
_MAC_BYTES: Final = 32
_KEY: Final = b"mock-vendor"


def mint(text: str) -> str:
    """Return a new token that belongs to `text`, in base64."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + _mac(nonce, text)).decode()


def is_minted(token: str, text: str) -> bool:
    """Tell whether `mint(text)` once gave `token`."""
    raw = bytes_of(token)
    nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    return secrets.compare_digest(mac, _mac(nonce, text))


def bytes_of(token: str) -> bytes:
    """Decode base64 in either alphabet, as JSON of protocol buffers may have it; nothing when it is none."""
    try:
        return base64.b64decode(token.replace("-", "+").replace("_", "/") + "=" * (-len(token) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _mac(nonce: bytes, text: str) -> bytes:
    content = nonce + text.encode(errors="surrogatepass")
    return hashlib.blake2b(content, key=_KEY, digest_size=_MAC_BYTES).digest()
