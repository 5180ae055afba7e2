"""Restricts a model to the deployment and credential that have created what a request refers to. Pure."""

from functools import lru_cache
from typing import Final

from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Deployment, Pin, Reference, errors

_MAX_PINNED: Final = 256
_HINT: Final = "Configure that credential again, or send the request without what it refers to."


class Pinning:
    """One per generation. The same request is restricted to the same objects, because the transport knows them."""

    def __init__(self) -> None:
        self._restricted = lru_cache(maxsize=_MAX_PINNED)(_restricted)

    def apply(self, resolved: ResolvedModel, reference: Reference) -> ResolvedModel:
        """Return the model with the only deployment and credential that can serve the request.

        If another model is requested now, whose provider has not created it, the model is returned unchanged unless
        that is required. Raises `NoEligibleDeployment` if the creator is not available.
        """
        pin = reference.pin
        if (found := self._restricted(resolved, pin)) is not None:
            return found
        is_same_provider = any(each.provider == pin.provider for each in resolved.by_name.values())
        if not is_same_provider and not reference.is_required:
            return resolved
        raise errors.NoEligibleDeployment(
            f"The request refers to {reference.label}, which was created with a credential of the provider "
            f"'{pin.provider}'. The model '{resolved.model}' has no deployment with this credential.",
            code="creator_not_available",
            hint=_HINT,
        )


def _restricted(resolved: ResolvedModel, pin: Pin) -> ResolvedModel | None:
    members = [
        narrowed
        for each in (*resolved.pool, *resolved.fallbacks)
        if each.provider == pin.provider and (narrowed := _with_credential(each, pin.credential)) is not None
    ]
    if not members:
        return None
    pool = tuple([each for each in members if each.name == pin.deployment] or members)
    return structs.replace(
        resolved,
        pool=pool,
        fallbacks=(),
        fallback_causes={},
        by_name={each.name: each for each in pool},
        hedging=None,
        affinity=None,
        pin=f"only {' and '.join(each.name for each in pool)} can read what the request refers to",
    )


def _with_credential(deployment: Deployment, fingerprint: str) -> Deployment | None:
    """Return the deployment with this credential only; None if it does not have it."""
    if not deployment.credentials:
        return deployment if not fingerprint else None
    if [each.fingerprint for each in deployment.credentials] == [fingerprint]:
        return deployment
    kept = tuple([each for each in deployment.credentials if each.fingerprint == fingerprint])
    return structs.replace(deployment, credentials=kept[:1]) if kept else None
