"""The signed JWT (RS256) that a service account exchanges for an access token.

The cryptography library is imported when the first JWT is signed: most gateways never need it.
"""

import base64
import importlib
from typing import Any

import msgspec

from intellirouter.core import errors


def signed_assertion(claims: dict[str, Any], private_key_pem: str, key_id: str) -> str:
    """Return a JWT in compact form. Raises `UpstreamAuthFailed` when the private key is not valid."""
    header = {"alg": "RS256", "typ": "JWT", **({"kid": key_id} if key_id else {})}
    signing_input = f"{_base64url(msgspec.json.encode(header))}.{_base64url(msgspec.json.encode(claims))}"
    rs256 = importlib.import_module("intellirouter.providers.auth.rs256")
    try:
        signature: bytes = rs256.sign(signing_input.encode(), private_key_pem)
    except (ValueError, TypeError):
        raise errors.UpstreamAuthFailed(
            "The private key in the Google credential is not a valid RSA key in PEM format.",
            hint="Use the downloaded key file unchanged. Its private_key is a PEM key with line breaks written as \\n.",
        ) from None
    return f"{signing_input}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
