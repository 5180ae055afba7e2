"""How a credential is presented to an upstream. Door: `presenter`, `Presenter`, `Signable`, `TokenPost`.

Three kinds: headers that never change (written once into the request head), a signature over each request (AWS), a
token that is exchanged for the credential and renewed (Google). Nothing here prints, logs or stores a credential.
"""

from intellirouter.providers.auth.presenter import Presenter, Signable, presenter
from intellirouter.providers.auth.tokens import TokenPost

__all__ = ["Presenter", "Signable", "TokenPost", "presenter"]
