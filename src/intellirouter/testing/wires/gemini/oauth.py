"""Google's token endpoint for service accounts."""

import base64
import binascii
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import parse_qs

from intellirouter.core import new_id
from intellirouter.fake.reply import Reply, json_object
from intellirouter.testing.wires.gemini.reply import GoogleError, json_reply
from intellirouter.testing.wires.shared.request import WireRequest

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_S: Final = 3600
MAX_TOKENS: Final = 1000
PREFIX: Final = "ya29.mock-"
_CLAIMS: Final = ("iss", "scope", "aud", "exp", "iat")


class Tokens:
    """The access tokens that were issued."""

    def __init__(self) -> None:
        self._expires_s: OrderedDict[str, int] = OrderedDict()

    def clear(self) -> None:
        self._expires_s.clear()

    def answer(self, request: WireRequest) -> Reply:
        """Answer `POST /token`. Only the claims of the assertion are validated: the key of its signature is unknown."""
        if request.method != "POST":
            raise GoogleError(405, "Method Not Allowed")
        form = parse_qs(request.body.decode(errors="replace"))
        if form.get("grant_type") != [GRANT]:
            return _error_reply("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', [''])[0]}")
        problem = _problem(form.get("assertion", [""])[0], request.created_s)
        if problem is not None:
            return _error_reply("invalid_grant", f"Invalid JWT: {problem}")
        token = new_id(PREFIX)
        self._expires_s[token] = request.created_s + LIFETIME_S
        if len(self._expires_s) > MAX_TOKENS:
            self._expires_s.popitem(last=False)
        return json_reply({"access_token": token, "expires_in": LIFETIME_S - 1, "token_type": "Bearer"})

    def holds(self, token: str, now_s: int) -> bool:
        return self._expires_s.get(token, 0) > now_s


def _error_reply(error: str, description: str) -> Reply:
    return json_reply({"error": error, "error_description": description}, status=400)


def _problem(assertion: str, now_s: int) -> str | None:
    """Return what is wrong with the format and claims of a JWT, or None."""
    pieces = assertion.split(".")
    if len(pieces) != 3 or not pieces[2]:
        return "it must have three parts, the last of which is the signature"
    header, claims = _part(pieces[0]), _part(pieces[1])
    if header is None or claims is None:
        return "header and claims must be base64url of JSON objects"
    if header.get("alg") != "RS256":
        return "alg must be RS256"
    missing = [name for name in _CLAIMS if name not in claims]
    if missing:
        return f"claims are missing: {', '.join(missing)}"
    issued_s, expires_s = claims["iat"], claims["exp"]
    if (
        not isinstance(issued_s, int)
        or not isinstance(expires_s, int)
        or not issued_s <= expires_s <= issued_s + LIFETIME_S
    ):
        return "Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    if expires_s <= now_s:
        return "Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your exp values."
    return None


def _part(piece: str) -> dict[str, Any] | None:
    try:
        raw = base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
    except (binascii.Error, ValueError):
        return None
    return json_object(raw)
