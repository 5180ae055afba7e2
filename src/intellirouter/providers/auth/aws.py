"""AWS credentials: an access key signs each request, a Bedrock API key is sent as a bearer token."""

import asyncio
import re
from typing import Any, Final

import msgspec

from intellirouter.core import Clock, Secret, errors
from intellirouter.providers.auth.authenticator import Headers, SignableRequest
from intellirouter.providers.auth.sigv4 import AwsKey, CanonicalRequest, CredentialScope, sign

_HOST: Final = re.compile(r"(?:^|\.)(?P<service>[a-z0-9-]+?)(?:-fips)?\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d+)\.")
_SERVICES: Final = {"bedrock-runtime": "bedrock", "bedrock-agent-runtime": "bedrock"}
"""Maps a host name's service to the service name used in signatures, where the two differ."""
_ACCESS_KEY: Final = re.compile(r"[A-Z0-9]{16,128}")
_LARGE_BODY_BYTES: Final = 1024 * 1024
_NAMES: Final = (
    ("AccessKeyId", "SecretAccessKey", "SessionToken"),
    ("access_key_id", "secret_access_key", "session_token"),
    ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
)


class AwsAuthenticator:
    """Signs requests with one access key."""

    static_headers: Headers | None = None

    def __init__(self, key: AwsKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    @staticmethod
    def parse(secret: Secret) -> AwsKey | None:
        """Parse `ACCESS_KEY:SECRET[:SESSION_TOKEN]` or the JSON that the AWS CLI prints.

        Returns None for a Bedrock API key. Raises `UpstreamAuthFailed` for JSON without an access key.
        """
        text = secret.reveal()
        if text.startswith("{"):
            return _from_json(text)
        access_key, _, rest = text.partition(":")
        if not rest or not _ACCESS_KEY.fullmatch(access_key):
            return None
        secret_key, _, session_token = rest.partition(":")
        return AwsKey(access_key, secret_key, session_token)

    async def headers(self, request: SignableRequest) -> Headers:
        """Sign the request. Raises `UpstreamAuthFailed` when the region is not known."""
        signed_headers = {"host": request.host}
        if "content-type" in request.headers:
            signed_headers["content-type"] = request.headers["content-type"]
        canonical = CanonicalRequest(request.method, request.target, signed_headers, request.body)
        now_s, scope = self._clock.epoch_us() / 1_000_000, _credential_scope(request)
        if len(request.body) > _LARGE_BODY_BYTES:  # computing the digest takes some milliseconds for each megabyte
            return await asyncio.to_thread(sign, canonical, self._key, scope, now_s)
        return sign(canonical, self._key, scope, now_s)

    def invalidate(self) -> None:
        """Does nothing: signatures are not reused."""


def _from_json(text: str) -> AwsKey:
    try:
        members: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        members = None
    members = members.get("Credentials", members) if isinstance(members, dict) else None
    for names in _NAMES:
        values = [members.get(name) or "" for name in names] if isinstance(members, dict) else []
        if len(values) == 3 and all(isinstance(value, str) for value in values) and values[0] and values[1]:
            return AwsKey(*values)
    raise errors.UpstreamAuthFailed(
        "The AWS credential is a JSON document without an access key.",
        hint="It must contain AccessKeyId and SecretAccessKey, and SessionToken for temporary credentials.",
    )


def _credential_scope(request: SignableRequest) -> CredentialScope:
    found = _HOST.search(request.host)
    service = found["service"] if found else "bedrock"
    region = found["region"] if found else request.region
    if not region:
        raise errors.UpstreamAuthFailed(
            f"{request.deployment}: The request cannot be signed because the AWS region is not known.",
            hint="Set the provider's region, or use a base_url like https://bedrock-runtime.us-east-1.amazonaws.com.",
        )
    return CredentialScope(region, _SERVICES.get(service, service))
