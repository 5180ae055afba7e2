"""Which scheme presents a credential in which way."""

from typing import Final

from intellirouter.core import AuthScheme, Clock, Secret, TaskOwner
from intellirouter.providers.auth.aws import AwsPresenter
from intellirouter.providers.auth.signable import Headers, Presenter, Signable
from intellirouter.providers.auth.tokens import GooglePresenter, TokenPost

__all__ = ["Presenter", "Signable", "presenter"]

_KEY_HEADERS: Final = frozenset({"x-api-key", "x-goog-api-key", "api-key"})
_TOKEN_PREFIXES: Final = {"api-key": "eyJ", "x-goog-api-key": "ya29."}
"""Where a vendor takes keys in a header of its own, its identity tokens still go as a bearer token."""


class FixedPresenter:
    """The credential goes into one header as it is."""

    def __init__(self, headers: Headers) -> None:
        self.fixed: Headers | None = headers

    async def headers(self, _request: Signable, /) -> Headers:
        """Return what `fixed` says, whatever the request is."""
        return self.fixed or ()

    def refused(self) -> None:
        """Nothing is derived from it."""


def presenter(scheme: AuthScheme, secret: Secret | None, post: TokenPost, tasks: TaskOwner, clock: Clock) -> Presenter:
    """Return what presents `secret` the way `scheme` asks for. `post` and `tasks` are for tokens that are renewed."""
    if secret is None or scheme == "none":
        return FixedPresenter(())
    if scheme == "sigv4":
        key = AwsPresenter.parse(secret)
        return FixedPresenter(_bearer(secret)) if key is None else AwsPresenter(key, clock)
    if scheme == "gcp":
        account = GooglePresenter.parse(secret)
        return FixedPresenter(_bearer(secret)) if account is None else GooglePresenter(account, post, tasks, clock)
    if scheme in _KEY_HEADERS and not secret.reveal().startswith(_TOKEN_PREFIXES.get(scheme, "\n")):
        return FixedPresenter(((scheme, secret.reveal()),))
    return FixedPresenter(_bearer(secret))


def _bearer(secret: Secret) -> Headers:
    return (("authorization", f"Bearer {secret.reveal()}"),)
