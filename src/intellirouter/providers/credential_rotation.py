"""Whose turn it is: the credentials of each provider, and how each of them is doing.

A credential that was refused rests: others take its turns meanwhile. Where all of them rest, the one whose rest ends
first is used: resting puts credentials last, never out. What is known of a credential outlives reloads.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from intellirouter.core import AuthScheme, Clock, Deployment, Secret, TaskOwner
from intellirouter.providers.auth import Presenter, TokenPost, presenter

REFUSALS: Final = frozenset({401, 402, 403, 429})
"""Answers that may be due to the credential: it rests."""
_MOVES_ON: Final = frozenset({401, 402, 429})
"""Answers on which the same attempt asks again with another credential. 403 may be about the request itself."""

_FIRST_REST_S: Final = {401: 600.0, 402: 600.0, 403: 60.0, 429: 5.0}
_REASONS: Final = {401: "unauthorized", 402: "payment required", 403: "forbidden", 429: "rate limited"}
_MAX_REST_S: Final = 600.0
_MAX_ANNOUNCED_REST_S: Final = 86_400.0
_KEPT_UNUSED_S: Final = 3600.0
_MAX_DOUBLINGS: Final = 8


class CredentialState(Struct, frozen=True, kw_only=True):
    """How one credential is doing, without any part of it."""

    provider: str
    index: int
    """Its place in the provider's list, from 0."""
    fingerprint: str
    """The first 8 hex digits of its SHA-256."""
    state: Literal["ready", "resting"]
    reason: str | None
    """Why it was refused last; None when it was accepted since."""
    rests_for_s: float
    refusals_in_a_row: int
    uses: int


class Credential:
    """One credential of one provider. Written on the event loop only."""

    __slots__ = ("fingerprint", "presenter", "reason", "refusals_in_a_row", "rests_until_s", "uses")

    def __init__(self, fingerprint: str, how: Presenter) -> None:
        self.fingerprint = fingerprint
        self.presenter = how
        self.reason: str | None = None
        self.refusals_in_a_row = 0
        self.rests_until_s = 0.0
        self.uses = 0

    def refuse(self, status: int, retry_after_s: float | None, now_s: float) -> None:
        """Let it rest: as long as the upstream says, otherwise longer with each refusal in a row."""
        if retry_after_s is not None:
            rest_s = min(max(retry_after_s, 1.0), _MAX_ANNOUNCED_REST_S)
        else:
            doublings = min(self.refusals_in_a_row, _MAX_DOUBLINGS)
            rest_s = min(_FIRST_REST_S[status] * 2**doublings, _MAX_REST_S)
        self.refusals_in_a_row += 1
        self.reason = _REASONS[status]
        self.rests_until_s = now_s + rest_s
        if status == 401:
            self.presenter.refused()

    def accept(self) -> None:
        self.refusals_in_a_row = 0
        self.reason = None
        self.rests_until_s = 0.0


class Ring:
    """The credentials of one provider, in turns."""

    __slots__ = ("_last", "credentials", "used_s")

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        self.credentials = credentials
        self.used_s = 0.0
        self._last = 0

    def pick(self, now_s: float) -> int:
        """Return the index of the next credential that does not rest, or of the one whose rest ends first."""
        self.used_s = now_s
        if len(self.credentials) == 1:
            return 0
        index = self._next(now_s)
        if index is None:
            index = min(range(len(self.credentials)), key=lambda each: self.credentials[each].rests_until_s)
        return index

    def accept(self, index: int, status: int) -> None:
        """Note what the upstream answered; a success ends what was held against the credential."""
        credential = self.credentials[index]
        credential.uses += 1
        if credential.reason is not None and status < 400:
            credential.accept()

    def refuse(self, index: int, status: int, retry_after_s: float | None, now_s: float) -> int | None:
        """Let the credential rest; return the index of the one to ask instead, None where there is none."""
        credential = self.credentials[index]
        credential.uses += 1
        credential.refuse(status, retry_after_s, now_s)
        return self._next(now_s) if status in _MOVES_ON else None

    def _next(self, now_s: float) -> int | None:
        count = len(self.credentials)
        for step in range(1, count + 1):
            index = (self._last + step) % count
            if self.credentials[index].rests_until_s <= now_s:
                self._last = index
                return index
        return None

    def is_resting(self, now_s: float) -> bool:
        return any(each.rests_until_s > now_s for each in self.credentials)


class CredentialBook:
    """All rings and credentials. `now_s` is the event loop's time throughout."""

    def __init__(self, post: TokenPost, clock: Clock) -> None:
        """`post` sends the requests with which tokens are had."""
        self._post = post
        self._clock = clock
        self._tasks = TaskOwner("credentials")
        self._credentials: dict[tuple[str, AuthScheme, Secret | None], Credential] = {}
        self._rings: dict[tuple[str, AuthScheme, tuple[Secret, ...]], Ring] = {}

    def ring(self, deployment: Deployment) -> Ring:
        """Return the ring that all deployments of this provider with these credentials share.

        Raises `UpstreamAuthFailed` for a credential that its scheme cannot use.
        """
        key = (deployment.provider, deployment.auth, deployment.credentials)
        ring = self._rings.get(key)
        if ring is None:
            secrets: tuple[Secret | None, ...] = deployment.credentials or (None,)
            ring = self._rings[key] = Ring(tuple(self._credential(deployment, secret) for secret in secrets))
        return ring

    def states(self, deployments: Iterable[Deployment], now_s: float) -> tuple[CredentialState, ...]:
        """Return how the credentials of these deployments are doing, each once."""
        found: dict[tuple[str, AuthScheme, Secret], CredentialState] = {}
        for deployment in deployments:
            for index, secret in enumerate(deployment.credentials):
                key = (deployment.provider, deployment.auth, secret)
                if key not in found:
                    found[key] = _state(deployment.provider, index, secret, self._credentials.get(key), now_s)
        return tuple(found.values())

    def forget_unused(self, now_s: float) -> None:
        """Drop what was neither used lately nor has to rest."""
        self._rings = {
            key: ring
            for key, ring in self._rings.items()
            if ring.is_resting(now_s) or now_s - ring.used_s < _KEPT_UNUSED_S
        }
        kept = {id(each) for ring in self._rings.values() for each in ring.credentials}
        self._credentials = {key: each for key, each in self._credentials.items() if id(each) in kept}

    async def stop(self) -> None:
        await self._tasks.stop()

    def _credential(self, deployment: Deployment, secret: Secret | None) -> Credential:
        key = (deployment.provider, deployment.auth, secret)
        known = self._credentials.get(key)
        if known is None:
            how = presenter(deployment.auth, secret, self._post, self._tasks, self._clock)
            known = self._credentials[key] = Credential(_fingerprint(secret), how)
        return known


def _fingerprint(secret: Secret | None) -> str:
    return "" if secret is None else hashlib.sha256(secret.reveal().encode()).hexdigest()[:8]


def _state(provider: str, index: int, secret: Secret, known: Credential | None, now_s: float) -> CredentialState:
    rests_for_s = 0.0 if known is None else max(0.0, known.rests_until_s - now_s)
    return CredentialState(
        provider=provider,
        index=index,
        fingerprint=_fingerprint(secret),
        state="resting" if rests_for_s else "ready",
        reason=None if known is None else known.reason,
        rests_for_s=round(rests_for_s, 1),
        refusals_in_a_row=0 if known is None else known.refusals_in_a_row,
        uses=0 if known is None else known.uses,
    )
