"""The reason of a failed download is the last real cause that pip prints."""

import pytest

from intellirouter.hosting.pip_output import failure_reason

RETRY = "WARNING: Retrying (Retry(total={}, connect=None, read=None, redirect=None, status=None)) after connection "
NOT_FOUND = """\
ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)
ERROR: No matching distribution found for x==1
"""
PIP_23 = (
    "broken by 'ProxyError('Cannot connect to proxy.', NewConnectionError('<pip._vendor.urllib3."
    "connection.HTTPSConnection object at 0x7fdf7ce5e350>: Failed to establish a new connection: "
    "[Errno 111] Connection refused'))': /simple/x/\n"
)
PIP_26 = (
    "broken by 'NameResolutionError(\"HTTPSConnection(host='pypi.invalid', port=443): Failed to resolve 'pypi.invalid' "
    "([Errno -2] Name or service not known)\")': /simple/x/\n"
)


REFUSED = "NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused')"
CASES = {
    RETRY.format(1) + PIP_26 + RETRY.format(0) + PIP_23 + NOT_FOUND: (
        f"pip cannot connect to its package index: ProxyError('Cannot connect to proxy.', {REFUSED})."
    ),
    RETRY.format(0) + PIP_26 + NOT_FOUND: (
        "pip cannot connect to its package index: NameResolutionError(\"HTTPSConnection(host='pypi.invalid', port="
        "443): Failed to resolve 'pypi.invalid' ([Errno -2] Name or service not known)\")."
    ),
    "WARNING: 403 Error, Credentials not correct for https://me:hunter2@index.test/simple/x/\n" + NOT_FOUND: (
        "WARNING: 403 Error, Credentials not correct for https://***@index.test/simple/x/ "
        f"{NOT_FOUND.strip().replace(chr(10), ' ')}."
    ),
    NOT_FOUND: NOT_FOUND.strip().replace("\n", " ") + ".",
    RETRY.format(0) + PIP_23 + "ERROR: Could not install packages due to an OSError: No space left on device\n": (
        "ERROR: Could not install packages due to an OSError: No space left on device."
    ),
    "one\ntwo\n\nthree\nfour.\n": "two three four.",
    "": "It exited with status 3 without output.",
    "ERROR: " + "x" * 2000: "ERROR: " + "x" * 793 + ".",
}


@pytest.mark.parametrize(("output", "reason"), list(CASES.items()))
def test_reason(output: str, reason: str) -> None:
    assert failure_reason(output, 3) == reason
