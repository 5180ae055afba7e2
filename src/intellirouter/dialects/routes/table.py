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
        dialect: str,
        passthrough: R | None,
        translations: Mapping[str, R],
        *,
        edited: R | None = None,
        operation: str | None = None,
        wrapped_mark: bytes = b"",
    ) -> None:
        """`edited`: the passthrough for edited calls; without one, these are translated.

        `operation`: the passthrough needs an upstream that offers it.

        `wrapped_mark`: a body with these bytes holds tokens of other vendors that were wrapped for the client. They
        mean nothing to the upstream and are taken out by translation. Empty: the endpoint's bodies hold none.
        """
        self._dialect = dialect
        self._passthrough = passthrough
        self._edited = edited
        self._translations = dict(translations)
        self._operation = operation
        self._wrapped_mark = wrapped_mark

    def route(self, call: Call, deployment: Deployment) -> R:
        dialects = deployment.dialects
        passthrough = self._edited if call.is_edited else self._passthrough
        if self._dialect not in dialects or self._lacks_operation(deployment):
            passthrough = None
        if passthrough is not None and not (self._wrapped_mark and self._wrapped_mark in call.body):
            return passthrough
        if self._dialect in dialects and self._dialect in self._translations:
            return self._translations[self._dialect]
        for dialect in dialects:
            if dialect in self._translations:
                return self._translations[dialect]
        if passthrough is not None:
            return passthrough
        raise errors.UnsupportedFeature(
            f"{deployment.name} ({deployment.vendor}) does not serve {call.operation} requests of this kind."
        )

    def _lacks_operation(self, deployment: Deployment) -> bool:
        offered = deployment.operations
        return self._operation is not None and offered is not None and self._operation not in offered


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
