"""The signed statement (JWT, RS256) with which a service account asks for a token.

The cryptography library is loaded when the first one is signed: most gateways never need it.
"""

import base64
import importlib
from typing import Any

import msgspec

from intellirouter.core import errors


def signed_assertion(claims: dict[str, Any], private_key_pem: str, key_id: str) -> str:
    """Return the compact form of a JWT. Raises `UpstreamAuthFailed` for a key that is none."""
    header = {"alg": "RS256", "typ": "JWT", **({"kid": key_id} if key_id else {})}
    signed = f"{_encoded(msgspec.json.encode(header))}.{_encoded(msgspec.json.encode(claims))}"
    rs256 = importlib.import_module("intellirouter.providers.auth.rs256")
    try:
        signature: bytes = rs256.sign(signed.encode(), private_key_pem)
    except (ValueError, TypeError):
        raise errors.UpstreamAuthFailed(
            "the private key of the Google credential cannot be read.",
            hint="Use the key file as it was downloaded: a PEM key with its line breaks as \\n.",
        ) from None
    return f"{signed}.{_encoded(signature)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
