"""Pins: ids that a vendor has created, and the credentials that created them."""
