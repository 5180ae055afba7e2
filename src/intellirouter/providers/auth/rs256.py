"""RSASSA-PKCS1-v1_5 with SHA-256. Imported on demand by `jwt_assertion`."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def sign(data: bytes, private_key_pem: str) -> bytes:
    """Return the signature. Raises ValueError or TypeError when the key is not an RSA private key."""
    try:
        key = load_pem_private_key(private_key_pem.encode(), None)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key.sign(data, PKCS1v15(), SHA256())
