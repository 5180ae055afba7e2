"""Validate AWS signatures (version 4) of the one account that exists."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote

from intellirouter.testing.wires.bedrock.reply import BedrockError
from intellirouter.testing.wires.shared.request import WireRequest

ACCESS_KEY: Final = "AKIAMOCKVENDOR000000"
SECRET_KEY: Final = "mock-vendor-secret-key"  # noqa: S105 - public, and grants access to nothing
MAX_SKEW_S: Final = 300
_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_INCOMPLETE: Final = (
    "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
    "Authorization header requires 'SignedHeaders' parameter."
)


def check_signature(request: WireRequest) -> None:
    """Check that the request was signed with `SECRET_KEY` within the last minutes. Raises `BedrockError` (403)."""
    found = _HEADER.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise BedrockError(_INCOMPLETE, status=403, name="IncompleteSignatureException")
    if found["key"] != ACCESS_KEY:
        raise BedrockError(
            "The security token included in the request is invalid.", status=403, name="UnrecognizedClientException"
        )
    signed = found["signed"].split(";")
    if "host" not in signed or signed != sorted(signed) or found["service"] != "bedrock":
        raise _mismatch("The credential should be scoped to service 'bedrock', with 'host' among sorted SignedHeaders.")
    stamp = request.headers.get("x-amz-date", "")
    _check_time(stamp, found["date"], request.created_s)
    scope = f"{found['date']}/{found['region']}/{found['service']}/aws4_request"
    key = b"AWS4" + SECRET_KEY.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    canonical = hashlib.sha256(_canonical(request, signed).encode()).hexdigest()
    expected = hmac.new(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical}".encode(), "sha256").hexdigest()
    if not hmac.compare_digest(expected, found["signature"]):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )


def _mismatch(message: str) -> BedrockError:
    return BedrockError(message, status=403, name="InvalidSignatureException")


def _check_time(stamp: str, date: str, now_s: int) -> None:
    try:
        signed_s = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _mismatch("Date in X-Amz-Date is missing or not in the format YYYYMMDD'T'HHMMSS'Z'.") from None
    if not stamp.startswith(date):
        raise _mismatch(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {stamp}.")
    if abs(signed_s - now_s) > MAX_SKEW_S:
        raise _mismatch(f"Signature expired: {stamp} is more than {MAX_SKEW_S} seconds away from the server's clock.")


def _canonical(request: WireRequest, signed: Sequence[str]) -> str:
    """Return the canonical request. The path is encoded a second time, as for all services except S3."""
    path = quote(request.path, safe="/-_.~")
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(parse_qsl(request.query_string, keep_blank_values=True))
    )
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    body = hashlib.sha256(request.body).hexdigest()
    return "\n".join([request.method, path, query, headers, ";".join(signed), body])
