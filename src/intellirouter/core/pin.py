"""Pins: what a vendor has created can only be used with the credential that created it."""

from msgspec import Struct


class Pin(Struct, frozen=True):
    """Who has created something, or has used it successfully."""

    provider: str
    deployment: str
    credential: str = ""
    """The fingerprint of the credential; empty if the deployment had none."""


class Reference(Struct, frozen=True):
    """A pin, and what the request refers to."""

    pin: Pin
    label: str
    """What the request refers to, for messages."""
    is_required: bool = True
    """False: another provider can serve the request without it."""
