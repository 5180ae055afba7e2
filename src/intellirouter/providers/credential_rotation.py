"""Rotation over the credentials of each provider, with a cooldown for refused ones.

A credential that an upstream refuses (401, 402, 403, 429) cools down, and the others take its turns meanwhile. When all
of them are cooling down, the one whose cooldown ends first is used: a cooldown defers a credential but never disables
it. The state of credentials survives configuration reloads.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, Literal

from msgspec import Struct

from intellirouter.core import AuthScheme, Clock, CredentialChoice, Deployment, Secret, TaskOwner, rendezvous_order
from intellirouter.providers.auth import Authenticator, build_authenticator

REFUSAL_STATUSES: Final = frozenset({401, 402, 403, 429})
"""Statuses that may be caused by the credential. They put it into cooldown."""
ROTATION_STATUSES: Final = frozenset({401, 402, 429})
"""Statuses after which another credential may be tried. 403 is not one of them: the request may have caused it."""

_FIRST_COOLDOWN_S: Final = {401: 600.0, 402: 600.0, 403: 60.0, 429: 5.0}
_REASONS: Final = {401: "unauthorized", 402: "payment required", 403: "forbidden", 429: "rate limited"}
_MAX_COOLDOWN_S: Final = 600.0
_MIN_RETRY_AFTER_S: Final = 1.0
_MAX_RETRY_AFTER_S: Final = 86_400.0
_UNUSED_RETENTION_S: Final = 3600.0
_MAX_DOUBLINGS: Final = 8

ProviderPostForm = Callable[[str, str, bytes], Awaitable[tuple[int, bytes]]]
"""Takes the name of a provider, the URL and the body. Returns the status and the body of the response."""


class CredentialState(Struct, frozen=True, kw_only=True):
    """The state of one credential. Contains no part of the credential itself."""

    provider: str
    index: int
    """Position in the provider's list of credentials, from 0."""
    fingerprint: str
    """The first 8 hex digits of the credential's SHA-256 hash."""
    state: Literal["ready", "cooling_down"]
    reason: str | None
    """Why the upstream refused the credential last, or None if it has accepted it since."""
    cooldown_remaining_s: float
    consecutive_refusals: int
    uses: int


class Credential:
    """One credential of one provider. Only the event loop's thread writes to it."""

    __slots__ = ("authenticator", "consecutive_refusals", "cooldown_until_s", "fingerprint", "reason", "uses")

    def __init__(self, fingerprint: str, authenticator: Authenticator) -> None:
        self.fingerprint = fingerprint
        self.authenticator = authenticator
        self.reason: str | None = None
        self.consecutive_refusals = 0
        self.cooldown_until_s = 0.0
        self.uses = 0

    def start_cooldown(self, status: int, retry_after_s: float | None, now_s: float) -> None:
        """Start a cooldown: as long as `Retry-After` demands, otherwise longer with each consecutive refusal."""
        if retry_after_s is not None:
            cooldown_s = min(max(retry_after_s, _MIN_RETRY_AFTER_S), _MAX_RETRY_AFTER_S)
        else:
            doublings = min(self.consecutive_refusals, _MAX_DOUBLINGS)
            cooldown_s = min(_FIRST_COOLDOWN_S[status] * 2**doublings, _MAX_COOLDOWN_S)
        self.consecutive_refusals += 1
        self.reason = _REASONS[status]
        self.cooldown_until_s = now_s + cooldown_s
        if status == 401:
            self.authenticator.invalidate()

    def end_cooldown(self) -> None:
        self.consecutive_refusals = 0
        self.reason = None
        self.cooldown_until_s = 0.0


class CredentialRotation:
    """Round robin over the credentials of one provider."""

    __slots__ = ("_last", "credentials", "last_used_s")

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        self.credentials = credentials
        self.last_used_s = 0.0
        self._last = 0

    def pick(self, now_s: float) -> int:
        """Return the index of the next credential that is ready, or of the one whose cooldown ends first."""
        self.last_used_s = now_s
        if len(self.credentials) == 1:
            return 0
        index = self._next_ready(now_s)
        if index is None:
            index = min(range(len(self.credentials)), key=lambda each: self.credentials[each].cooldown_until_s)
        return index

    def pick_for(self, choice: CredentialChoice, now_s: float) -> int:
        """Return the index of the preferred credential, or else of the one that belongs to the key, if it is ready.

        Several gateways agree on the credential of a key. If one cools down, only its keys move to others.
        """
        if len(self.credentials) == 1:
            return self.pick(now_s)
        self.last_used_s = now_s
        ready = {
            each.fingerprint: index for index, each in enumerate(self.credentials) if each.cooldown_until_s <= now_s
        }
        if not ready:
            return self.pick(now_s)
        if choice.preferred in ready:
            return ready[choice.preferred]
        return ready[rendezvous_order(choice.key, ready)[0]]

    def record_response(self, index: int, status: int) -> int:
        """Record a response that is not a refusal. A success ends the credential's cooldown.

        Returns how many consecutive refusals it has ended.
        """
        credential = self.credentials[index]
        credential.uses += 1
        if credential.reason is None or status >= 400:
            return 0
        refusals = credential.consecutive_refusals
        credential.end_cooldown()
        return refusals

    def record_refusal(self, index: int, status: int, retry_after_s: float | None, now_s: float) -> Callable[[], None]:
        """Record that the upstream refused the credential, and start its cooldown.

        The returned function undoes it, unless the state of the credential has changed since.
        """
        credential = self.credentials[index]
        credential.uses += 1
        before = (credential.cooldown_until_s, credential.consecutive_refusals, credential.reason)
        credential.start_cooldown(status, retry_after_s, now_s)
        after = (credential.cooldown_until_s, credential.consecutive_refusals, credential.reason)

        def undo() -> None:
            if (credential.cooldown_until_s, credential.consecutive_refusals, credential.reason) == after:
                credential.cooldown_until_s, credential.consecutive_refusals, credential.reason = before

        return undo

    def refuse(self, index: int, status: int, *, now: Callable[[], float]) -> None:
        """Start the cooldown of a credential whose response, already recorded, turned out to be a refusal."""
        self.credentials[index].start_cooldown(status, None, now())

    def has_ready(self, now_s: float) -> bool:
        """Return whether at least one credential is not cooling down."""
        return any(each.cooldown_until_s <= now_s for each in self.credentials)

    def _next_ready(self, now_s: float) -> int | None:
        count = len(self.credentials)
        for step in range(1, count + 1):
            index = (self._last + step) % count
            if self.credentials[index].cooldown_until_s <= now_s:
                self._last = index
                return index
        return None

    def is_cooling_down(self, now_s: float) -> bool:
        """Return whether at least one credential is cooling down."""
        return any(each.cooldown_until_s > now_s for each in self.credentials)


class CredentialRegistry:
    """All credentials and their rotations. `now_s` is the event loop's time throughout."""

    def __init__(self, post_form: ProviderPostForm, clock: Clock) -> None:
        """`post_form` sends the requests that obtain access tokens."""
        self._post_form = post_form
        self._clock = clock
        self._tasks = TaskOwner("credentials")
        self._credentials: dict[tuple[str, AuthScheme, Secret | None], Credential] = {}
        self._rotations: dict[tuple[str, AuthScheme, tuple[Secret, ...]], CredentialRotation] = {}

    def rotation_of(self, deployment: Deployment) -> CredentialRotation:
        """Return the rotation shared by all deployments of this provider with these credentials.

        Raises `UpstreamAuthFailed` when the authentication scheme cannot use a credential.
        """
        key = (deployment.provider, deployment.auth, deployment.credentials)
        rotation = self._rotations.get(key)
        if rotation is None:
            secrets: tuple[Secret | None, ...] = deployment.credentials or (None,)
            credentials = tuple(self._credential(deployment, secret) for secret in secrets)
            rotation = self._rotations[key] = CredentialRotation(credentials)
        return rotation

    def can_rotate(self, deployment: Deployment, now_s: float) -> bool:
        """Return whether a request whose credential was refused can be repeated with another one."""
        rotation = self._rotations.get((deployment.provider, deployment.auth, deployment.credentials))
        return rotation is not None and len(rotation.credentials) > 1 and rotation.has_ready(now_s)

    def states(self, deployments: Iterable[Deployment], now_s: float) -> tuple[CredentialState, ...]:
        """Return the state of every credential of these deployments, each once."""
        found: dict[tuple[str, AuthScheme, Secret], CredentialState] = {}
        for deployment in deployments:
            for index, secret in enumerate(deployment.credentials):
                key = (deployment.provider, deployment.auth, secret)
                if key not in found:
                    found[key] = _state_of(deployment.provider, index, secret, self._credentials.get(key), now_s)
        return tuple(found.values())

    def forget_unused(self, now_s: float) -> None:
        """Drop rotations that have not been used for an hour and have no credential in cooldown."""
        self._rotations = {
            key: rotation
            for key, rotation in self._rotations.items()
            if rotation.is_cooling_down(now_s) or now_s - rotation.last_used_s < _UNUSED_RETENTION_S
        }
        in_use = {id(each) for rotation in self._rotations.values() for each in rotation.credentials}
        self._credentials = {key: each for key, each in self._credentials.items() if id(each) in in_use}

    async def stop(self) -> None:
        await self._tasks.stop()

    def _credential(self, deployment: Deployment, secret: Secret | None) -> Credential:
        key = (deployment.provider, deployment.auth, secret)
        credential = self._credentials.get(key)
        if credential is None:
            post_form = partial(self._post_form, deployment.provider)
            authenticator = build_authenticator(deployment.auth, secret, post_form, self._tasks, self._clock)
            credential = self._credentials[key] = Credential(_fingerprint(secret), authenticator)
        return credential


def _fingerprint(secret: Secret | None) -> str:
    return "" if secret is None else secret.fingerprint


def _state_of(
    provider: str, index: int, secret: Secret, credential: Credential | None, now_s: float
) -> CredentialState:
    """Return the state of a credential. `credential` is None when it has not been used yet."""
    remaining_s = 0.0 if credential is None else max(0.0, credential.cooldown_until_s - now_s)
    return CredentialState(
        provider=provider,
        index=index,
        fingerprint=_fingerprint(secret),
        state="cooling_down" if remaining_s else "ready",
        reason=None if credential is None else credential.reason,
        cooldown_remaining_s=round(remaining_s, 1),
        consecutive_refusals=0 if credential is None else credential.consecutive_refusals,
        uses=0 if credential is None else credential.uses,
    )
