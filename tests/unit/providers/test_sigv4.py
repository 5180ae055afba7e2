"""The Signature Version 4 test suite published by AWS, and the example in its documentation."""

import pytest
from msgspec import structs

from intellirouter.core import Secret, errors
from intellirouter.providers.auth.authenticator import SignableRequest
from intellirouter.providers.auth.aws import AwsAuthenticator
from intellirouter.providers.auth.sigv4 import AwsKey, CanonicalRequest, CredentialScope, sign
from intellirouter.testing import FakeClock

KEY = AwsKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = CredentialScope("us-east-1", "service")
AT_S = 1440938160.0  # 2015-08-30 12:36:00
HOST = {"Host": "example.amazonaws.com"}
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthA"
    "x7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY"
    "9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)


def _signature(request: CanonicalRequest, key: AwsKey = KEY, scope: CredentialScope = SCOPE) -> str:
    return dict(sign(request, key, scope, AT_S))["authorization"].partition("Signature=")[2]


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        pytest.param(
            CanonicalRequest("GET", "/", HOST, b""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="get-vanilla",
        ),
        pytest.param(
            CanonicalRequest("POST", "/", HOST, b""),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
        pytest.param(
            CanonicalRequest("GET", "/?Param2=value2&Param1=value1", HOST, b""),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            id="get-vanilla-query-order-key-case",
        ),
        pytest.param(
            CanonicalRequest("POST", "/?Param1=value1", HOST, b""),
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            id="post-vanilla-query",
        ),
        pytest.param(
            CanonicalRequest("GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", HOST, b""),
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            id="get-unreserved",
        ),
        pytest.param(
            CanonicalRequest("GET", "/ሴ", HOST, b""),
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            id="get-utf8",
        ),
        pytest.param(
            CanonicalRequest("GET", "/example/..", HOST, b""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="normalize-path-relative",
        ),
        pytest.param(
            CanonicalRequest("GET", "//", HOST, b""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="normalize-path-slash",
        ),
        pytest.param(
            CanonicalRequest("GET", "/", {**HOST, "My-Header1": " value1", "My-Header2": ' "a   b   c"'}, b""),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            id="get-header-value-trim",
        ),
        pytest.param(
            CanonicalRequest(
                "POST", "/", {**HOST, "Content-Type": "application/x-www-form-urlencoded"}, b"Param1=value1"
            ),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
    ],
)
def test_published_test_suite(request_: CanonicalRequest, signature: str) -> None:
    assert _signature(request_) == signature


def test_published_test_suite_with_a_session_token() -> None:
    key = structs.replace(KEY, session_token=TOKEN)
    signed = dict(sign(CanonicalRequest("POST", "/", HOST, b""), key, SCOPE, AT_S))
    assert signed["x-amz-security-token"] == TOKEN
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token, " in signed["authorization"]
    assert signed["authorization"].endswith("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead")


def test_documentation_example() -> None:
    headers = {"host": "iam.amazonaws.com", "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = CanonicalRequest("GET", "/?Action=ListUsers&Version=2010-05-08", headers, b"")
    expected = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    assert _signature(request, scope=CredentialScope("us-east-1", "iam")) == expected


def _signable(host: str, region: str | None = None) -> SignableRequest:
    return SignableRequest(
        method="POST",
        host=host,
        target="/model/anthropic.claude%3A0/converse",
        headers={"content-type": "application/json", "user-agent": "x"},
        body=b"{}",
        deployment="bedrock/claude",
        region=region,
    )


@pytest.mark.parametrize(
    ("host", "region", "scope"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", None, "us-east-1/bedrock"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "eu", "us-gov-west-1/bedrock"),
        ("bedrock.eu-central-1.amazonaws.com", None, "eu-central-1/bedrock"),
        ("vpce-1a2b-3c.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", None, "ap-southeast-2/bedrock"),
        ("sagemaker.us-west-2.amazonaws.com", None, "us-west-2/sagemaker"),
        ("127.0.0.1:8000", "us-east-2", "us-east-2/bedrock"),
    ],
)
async def test_scope_comes_from_the_host_or_the_configured_region(host: str, region: str | None, scope: str) -> None:
    signed = dict(await AwsAuthenticator(KEY, FakeClock()).headers(_signable(host, region)))
    assert f"/{scope}/aws4_request, SignedHeaders=content-type;host;x-amz-date, " in signed["authorization"]


async def test_missing_region_is_reported_with_a_hint() -> None:
    with pytest.raises(errors.UpstreamAuthFailed, match=r"bedrock/claude: .* the AWS region is not known") as caught:
        await AwsAuthenticator(KEY, FakeClock()).headers(_signable("proxy.local"))
    assert "base_url" in caught.value.hint


@pytest.mark.parametrize(
    ("credential", "key"),
    [
        ("AKIAABCDEFGHIJKLMNOP:s/e+c=", AwsKey("AKIAABCDEFGHIJKLMNOP", "s/e+c=")),
        ("ASIAABCDEFGHIJKLMNOP:secret:t//o:ken==", AwsKey("ASIAABCDEFGHIJKLMNOP", "secret", "t//o:ken==")),
        ('{"access_key_id": "A", "secret_access_key": "S"}', AwsKey("A", "S")),
        ('{"aws_access_key_id": "A", "aws_secret_access_key": "S", "aws_session_token": null}', AwsKey("A", "S")),
        (
            '{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"}',
            AwsKey("A", "S", "T"),
        ),
        ('{"Credentials": {"AccessKeyId": "A", "SecretAccessKey": "S"}}', AwsKey("A", "S")),
        ("ABSKQmVkcm9ja0FQSUtleQ==", None),
        ("bedrock-api-key-YmVk", None),
    ],
)
def test_credential_formats(credential: str, key: AwsKey | None) -> None:
    assert AwsAuthenticator.parse(Secret(credential)) == key


@pytest.mark.parametrize("credential", ["{", "{}", '{"AccessKeyId": "A"}', '{"AccessKeyId": 1, "SecretAccessKey": 2}'])
def test_json_without_a_key_is_refused(credential: str) -> None:
    with pytest.raises(errors.UpstreamAuthFailed, match="AWS credential") as caught:
        AwsAuthenticator.parse(Secret(credential))
    assert "SecretAccessKey" in caught.value.hint


def test_key_repr_is_safe() -> None:
    assert "wJalr" not in repr(KEY)
