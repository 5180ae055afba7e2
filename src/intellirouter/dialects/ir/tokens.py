"""Vendors' opaque tokens, such as reasoning signatures, as clients store them and send them back.

A token is only valid at the endpoint that issued it. For a client of another dialect it is wrapped together with its
issuer; a client of the same dialect gets it unchanged. When clients send tokens back, encoders leave out those that
their upstream has not issued.
"""

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import Final

from intellirouter.core import Deployment
from intellirouter.dialects.ir.parts import Opaque

WRAPPED_PREFIX: Final = "irt1."
"""The prefix of every wrapped token. A body without this text contains no wrapped token."""


@lru_cache(maxsize=4096)
def _digest(provider: str, base_url: str) -> str:
    return hashlib.sha256(f"{provider}\n{base_url}".encode()).hexdigest()[:12]


def origin_of(deployment: Deployment) -> str:
    """Return a short id of the endpoint that issues a deployment's tokens. It depends on provider and address only."""
    return _digest(deployment.provider, deployment.address.base_url)


def wrap_token(token: Opaque) -> str:
    """Return the token as `irt1.DIALECT.ORIGIN.BASE64URL`, for a client of another dialect."""
    body = base64.urlsafe_b64encode(token.value.encode()).decode().rstrip("=")
    return f"{WRAPPED_PREFIX}{token.dialect}.{token.origin}.{body}"


def unwrap_token(value: str, dialect: str) -> Opaque:
    """Return the token that a client of `dialect` sends, which is a wrapped token or one of its own dialect."""
    if not value.startswith(WRAPPED_PREFIX):
        return Opaque(value=value, dialect=dialect)
    issuer_dialect, _, rest = value[len(WRAPPED_PREFIX) :].partition(".")
    origin, _, body = rest.partition(".")
    try:
        text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
    except (binascii.Error, ValueError):
        return Opaque(value=value, dialect=dialect)
    return Opaque(value=text, origin=origin, dialect=issuer_dialect)


def usable_token(token: Opaque | None, dialect: str, deployment: Deployment) -> str | None:
    """Return the token's value if `deployment`, whose dialect is `dialect`, may have issued it; otherwise None."""
    if token is None or token.dialect != dialect:
        return None
    return token.value if token.origin in {"", origin_of(deployment)} else None
