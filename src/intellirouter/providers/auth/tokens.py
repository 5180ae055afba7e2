"""Google credentials: exchanged for access tokens, which are kept and renewed before they expire.

One exchange at a time per credential, in a task that belongs to the pool: a caller that is cancelled while it waits
stops nothing for the others. Documented at https://developers.google.com/identity/protocols/oauth2/service-account.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, Secret, TaskOwner, errors
from intellirouter.providers.auth.assertion import signed_assertion
from intellirouter.providers.auth.signable import Headers, Signable

TokenPost = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""Posts a form to a URL and returns status and body. Raises `UpstreamError`."""

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_RENEW_BEFORE_S: Final = 300.0
_UNUSABLE_BEFORE_S: Final = 10.0
_DEFAULT_LIFE_S: Final = 3600.0
_RETRY_AFTER_S: Final = 1.0
_RENEW_RETRY_AFTER_S: Final = 15.0

logger = logging.getLogger(__name__)


class GoogleAccount(Struct, frozen=True, kw_only=True):
    """A service account's key, or a user's refresh token. Its repr never shows them."""

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

    def form(self, now_s: float) -> bytes:
        """Return the token request's body."""
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
    expires_in: float = _DEFAULT_LIFE_S


class GooglePresenter:
    """Holds the current access token of one credential."""

    fixed: Headers | None = None

    def __init__(self, account: GoogleAccount, post: TokenPost, tasks: TaskOwner, clock: Clock) -> None:
        self._account = account
        self._post = post
        self._tasks = tasks
        self._clock = clock
        self._headers: Headers = ()
        self._expires_s = 0.0
        self._not_before_s = 0.0
        self._failure: errors.UpstreamError | None = None
        self._renewal: asyncio.Task[None] | None = None

    @staticmethod
    def parse(secret: Secret) -> GoogleAccount | None:
        """Read a key file's JSON; None for what is an access token already. Raises `UpstreamAuthFailed`."""
        text = secret.reveal()
        if not text.startswith("{"):
            return None
        try:
            account = msgspec.json.decode(text, type=GoogleAccount)
        except msgspec.DecodeError:
            account = None
        if account is not None and _is_whole(account):
            return account
        raise errors.UpstreamAuthFailed(
            "The Google credential is JSON, but neither a service account's key nor a user's.",
            hint="Use the key file of a service account: it has type, client_email and private_key.",
        )

    async def headers(self, request: Signable) -> Headers:
        """Return the current token's header; wait for one where there is none."""
        left_s = self._expires_s - self._clock.monotonic_s()
        if left_s < _RENEW_BEFORE_S:
            renewal = self._renew(is_needed=left_s < _UNUSABLE_BEFORE_S)
            if left_s < _UNUSABLE_BEFORE_S:
                if renewal is not None:
                    await asyncio.wait((renewal,))
                self._check(request.deployment)
        return self._headers

    def _check(self, deployment: str) -> None:
        failure = self._failure
        if failure is not None:
            raise failure.__class__(f"{deployment}: {failure.message}", hint=failure.hint)
        if self._expires_s <= self._clock.monotonic_s():  # the task was stopped
            raise errors.UpstreamConnectFailed(f"{deployment}: no access token, the gateway is stopping.")

    def refused(self) -> None:
        """Fetch another token before the next request, but not for every single refusal."""
        if self._clock.monotonic_s() >= self._not_before_s:
            self._expires_s = 0.0

    def _renew(self, *, is_needed: bool) -> asyncio.Task[None] | None:
        """Begin to renew, unless it is under way or failed a moment ago."""
        if self._renewal is not None:
            return self._renewal
        if self._clock.monotonic_s() < self._not_before_s and (self._failure is not None or not is_needed):
            return None
        self._renewal = self._tasks.start(self._fetch(), "google-token")
        return self._renewal

    async def _fetch(self) -> None:
        try:
            token = await self._exchange()
        except errors.UpstreamError as error:
            now_s = self._clock.monotonic_s()
            is_usable = self._expires_s - now_s > _UNUSABLE_BEFORE_S
            self._failure = error
            self._not_before_s = now_s + (_RENEW_RETRY_AFTER_S if is_usable else _RETRY_AFTER_S)
            logger.warning("a Google access token could not be renewed: %s", error.message)
        else:
            now_s = self._clock.monotonic_s()
            bearer = ("authorization", f"Bearer {token.access_token}")
            project = self._account.quota_project_id
            self._headers = (bearer, ("x-goog-user-project", project)) if project else (bearer,)
            self._expires_s = now_s + token.expires_in
            self._not_before_s = now_s + _RETRY_AFTER_S
            self._failure = None
        finally:
            self._renewal = None

    async def _exchange(self) -> _Token:
        account = self._account
        status, body = await self._post(account.token_uri, account.form(self._clock.epoch_us() / 1_000_000))
        if status != 200:
            raise errors.UpstreamAuthFailed(
                f"the token endpoint answered {status}{_reason(body)}.",
                hint="Check that the account and its key still exist, and this machine's clock.",
            )
        try:
            token = msgspec.json.decode(body, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            token = None
        if token is None or not token.access_token.isascii() or not token.access_token.isprintable():
            raise errors.UpstreamMalformed("the token endpoint's answer holds no access token.")
        return token


def _is_whole(account: GoogleAccount) -> bool:
    if account.type == "service_account":
        has_parts = bool(account.client_email and account.private_key)
    else:
        has_parts = account.type == "authorized_user" and bool(account.client_id and account.refresh_token)
    url = urlsplit(account.token_uri)
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in {"localhost", "127.0.0.1", "::1"})
    return has_parts and is_safe


def _reason(body: bytes) -> str:
    """Return OAuth's error code and nothing else: the answer may repeat what was sent."""
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    code = said.get("error") if isinstance(said, dict) else None
    return f" ({code})" if isinstance(code, str) and code.isidentifier() and len(code) < 64 else ""
