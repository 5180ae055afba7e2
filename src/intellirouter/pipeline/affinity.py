"""Affinity in the pipeline: finds out to which session a request belongs, and remembers where it was served.

Several gateways agree on the key of a session, so that they place new sessions alike.
"""

import hashlib
from functools import partial
from typing import Final

from msgspec import Struct, structs

from intellirouter.core import (
    AffinityPolicy,
    AffinityUse,
    Attempt,
    CredentialChoice,
    Deployment,
    OffLoop,
    UpstreamRequest,
    Usage,
)
from intellirouter.dialects import PromptStart, prompt_start_of
from intellirouter.pipeline.exchange import Decoded, Exchange, SessionPlace
from intellirouter.routing import Affinity, Placement, Placements

_KEY_BYTES: Final = 16


class SessionPlaces(Struct, frozen=True):
    """Finds and remembers the places of sessions. Its state is shared by all generations."""

    placements: Placements
    off_loop: OffLoop

    async def find_large(self, exchange: Exchange, request: Decoded, now_s: float) -> None:
        """Do the same as `find` for a large request, which is read off the event loop."""
        policy = request.resolved.affinity
        if policy is None:
            return
        if exchange.session:
            self._place(exchange, request, PromptStart(exchange.session), policy, now_s)
            return
        call = request.call
        read = partial(prompt_start_of, call, recognizes_prompts=policy.recognizes_prompts)
        if (start := await self.off_loop.run(len(call.body), read)) is not None:
            self._place(exchange, request, start, policy, now_s)

    def find(self, exchange: Exchange, request: Decoded, now_s: float) -> None:
        """Note in the exchange to which session the request belongs, if it belongs to one."""
        policy = request.resolved.affinity
        if policy is None:
            return
        if exchange.session:
            start: PromptStart | None = PromptStart(exchange.session)
        else:
            start = prompt_start_of(request.call, recognizes_prompts=policy.recognizes_prompts)
        if start is not None:
            self._place(exchange, request, start, policy, now_s)

    def _place(
        self, exchange: Exchange, request: Decoded, start: PromptStart, policy: AffinityPolicy, now_s: float
    ) -> None:
        key = _key_of(exchange.identity.tenant, request.resolved.model, start)
        home = self.placements.find(key, now_s, policy.ttl_s)
        affinity = Affinity(
            kind="session" if start.session else "prompt",
            key=key,
            home="" if home is None else home.deployment,
            age_s=0.0 if home is None else now_s - home.at_s,
            cached_tokens=0 if home is None else min(home.cached_tokens, request.call.estimated_input_tokens()),
            max_extra_load=policy.max_extra_load,
        )
        exchange.place = SessionPlace(affinity, home)

    def note(self, exchange: Exchange, place: SessionPlace, now_s: float) -> AffinityUse | None:
        """Remember who has served the session. Returns what affinity did; None if it was not served."""
        served = next((each for each in reversed(exchange.attempts) if _has_served(each)), None)
        if served is None:
            return None
        use = _use_of(exchange, place, served)
        home = place.home
        same = home.credential if home is not None and home.deployment == served.deployment else ""
        placement = Placement(
            deployment=served.deployment,
            at_s=now_s,
            credential=served.credential or same,
            cached_tokens=_cached_tokens(exchange.usage, is_hit=use.outcome == "hit"),
        )
        self.placements.note(place.affinity.key, placement)
        return use


def with_credential_choice(request: UpstreamRequest, place: SessionPlace, deployment: Deployment) -> UpstreamRequest:
    """Return the request with the credential that the session used last at this deployment, if it is usable."""
    home = place.home
    preferred = home.credential if home is not None and home.deployment == deployment.name else ""
    return structs.replace(request, credential=CredentialChoice(place.affinity.key, preferred))


def _key_of(tenant: str, model: str, start: PromptStart) -> bytes:
    """Return the key of a session. Sessions of different tenants or models have different keys."""
    names = f"{tenant}\0{model}\0{start.session}".encode(errors="replace")
    return hashlib.blake2b(b"\0".join([names, *start.start]), digest_size=_KEY_BYTES).digest()


def _has_served(attempt: Attempt) -> bool:
    """Return whether the provider has processed the prompt. Clients often stop a stream that they do not need."""
    if attempt.outcome == "client_disconnected":
        return attempt.first_byte_ms is not None
    return attempt.outcome == "ok"


def _use_of(exchange: Exchange, place: SessionPlace, served: Attempt) -> AffinityUse:
    affinity, home, decision = place.affinity, place.home, exchange.decision
    if home is None:
        return AffinityUse(kind=affinity.kind, outcome="new")
    cause, lost = "", 0
    if home.deployment != served.deployment:
        failed = next((each.outcome for each in exchange.attempts if each.deployment == home.deployment), "")
        cause = "" if decision is None else decision.affinity_broken
        lost = 0 if decision is None else decision.affinity_lost_microusd
        cause = cause or failed or "another deployment had to serve the request"
    elif home.credential and served.credential and home.credential != served.credential:
        cause = "its credential was not usable"
    return AffinityUse(
        kind=affinity.kind,
        outcome="broken" if cause else "hit",
        deployment=home.deployment,
        age_s=round(affinity.age_s, 1),
        cause=cause,
        lost_microusd=lost,
    )


def _cached_tokens(usage: Usage | None, *, is_hit: bool) -> int:
    """Return how much of the next prompt the provider has probably cached: this prompt, unless it has cached nothing.

    Most providers do not report what they write to their caches, so the first request of a session tells nothing.
    """
    if usage is None:
        return 0
    is_cached = usage.cache_read_tokens or usage.total_cache_write_tokens or usage.is_estimated or not is_hit
    return usage.total_input_tokens if is_cached else 0
