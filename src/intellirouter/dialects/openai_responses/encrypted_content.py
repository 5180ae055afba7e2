"""The `encrypted_content` of reasoning items, which contains the opaque token of any vendor.

A token of this dialect is not wrapped. Other tokens are wrapped (`ir.wrap_token`). After another dot, a tag may
follow: `r` marks redacted reasoning, and `c` + base64url names the tool call that the token belongs to, because tool
calls of this dialect have no member for a token. Clients such as Codex drop item ids, but they keep the tag.
"""

import base64
import binascii
from typing import Final

from msgspec import Struct

from intellirouter.dialects.ir import Opaque, unwrap_token, wrap_token
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.openai_responses.fields import DIALECT

_REDACTED_TAG: Final = "r"
_CALL_TAG: Final = "c"
_WRAPPED_TOKEN_DOTS: Final = 3


class EncryptedContent(Struct, frozen=True):
    """The decoded `encrypted_content` of a reasoning item."""

    token: Opaque
    is_redacted: bool = False
    call_id: str = ""
    """The tool call that the token belongs to; empty: it belongs to the reasoning item itself."""


def write_encrypted_content(token: Opaque, *, is_redacted: bool = False, call_id: str = "") -> str:
    """Return the value that the client gets for a token."""
    if token.dialect == DIALECT:
        return token.value
    wrapped = wrap_token(token)
    if is_redacted:
        return f"{wrapped}.{_REDACTED_TAG}"
    if call_id:
        return f"{wrapped}.{_CALL_TAG}{base64.urlsafe_b64encode(call_id.encode()).decode().rstrip('=')}"
    return wrapped


def read_encrypted_content(value: str) -> EncryptedContent:
    """Read a value that a client sends back."""
    tag = ""
    if value.startswith(WRAPPED_PREFIX) and value.count(".") > _WRAPPED_TOKEN_DOTS:
        value, _, tag = value.rpartition(".")
    token = unwrap_token(value, DIALECT)
    if tag.startswith(_CALL_TAG):
        return EncryptedContent(token, call_id=_decode_call_id(tag[1:]))
    return EncryptedContent(token, is_redacted=tag == _REDACTED_TAG)


def _decode_call_id(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
