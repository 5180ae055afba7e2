"""Authentication of upstream requests: how a credential becomes request headers.

There are three kinds of authenticator: static headers, written once into the request head; a signature over each
request (AWS); an access token that is obtained with the credential and renewed before it expires (Google). Nothing here
prints, logs or stores a credential.
"""

from intellirouter.providers.auth.authenticator import Authenticator, SignableRequest
from intellirouter.providers.auth.google import PostForm
from intellirouter.providers.auth.schemes import build_authenticator

__all__ = ["Authenticator", "PostForm", "SignableRequest", "build_authenticator"]
