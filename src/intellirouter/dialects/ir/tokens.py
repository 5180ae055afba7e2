"""Providers' opaque tokens on their way through clients of another dialect.

A thinking signature means something only to the endpoint that minted it. Where it must travel through a client of
another dialect it is wrapped, so that it says who minted it when it comes back; a token in its own dialect travels
bare. What comes back from somewhere else is left out of the next request, never forwarded blindly.
"""

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import Final

from intellirouter.core import Deployment
from intellirouter.dialects.ir.parts import Opaque

MARK: Final = "irt1."
"""Begins every wrapped token. A body without it holds none."""


@lru_cache(maxsize=4096)
def _digest(provider: str, base_url: str) -> str:
    return hashlib.sha256(f"{provider}\n{base_url}".encode()).hexdigest()[:12]


def origin_of(deployment: Deployment) -> str:
    """Return the short name of the endpoint that mints a deployment's tokens: same provider and address, same name."""
    return _digest(deployment.provider, deployment.address.base_url)


def wrap_token(token: Opaque) -> str:
    """Return `irt1.DIALECT.ORIGIN.BASE64URL`, for a field of another dialect."""
    body = base64.urlsafe_b64encode(token.value.encode()).decode().rstrip("=")
    return f"{MARK}{token.dialect}.{token.origin}.{body}"


def unwrap_token(value: str, dialect: str) -> Opaque:
    """Read a token that a client of `dialect` sends: one that we wrapped, or a bare one of its own dialect."""
    if not value.startswith(MARK):
        return Opaque(value=value, dialect=dialect)
    minted_by, _, rest = value[len(MARK) :].partition(".")
    origin, _, body = rest.partition(".")
    try:
        text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
    except (binascii.Error, ValueError):
        return Opaque(value=value, dialect=dialect)
    return Opaque(value=text, origin=origin, dialect=minted_by)


def usable_token(token: Opaque | None, dialect: str, deployment: Deployment) -> str | None:
    """Return the token's value when `deployment`, which speaks `dialect`, may understand it; None otherwise."""
    if token is None or token.dialect != dialect:
        return None
    return token.value if token.origin in {"", origin_of(deployment)} else None
