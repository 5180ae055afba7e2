"""Selects the authenticator for a credential and an authentication scheme."""

from typing import Final

from intellirouter.core import AuthScheme, Clock, Secret, TaskOwner
from intellirouter.providers.auth.authenticator import Authenticator, Headers, SignableRequest
from intellirouter.providers.auth.aws import AwsAuthenticator
from intellirouter.providers.auth.google import GoogleTokenAuthenticator, PostForm

_KEY_HEADERS: Final = frozenset({"x-api-key", "x-goog-api-key", "api-key"})
_TOKEN_PREFIXES: Final = {"api-key": "eyJ", "x-goog-api-key": "ya29."}
"""Vendors that take API keys in a header of their own still take identity tokens, which start like this, as bearer."""


class StaticAuthenticator:
    """Sends the credential unchanged in one header."""

    def __init__(self, headers: Headers) -> None:
        self.static_headers: Headers | None = headers

    async def headers(self, _request: SignableRequest, /) -> Headers:
        return self.static_headers or ()

    def invalidate(self) -> None:
        """Does nothing: no state is derived from the credential."""


def build_authenticator(
    scheme: AuthScheme, secret: Secret | None, post_form: PostForm, tasks: TaskOwner, clock: Clock
) -> Authenticator:
    """Return the authenticator for `secret` under `scheme`.

    `post_form` and `tasks` are used to obtain and renew access tokens. Raises `UpstreamAuthFailed` when the scheme
    cannot use the secret.
    """
    if secret is None or scheme == "none":
        return StaticAuthenticator(())
    if scheme == "sigv4":
        key = AwsAuthenticator.parse(secret)
        return StaticAuthenticator(_bearer(secret)) if key is None else AwsAuthenticator(key, clock)
    if scheme == "gcp":
        account = GoogleTokenAuthenticator.parse(secret)
        if account is None:
            return StaticAuthenticator(_bearer(secret))
        return GoogleTokenAuthenticator(account, post_form, tasks, clock)
    if scheme in _KEY_HEADERS and not secret.reveal().startswith(_TOKEN_PREFIXES.get(scheme, "\n")):
        return StaticAuthenticator(((scheme, secret.reveal()),))
    return StaticAuthenticator(_bearer(secret))


def _bearer(secret: Secret) -> Headers:
    return (("authorization", f"Bearer {secret.reveal()}"),)
