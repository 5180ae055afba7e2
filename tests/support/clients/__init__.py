"""Support for `tests/clients`, which runs real client libraries against a gateway.

`checks` runs in the environment of each client library, so it uses the standard library only.
"""
