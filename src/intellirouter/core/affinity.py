"""Affinity: requests of one session stay where the provider's prompt cache knows the beginning of their prompts."""

from typing import Final, Literal

from msgspec import Struct

AffinityKind = Literal["session", "prompt"]
"""What makes requests belong together: a session that the client names, or the same beginning of their prompts."""
AffinityOutcome = Literal["new", "hit", "broken"]
"""`hit`: the same deployment and credential as last time. `broken`: another one. `new`: it was not known before."""


class AffinityPolicy(Struct, frozen=True, kw_only=True):
    """Which requests of a model stay at a deployment, and for how long."""

    recognizes_prompts: bool = True
    """False: only sessions that the client names."""
    ttl_s: float = 300.0
    """How long after a request the next one must follow. Providers keep prompts for about five minutes."""
    max_extra_load: float = 1.0
    """How much more load or latency than the best deployment is accepted in order to stay: 1 means twice as much."""


DEFAULT_AFFINITY: Final = AffinityPolicy()


class AffinityUse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What affinity did for a request, for its record."""

    kind: AffinityKind
    outcome: AffinityOutcome
    deployment: str = ""
    """The one that has served the session last; empty if it is new."""
    age_s: float = 0.0
    """How long ago that was, in seconds."""
    cause: str = ""
    """Why another deployment or credential has served the request."""
    lost_microusd: int = 0
    """About how much the input that had to be processed again has cost more, in micro-USD; 0 if unknown."""


class CredentialChoice(Struct, frozen=True):
    """Which credential a request should use, if its deployment has several."""

    key: bytes
    """Requests with the same key use the same credential while it is usable."""
    preferred: str = ""
    """The fingerprint of the credential that is used if it is usable. Otherwise the key decides."""
