"""A Google service account whose key is generated for the test run."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def service_account(**members: Any) -> str:
    """Return the credential file; `members` override its fields."""
    document = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k1",
        "private_key": private_pem(RSA_KEY),
        "client_email": "a@p.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps({**document, **members})
