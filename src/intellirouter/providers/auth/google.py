"""Google credentials: exchanged for access tokens, which are cached and renewed before they expire.

At most one exchange runs per credential, in a task that belongs to the pool: canceling a request that waits for the
token does not cancel the exchange for other requests. The protocol is documented at
https://developers.google.com/identity/protocols/oauth2/service-account.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, Secret, TaskOwner, errors
from intellirouter.providers.auth.authenticator import Headers, SignableRequest
from intellirouter.providers.auth.jwt_assertion import signed_assertion

PostForm = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""Posts a URL-encoded form to a URL and returns the status and the body of the response. Raises `UpstreamError`."""

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - a URL
_RENEW_BEFORE_S: Final = 300.0
_MIN_REMAINING_S: Final = 10.0
_DEFAULT_LIFETIME_S: Final = 3600.0
_RETRY_S: Final = 1.0
"""Minimum time between two exchanges while no usable token exists."""
_EARLY_RENEWAL_RETRY_S: Final = 15.0
"""Minimum time between two exchanges while the current token is still usable."""

logger = logging.getLogger(__name__)


class GoogleAccount(Struct, frozen=True, kw_only=True):
    """A service account key or a user's refresh token. Its repr does not show any part of it."""

    type: str
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    token_uri: str = _TOKEN_URI
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    quota_project_id: str = ""

    def __repr__(self) -> str:
        return "GoogleAccount(***)"

    def token_request_form(self, now_s: float) -> bytes:
        """Return the body of the token request."""
        if self.type == "authorized_user":
            fields = {
                "grant_type": "refresh_token",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "refresh_token": self.refresh_token,
            }
        else:
            issued = int(now_s)
            claims = {"iss": self.client_email, "scope": _SCOPE, "aud": self.token_uri, "iat": issued}
            assertion = signed_assertion({**claims, "exp": issued + 3600}, self.private_key, self.private_key_id)
            fields = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        return urlencode(fields).encode()


class _Token(Struct):
    access_token: str
    expires_in: float = _DEFAULT_LIFETIME_S


class GoogleTokenAuthenticator:
    """Holds and renews the access token of one credential."""

    static_headers: Headers | None = None

    def __init__(self, account: GoogleAccount, post_form: PostForm, tasks: TaskOwner, clock: Clock) -> None:
        self._account = account
        self._post_form = post_form
        self._tasks = tasks
        self._clock = clock
        self._headers: Headers = ()
        self._expires_s = 0.0
        self._not_before_s = 0.0
        self._failure: errors.UpstreamError | None = None
        self._renewal: asyncio.Task[None] | None = None

    @staticmethod
    def parse(secret: Secret) -> GoogleAccount | None:
        """Parse the JSON of a key file. Returns None for a plain access token. Raises `UpstreamAuthFailed`."""
        text = secret.reveal()
        if not text.startswith("{"):
            return None
        try:
            account = msgspec.json.decode(text, type=GoogleAccount)
        except msgspec.DecodeError:
            account = None
        if account is not None and _is_complete(account):
            return account
        raise errors.UpstreamAuthFailed(
            "The Google credential is a JSON document, but not a service account key or a user credential.",
            hint="Use the key file of a service account. It contains type, client_email and private_key.",
        )

    async def headers(self, request: SignableRequest) -> Headers:
        """Return the header with the current token. Waits for a token when there is no usable one."""
        remaining_s = self._expires_s - self._clock.monotonic_s()
        if remaining_s < _RENEW_BEFORE_S:
            renewal = self._renew(is_needed=remaining_s < _MIN_REMAINING_S)
            if remaining_s < _MIN_REMAINING_S:
                if renewal is not None:
                    await asyncio.wait((renewal,))
                self._raise_if_unusable(request.deployment)
        return self._headers

    def _raise_if_unusable(self, deployment: str) -> None:
        failure = self._failure
        if failure is not None:
            raise failure.__class__(f"{deployment}: {failure.message}", hint=failure.hint)
        if self._expires_s <= self._clock.monotonic_s():  # the task was stopped
            raise errors.UpstreamConnectFailed(
                f"{deployment}: No access token could be obtained because the gateway is stopping."
            )

    def invalidate(self) -> None:
        """Obtain a new token before the next request, unless the current one has just been obtained."""
        if self._clock.monotonic_s() >= self._not_before_s:
            self._expires_s = 0.0

    def _renew(self, *, is_needed: bool) -> asyncio.Task[None] | None:
        """Start a renewal and return its task, unless one is running or one failed a moment ago."""
        if self._renewal is not None:
            return self._renewal
        if self._clock.monotonic_s() < self._not_before_s and (self._failure is not None or not is_needed):
            return None
        self._renewal = self._tasks.start(self._renew_token(), "google-token")
        return self._renewal

    async def _renew_token(self) -> None:
        try:
            token = await self._request_token()
        except errors.UpstreamError as error:
            now_s = self._clock.monotonic_s()
            is_usable = self._expires_s - now_s > _MIN_REMAINING_S
            self._failure = error
            self._not_before_s = now_s + (_EARLY_RENEWAL_RETRY_S if is_usable else _RETRY_S)
            logger.warning("A Google access token could not be renewed. %s", error.full_message)
        else:
            now_s = self._clock.monotonic_s()
            bearer = ("authorization", f"Bearer {token.access_token}")
            project = self._account.quota_project_id
            self._headers = (bearer, ("x-goog-user-project", project)) if project else (bearer,)
            self._expires_s = now_s + token.expires_in
            self._not_before_s = now_s + _RETRY_S
            self._failure = None
        finally:
            self._renewal = None

    async def _request_token(self) -> _Token:
        account = self._account
        status, body = await self._post_form(
            account.token_uri, account.token_request_form(self._clock.epoch_us() / 1_000_000)
        )
        if status != 200:
            raise errors.UpstreamAuthFailed(
                f"The Google token endpoint responded with status {status}{_oauth_error(body)}.",
                hint="Check that the account and its key still exist and that this machine's clock is correct.",
            )
        try:
            token = msgspec.json.decode(body, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            token = None
        if token is None or not token.access_token.isascii() or not token.access_token.isprintable():
            raise errors.UpstreamMalformed("The Google token endpoint's response does not contain an access token.")
        return token


def _is_complete(account: GoogleAccount) -> bool:
    if account.type == "service_account":
        has_parts = bool(account.client_email and account.private_key)
    else:
        has_parts = account.type == "authorized_user" and bool(account.client_id and account.refresh_token)
    url = urlsplit(account.token_uri)
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in {"localhost", "127.0.0.1", "::1"})
    return has_parts and is_safe


def _oauth_error(body: bytes) -> str:
    """Return the OAuth error code only: the rest of the response may repeat the credential."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    code = document.get("error") if isinstance(document, dict) else None
    return f" ({code})" if isinstance(code, str) and code.isidentifier() and len(code) < 64 else ""
