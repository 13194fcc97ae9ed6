"""Is a presigned request taken only if it is, to the letter, the one that may be sent?"""

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from agent.callers.aws.hosts import origins
from agent.callers.aws.presigned import AHEAD, LONGEST_LIFE, LONGEST_URL, Presigned, read_presigned
from agent.errors import TokenRejected
from tests.fakes.clock import START
from tests.unit.callers.aws.shown import ORIGIN, parameters, query, shown, url

KNOWN = origins(["eu-central-1", "us-east-1"])


def read(text: str | bytes) -> Presigned:
    return read_presigned(shown(text), KNOWN)


def reason(text: str | bytes) -> str:
    with pytest.raises(TokenRejected) as error:
        read(text)
    assert error.value.what
    return error.value.reason


def test_what_botocore_signs_is_read_and_sent_as_it_is() -> None:
    request = AWSRequest(
        "GET",
        f"{ORIGIN}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"X-Rolecall-Server-Id": "https://tokens.example.com"},
    )
    credentials = Credentials("ASIAEXAMPLEEXAMPLEEX", "secret", "session/token+with==signs")
    SigV4QueryAuth(credentials, "sts", "eu-central-1", 60).add_auth(request)
    signed = str(request.url)
    proof = read(signed)
    assert proof.url.reveal() == signed
    assert proof.region == "eu-central-1"
    assert proof.expires_at - proof.signed_at == timedelta(seconds=60)
    assert f"X-Amz-Signature={proof.mark.reveal()}" in signed


def test_any_order_of_parameters_will_do_since_other_sdks_have_another() -> None:
    text = f"{ORIGIN}/?{query(sorted(parameters()))}"
    assert read(text).url.reveal() == text


def test_a_user_with_a_key_for_life_shows_no_session_token() -> None:
    credential = "AKIAEXAMPLEEXAMPLEEX/20261120/eu-central-1/sts/aws4_request"
    assert read(url(X_Amz_Credential=credential, X_Amz_Security_Token=None)).signed_at == START


def test_the_repr_shows_nothing_that_could_be_shown_again() -> None:
    proof = read(url())
    assert "Signature" not in repr(proof)
    assert proof.mark.reveal() not in repr(proof)


# --- where it leads

#: What must not be taken for an STS host of these regions.
ELSEWHERE = [
    "https://sts.example.com",
    "https://sts.amazonaws.com.example.com",
    "https://sts.eu-central-1.amazonaws.com.example.com",
    "https://example.com/sts.eu-central-1.amazonaws.com",
    "https://example.com#sts.eu-central-1.amazonaws.com",
    "https://sts.eu-central-1.amazonaws.com#",
    "https://sts.eu-central-1.amazonaws.com:443",
    "https://sts.eu-central-1.amazonaws.com:8443",
    "https://sts.eu-central-1.amazonaws.com.",
    "https://sts.eu-central-1.amazonaws.com@example.com",
    "https://somebody@sts.eu-central-1.amazonaws.com",
    "https://:@sts.eu-central-1.amazonaws.com",
    "https://STS.eu-central-1.amazonaws.com",
    "HTTPS://sts.eu-central-1.amazonaws.com",
    "http://sts.eu-central-1.amazonaws.com",
    "//sts.eu-central-1.amazonaws.com",
    "https:sts.eu-central-1.amazonaws.com",
    "https:///sts.eu-central-1.amazonaws.com",
    "https://sts%2eeu-central-1.amazonaws.com",
    "https://sts.eu-central-1.amazonaws%2ecom",
    "https://sts.eu-central-1.amazonaws.com%2f.example.com",
    "https://sts.eu-central-1.amazonaws.com%00.example.com",
    "https://sts.eu-central-1.amazonaws.com\\.example.com",
    "https://sts.eu-central-1.amazonaws.com\\@example.com",
    "https://sts.eu-central-1.amazonaws.com/sts",
    "https://sts.eu-central-1.amazonaws.com/.",
    "https://sts.eu-central-1.amazonaws.com/%2e",
    "https://sts.eu-central-1.amazonaws.com/",
    "https://sts.eu-west-1.amazonaws.com",
    "https://sts.cn-north-1.amazonaws.com.cn",
    "https://[::1]",
    "https://[::ffff:169.254.169.254]",
    "https://[fd00:ec2::254]",
    "https://169.254.169.254",
    "https://2852039166",
    "https://0xa9fea9fe",
    "https://localhost",
    " https://sts.eu-central-1.amazonaws.com",
    "https://sts.eu-central-1.amazonaws.com ",
    "https://sts.eu-central-1.amazonaws.com\t",
    "https://sts.eu-central-1.amazonaws.com\r\nHost: example.com",
]


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_another_host_than_an_sts_of_the_regions_is_never_asked(origin: str) -> None:
    assert reason(url(origin)) == "wrong_endpoint"


@pytest.mark.parametrize(
    "host",
    [
        "sts.eu-central-1.amazonaws.\u0441om",  # a Cyrillic letter
        "sts\u3002eu-central-1.amazonaws.com",  # a full stop that IDNA takes for one
        "\uff53ts.eu-central-1.amazonaws.com",  # a wide s
        "sts.eu-central-1.amazonaws.com\u200b",
    ],
)
def test_letters_that_only_look_alike_are_malformed(host: str) -> None:
    assert reason(url(f"https://{host}")) == "malformed"


@pytest.mark.parametrize("path", ["", "//", "/x", "/%3F", "/?/?", "/;"])
def test_another_path_or_no_query_is_refused(path: str) -> None:
    assert reason(f"{ORIGIN}{path}{query(parameters())}") in {"wrong_endpoint", "wrong_parameters"}


def test_a_region_signed_for_that_is_not_that_of_the_host_is_refused() -> None:
    credential = "ASIAEXAMPLEEXAMPLEEX/20261120/us-east-1/sts/aws4_request"
    assert reason(url(X_Amz_Credential=credential)) == "wrong_endpoint"


# --- what it says

Change = Callable[[str], str]


def change(**changes: str | None) -> Change:
    return lambda _: url(ORIGIN, START, **changes)


def also(text: str) -> Change:
    return lambda whole: whole + text


def swap(old: str, new: str) -> Change:
    def swapped(whole: str) -> str:
        assert old in whole
        return whole.replace(old, new)

    return swapped


KEY = "ASIAEXAMPLEEXAMPLEEX"


def credential(key: str = KEY, day: str = "20261120", service: str = "sts") -> str:
    return f"{key}/{day}/eu-central-1/{service}/aws4_request"


ATTACKS: dict[str, Change] = {
    "another action": change(Action="AssumeRole"),
    "another action in other capitals": change(Action="getcalleridentity"),
    "two actions": also("&Action=AssumeRole"),
    "the same action twice": also("&Action=GetCallerIdentity"),
    "an action in other capitals beside it": also("&action=AssumeRole"),
    "a parameter encoded so as to hide": also("&%41ction=AssumeRole"),
    "a parameter of another action": also("&RoleArn=arn"),
    "an unknown parameter of the signature": also("&X-Amz-Other=1"),
    "a parameter without a value": also("&Version"),
    "an empty parameter": also("&"),
    "a fragment": also("#"),
    "a second query": also("?Action=AssumeRole"),
    "a semicolon for an ampersand": also(";Action=AssumeRole"),
    "a line break": also("\r\n"),
    "a line break, encoded": swap("Version=2011-06-15", "Version=2011-06-15%0D%0A"),
    "a zero byte, encoded": swap("Version=2011-06-15", "Version=2011-06-15%00"),
    "an encoded letter": swap("Action=G", "Action=%47"),
    "an encoding in small letters": swap("%2F", "%2f"),
    "an encoding twice over": swap("%2F", "%252F"),
    "no encoding": swap("%2F", "/"),
    "a plus": swap("%2B", "+"),
    "a broken encoding": swap("%2F", "%2"),
    "an encoding of no UTF-8": swap("Version=2011-06-15", "Version=%FF"),
    "no action": change(Action=None),
    "no version": change(Version=None),
    "another version": change(Version="2010-05-08"),
    "no algorithm": change(X_Amz_Algorithm=None),
    "another algorithm": change(X_Amz_Algorithm="AWS4-ECDSA-P256-SHA256"),
    "no credential": change(X_Amz_Credential=None),
    "a credential of another service": change(X_Amz_Credential=credential(service="s3")),
    "a credential of another day": change(X_Amz_Credential=credential(day="20261119")),
    "a credential with more to it": change(X_Amz_Credential=credential(key=f"{KEY}/x")),
    "a key that ends, without its token": change(X_Amz_Security_Token=None),
    "a key for life, with a token": change(X_Amz_Credential=credential(key="AKIAEXAMPLEEXAMPLEEX")),
    "a token of other characters": change(X_Amz_Security_Token="a b"),
    "no date": change(X_Amz_Date=None),
    "a date that is none": change(X_Amz_Date="20261120T250000Z"),
    "a date in another form": change(X_Amz_Date="2026-11-20T12:00:00Z"),
    "a date in other digits": change(X_Amz_Date="20261120T12000\u0660Z"),
    "no end": change(X_Amz_Expires=None),
    "an end that is none": change(X_Amz_Expires="0"),
    "an end before the beginning": change(X_Amz_Expires="-1"),
    "an end in a week": change(X_Amz_Expires="604800"),
    "no signature": change(X_Amz_Signature=None),
    "a short signature": change(X_Amz_Signature="00"),
    "a signature in capitals": change(X_Amz_Signature="ABCDEF0123456789" * 4),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_any_other_request_is_refused(name: str) -> None:
    assert reason(ATTACKS[name](url())) == "wrong_parameters"


@pytest.mark.parametrize(
    "signed",
    [
        "host",
        "x-rolecall-server-id",
        "host;x-k8s-aws-id",
        "host;x-rolecall-server-id;x-other",
        "x-rolecall-server-id;host",
        "host;host;x-rolecall-server-id",
        "host;x-rolecall-server-id;",
    ],
)
def test_without_our_header_and_the_host_among_what_is_signed_and_nothing_else_it_is_refused(signed: str) -> None:
    assert reason(url(X_Amz_SignedHeaders=signed)) == "not_bound_here"


def test_signed_headers_in_capitals_are_refused() -> None:
    assert reason(url(X_Amz_SignedHeaders="Host;X-Rolecall-Server-Id")) == "wrong_parameters"


def test_a_nonce_may_be_signed_so_that_two_of_one_second_are_not_the_same() -> None:
    text = url(X_Amz_SignedHeaders="host;x-rolecall-nonce;x-rolecall-server-id")
    proof = read_presigned(shown(text) + b".0123456789abcdef", KNOWN)
    assert (proof.nonce, proof.url.reveal()) == ("0123456789abcdef", text)
    assert read(url()).nonce == ""


def test_a_nonce_that_was_not_signed_and_one_that_is_not_shown_are_refused() -> None:
    for raw in (
        shown(url()) + b".0123456789abcdef",
        shown(url(X_Amz_SignedHeaders="host;x-rolecall-nonce;x-rolecall-server-id")),
    ):
        with pytest.raises(TokenRejected) as error:
            read_presigned(raw, KNOWN)
        assert error.value.reason == "not_bound_here"


@pytest.mark.parametrize(
    "nonce", [b"", b"short", b"x" * 65, b"0123456789abcde\r", b"0123456789abcde\n0", b"0123456789abcde.0", b"\xff" * 16]
)
def test_a_nonce_that_could_be_more_than_one_is_malformed(nonce: bytes) -> None:
    with pytest.raises(TokenRejected) as error:
        read_presigned(shown(url()) + b"." + nonce, KNOWN)
    assert error.value.reason == "malformed"


# --- how it is shown


def test_a_url_of_just_four_kibibytes_is_read_and_one_byte_more_is_not() -> None:
    room = LONGEST_URL - len(url(X_Amz_Security_Token=""))
    assert read(url(X_Amz_Security_Token="A" * room))
    assert reason(url(X_Amz_Security_Token="A" * (room + 1))) == "malformed"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"A",
        b"====",
        shown(url()) + b"=",
        shown(url()) + b" ",
        b" " + shown(url()),
        base64.b64encode(b"\xff\xff\xff").rstrip(b"="),
        base64.b64encode(url().encode()) + b"\n",
        shown(b"https://sts.eu-central-1.amazonaws.com/?\xff"),
        shown("")[:0] + b"A" * 1_000_000,
    ],
)
def test_what_is_no_base64url_is_malformed(raw: bytes) -> None:
    with pytest.raises(TokenRejected) as error:
        read_presigned(raw, KNOWN)
    assert error.value.reason == "malformed"


def test_each_url_has_one_spelling() -> None:
    """The last letter of base64 has bits that mean nothing; only one of its spellings is taken."""
    text = next(one for one in (url() + "", url(X_Amz_Expires="30"), url(X_Amz_Expires="3")) if len(one) % 3)
    good = shown(text)
    others = [
        good[:-1] + bytes([letter]) for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    ]
    taken = 0
    for one in others:
        try:
            taken += read_presigned(one, KNOWN).url.reveal() == text
        except TokenRejected:
            continue
    assert taken == 1


# --- when


@pytest.mark.parametrize(
    ("expires", "life"),
    [(1, timedelta(seconds=1)), (300, timedelta(minutes=5)), (900, LONGEST_LIFE), (999, LONGEST_LIFE)],
)
def test_it_is_good_until_it_says_and_never_longer_than_a_quarter_of_an_hour(expires: int, life: timedelta) -> None:
    proof = read(url(X_Amz_Expires=str(expires)))
    proof.check_time(START + life - timedelta(seconds=1))
    with pytest.raises(TokenRejected) as error:
        proof.check_time(START + life)
    assert error.value.reason == "expired"


def test_a_clock_that_is_a_little_ahead_is_put_up_with_and_one_far_ahead_is_not() -> None:
    proof = read(url())
    proof.check_time(START - AHEAD)
    with pytest.raises(TokenRejected) as error:
        proof.check_time(START - AHEAD - timedelta(seconds=1))
    assert error.value.reason == "not_yet_valid"
