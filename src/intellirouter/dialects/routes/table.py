"""Which route of an endpoint leads to which deployment."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from intellirouter.core import Call, Deployment, errors
from intellirouter.dialects.endpoint import Routes
from intellirouter.dialects.protocols import Route

R = TypeVar("R")


class RouteTable(Generic[R]):
    """A passthrough to upstreams of the client's own dialect, and a translation to each dialect."""

    def __init__(
        self,
        *,
        dialect: str,
        passthrough: R | None,
        translations: Mapping[str, R],
        reason: str,
        edited: R | None = None,
        operation: str | None = None,
        wrapped_mark: bytes = b"",
    ) -> None:
        """`reason`: why a deployment that no route leads to cannot serve the call, after its name.

        `edited`: the passthrough for edited calls; without one, these are translated.

        `operation`: the passthrough needs an upstream that offers it.

        `wrapped_mark`: a body with these bytes holds tokens of other vendors that were wrapped for the client. They
        mean nothing to the upstream and are taken out by translation. Empty: the endpoint's bodies hold none.
        """
        self._dialect = dialect
        self._passthrough = passthrough
        self._edited = edited
        self._reason = reason
        self._translations = dict(translations)
        self._operation = operation
        self._wrapped_mark = wrapped_mark

    def route(self, call: Call, deployment: Deployment) -> R:
        passthrough = self._passthrough_for(call, deployment)
        if passthrough is not None and (not self._wrapped_mark or self._wrapped_mark not in call.body):
            return passthrough
        translation = self._translation_for(deployment) or passthrough
        if translation is None:
            raise errors.UnsupportedFeature(f"{deployment.name} {self._reason}.")
        return translation

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:
        # Which of its routes a call takes depends on its body; whether there is one does not.
        if self._passthrough_for(call, deployment) is None and self._translation_for(deployment) is None:
            return self._reason
        return None

    def _passthrough_for(self, call: Call, deployment: Deployment) -> R | None:
        if self._dialect not in deployment.dialects:
            return None
        if self._operation is not None:
            offered = deployment.operations
            if offered is not None and self._operation not in offered:
                return None
        return self._edited if call.is_edited else self._passthrough

    def _translation_for(self, deployment: Deployment) -> R | None:
        """Return the translation to the client's own dialect, or to the best one that there is a translation to."""
        translations = self._translations
        if self._dialect in deployment.dialects and self._dialect in translations:
            return translations[self._dialect]
        for dialect in deployment.dialects:
            if dialect in translations:
                return translations[dialect]
        return None


class LocalFirst:
    """Requests of one kind are answered by the gateway itself, unless the deployment speaks the client's dialect."""

    def __init__(self, dialect: str, applies: Callable[[Call], bool], local: Route, routes: Routes[Route]) -> None:
        self._dialect = dialect
        self._applies = applies
        self._local = local
        self._routes = routes

    def route(self, call: Call, deployment: Deployment) -> Route:
        if self._dialect not in deployment.dialects and self._applies(call):
            return self._local
        return self._routes.route(call, deployment)

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:
        reason = self._routes.exclusion_reason(call, deployment)
        return None if reason is None or self._applies(call) else reason


class CountTable:
    """Counts of tokens: by an upstream that counts, otherwise by an estimate of the gateway."""

    def __init__(self, counting: Mapping[str, Route], estimate: Route) -> None:
        self._counting = dict(counting)
        self._estimate = estimate

    def route(self, call: Call, deployment: Deployment) -> Route:  # noqa: ARG002 - any deployment can be estimated
        if deployment.operations is None or "count_tokens" in deployment.operations:
            for dialect in deployment.dialects:
                if dialect in self._counting:
                    return self._counting[dialect]
        return self._estimate

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:  # noqa: ARG002
        return None
