"""AWS Signature Version 4, header form. Pure; the steps and their names are those of AWS's documentation:
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
_SPACES: Final = re.compile(r" +")


class AwsKey(Struct, frozen=True):
    """An access key. Its repr never shows the secret parts."""

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return "AwsKey(***)"


class Scope(Struct, frozen=True):
    """What a signature is good for, beside its day."""

    region: str
    service: str


class Canonical(Struct, frozen=True):
    """The parts of a request that are signed."""

    method: str
    target: str
    """Path and query as they go on the wire."""
    headers: Mapping[str, str]
    """Those to sign, `host` among them; names in any case."""
    body: bytes

    def text(self) -> str:
        path, _, query = self.target.partition("?")
        lines = [f"{name}:{value}" for name, value in self._headers()]
        payload = hashlib.sha256(self.body).hexdigest()
        return "\n".join(
            (self.method, _canonical_path(path), _canonical_query(query), *lines, "", self.signed_names(), payload)
        )

    def signed_names(self) -> str:
        return ";".join(name for name, _ in self._headers())

    def _headers(self) -> list[tuple[str, str]]:
        return sorted((name.lower(), _SPACES.sub(" ", value.strip())) for name, value in self.headers.items())


def sign(request: Canonical, key: AwsKey, scope: Scope, at_s: float) -> tuple[tuple[str, str], ...]:
    """Return the headers to add: date, session token where there is one, and the signature over them as well."""
    stamp = datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [("x-amz-date", stamp)]
    if key.session_token:
        added.append(("x-amz-security-token", key.session_token))
    whole = Canonical(request.method, request.target, {**request.headers, **dict(added)}, request.body)
    day = stamp[:8]
    where = f"{day}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(whole.text().encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{stamp}\n{where}\n{digest}"
    signature = hmac.new(_signing_key(key, scope, day), to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={key.access_key}/{where}, SignedHeaders={whole.signed_names()}, Signature={signature}"
    return ("authorization", f"{_ALGORITHM} {credential}"), *added


def _signing_key(key: AwsKey, scope: Scope, day: str) -> bytes:
    made = f"AWS4{key.secret_key}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    return made


def _canonical_path(path: str) -> str:
    """Encode the wire's path once more, dot segments resolved: every service but S3 does so."""
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
