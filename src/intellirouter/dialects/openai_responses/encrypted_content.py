"""Opaque tokens inside `encrypted_content`: where a reasoning item carries what another vendor signed.

A token of this dialect travels bare. Another's is wrapped (`ir.wrap_token`) and may say, after one more dot, what it
belongs to: `r` a redacted thought, `c` + base64url a tool call, which has no room for a token in this dialect.
Clients that drop item ids (Codex does) still bring it back.
"""

import base64
import binascii
from typing import Final

from msgspec import Struct

from intellirouter.dialects.ir import Opaque, unwrap_token, wrap_token
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.openai_responses.fields import DIALECT

_REDACTED: Final = "r"
_CALL: Final = "c"
_DOTS_OF_WRAPPED: Final = 3


class Carried(Struct, frozen=True):
    """What `encrypted_content` holds."""

    token: Opaque
    is_redacted: bool = False
    call_id: str = ""
    """The tool call that the token belongs to; empty: it belongs to the thought itself."""


def carry(token: Opaque, *, is_redacted: bool = False, call_id: str = "") -> str:
    """Return the token as the client gets it."""
    if token.dialect == DIALECT:
        return token.value
    wrapped = wrap_token(token)
    if is_redacted:
        return f"{wrapped}.{_REDACTED}"
    if call_id:
        return f"{wrapped}.{_CALL}{base64.urlsafe_b64encode(call_id.encode()).decode().rstrip('=')}"
    return wrapped


def carried(value: str) -> Carried:
    """Read a token that a client sends back."""
    tag = ""
    if value.startswith(WRAPPED_PREFIX) and value.count(".") > _DOTS_OF_WRAPPED:
        value, _, tag = value.rpartition(".")
    token = unwrap_token(value, DIALECT)
    if tag.startswith(_CALL):
        return Carried(token, call_id=_call_id(tag[1:]))
    return Carried(token, is_redacted=tag == _REDACTED)


def _call_id(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
