"""AWS Signature Version 4 in the Authorization header. Pure functions.

The steps and their names follow the AWS documentation:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import posixpath
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = "-_.~"
_REPEATED_SPACES: Final = re.compile(r" +")


class AwsKey(Struct, frozen=True):
    """An access key. Its repr does not show any part of it."""

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return "AwsKey(***)"


class CredentialScope(Struct, frozen=True):
    """The region and the service that a signature is valid for."""

    region: str
    service: str


class CanonicalRequest(Struct, frozen=True):
    """The parts of a request that are signed."""

    method: str
    target: str
    """Path and query as they are sent."""
    headers: Mapping[str, str]
    """The headers to sign, including `host`. Names in any case."""
    body: bytes

    def text(self) -> str:
        """Return the canonical request as defined by AWS."""
        path, _, query = self.target.partition("?")
        lines = [f"{name}:{value}" for name, value in self._headers()]
        payload = hashlib.sha256(self.body).hexdigest()
        return "\n".join(
            (self.method, _canonical_path(path), _canonical_query(query), *lines, "", self.signed_names(), payload)
        )

    def signed_names(self) -> str:
        return ";".join(name for name, _ in self._headers())

    def _headers(self) -> list[tuple[str, str]]:
        return sorted((name.lower(), _REPEATED_SPACES.sub(" ", value.strip())) for name, value in self.headers.items())


def sign(request: CanonicalRequest, key: AwsKey, scope: CredentialScope, at_s: float) -> tuple[tuple[str, str], ...]:
    """Return the headers to add: authorization, date and, for temporary credentials, the session token."""
    stamp = datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    amz_headers = [("x-amz-date", stamp)]
    if key.session_token:
        amz_headers.append(("x-amz-security-token", key.session_token))
    canonical = CanonicalRequest(request.method, request.target, {**request.headers, **dict(amz_headers)}, request.body)
    day = stamp[:8]
    scope_text = f"{day}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(canonical.text().encode()).hexdigest()
    string_to_sign = f"{_ALGORITHM}\n{stamp}\n{scope_text}\n{digest}"
    signature = hmac.new(_signing_key(key, scope, day), string_to_sign.encode(), hashlib.sha256).hexdigest()
    fields = (
        f"Credential={key.access_key}/{scope_text}",
        f"SignedHeaders={canonical.signed_names()}",
        f"Signature={signature}",
    )
    return ("authorization", f"{_ALGORITHM} {', '.join(fields)}"), *amz_headers


def _signing_key(key: AwsKey, scope: CredentialScope, day: str) -> bytes:
    derived = f"AWS4{key.secret_key}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return derived


def _canonical_path(path: str) -> str:
    """Resolve dot segments and percent-encode the sent path once more, as all services except S3 require."""
    resolved = posixpath.normpath(path) if path else "/"
    if resolved.startswith("//"):
        resolved = resolved[1:]
    if path.endswith("/") and resolved != "/":
        resolved += "/"
    return quote(resolved, safe="/" + _UNRESERVED)


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&") if part]
    encoded = [
        (quote(unquote(name), safe=_UNRESERVED), quote(unquote(value), safe=_UNRESERVED)) for name, _, value in pairs
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))
