"""Everything that can be wrong with a call, and AWS's exact words for it."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.sandbox import Role, World, practice_world
from tests.unit.sandbox.scene import ISSUER, PROVIDER, ROLE, allow, ec_key, provided, rsa_key, scene, trusting
from tests.unit.sandbox.wrong import (
    ARN_PATTERN,
    BAD_TAGS,
    DENIED,
    FIFTY_ONE,
    NO_KEY,
    NOT_A_JWT,
    NOT_PINNED,
    NOT_VALIDATED,
    NOW,
    OTHER_KEY,
    OUR_KEY,
    ROLES,
    SEVERAL,
    SOURCE,
    TAGS,
    Wrong,
    at,
    breach,
    discovery,
    early,
    expired,
    flipped,
    invalid,
    jwks,
    no_provider,
    parts,
    signed,
    with_claim_changed,
)

WRONG: dict[str, Wrong] = {
    # parameters
    "no role": Wrong(breach(at("roleArn", "not be null")), {"RoleArn": None}),
    "no session name": Wrong(breach(at("roleSessionName", "not be null")), {"RoleSessionName": None}),
    "no token": Wrong(breach(at("webIdentityToken", "not be null")), {"WebIdentityToken": None}),
    "no role, no name": Wrong(
        breach(at("roleArn", "not be null"), at("roleSessionName", "not be null")),
        {"RoleArn": None, "RoleSessionName": None},
    ),
    "short role": Wrong(breach(at("roleArn", "have length greater than or equal to 20", "demo")), {"RoleArn": "demo"}),
    "role with control characters": Wrong(
        breach(at("roleArn", f"satisfy regular expression pattern: {ARN_PATTERN}", f"{ROLE}?")),
        {"RoleArn": f"{ROLE}\x01"},
    ),
    "no ARN": Wrong((400, "ValidationError", "Request ARN is invalid"), {"RoleArn": "d" * 20}),
    "ARN of a user": Wrong(
        (400, "ValidationError", "Request ARN is invalid"), {"RoleArn": "arn:aws:iam::123456789012:user/demo"}
    ),
    "bad session name": Wrong(
        breach(at("roleSessionName", r"satisfy regular expression pattern: [\w+=,.@-]*", "bad name!")),
        {"RoleSessionName": "bad name!"},
    ),
    "session name beyond ASCII": Wrong(
        breach(at("roleSessionName", r"satisfy regular expression pattern: [\w+=,.@-]*", "jürgen")),
        {"RoleSessionName": "jürgen"},
    ),
    "short session name": Wrong(
        breach(at("roleSessionName", "have length greater than or equal to 2", "a")), {"RoleSessionName": "a"}
    ),
    "long session name": Wrong(
        breach(at("roleSessionName", "have length less than or equal to 64", "a" * 65)), {"RoleSessionName": "a" * 65}
    ),
    "too short a session": Wrong(
        breach(at("durationSeconds", "have value greater than or equal to 900", "100")), {"DurationSeconds": "100"}
    ),
    "too long a session": Wrong(
        breach(at("durationSeconds", "have value less than or equal to 43200", "43201")), {"DurationSeconds": "43201"}
    ),
    "no number of seconds": Wrong((400, "MalformedInput", "1h is not a valid number"), {"DurationSeconds": "1h"}),
    "name and duration": Wrong(
        breach(
            at("roleSessionName", "have length greater than or equal to 2", "a"),
            at("durationSeconds", "have value greater than or equal to 900", "1"),
        ),
        {"RoleSessionName": "a", "DurationSeconds": "1"},
    ),
    "short token": Wrong(
        breach(at("webIdentityToken", "have length greater than or equal to 4")), {"WebIdentityToken": "abc"}
    ),
    "long token": Wrong(
        breach(at("webIdentityToken", "have length less than or equal to 20000")), {"WebIdentityToken": "x" * 20001}
    ),
    "huge minimum token": Wrong(
        breach(at("minimumSessionTokenSize", "have value less than or equal to 4096", "5000")),
        {"MinimumSessionTokenSize": "5000"},
    ),
    "long policy": Wrong(
        breach(at("policy", "have length less than or equal to 2048", " " * 2049)), {"Policy": " " * 2049}
    ),
    "policy beyond Latin-1": Wrong(
        breach(at("policy", r"satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+", "{“}")),
        {"Policy": "{“}"},
    ),
    "eleven managed policies": Wrong(
        breach(at("policyArns", "have length less than or equal to 10")),
        {f"PolicyArns.member.{number}.arn": "arn:aws:iam::aws:policy/P" for number in range(1, 12)},
    ),
    "wrong version": Wrong(
        (400, "InvalidAction", "Could not find operation AssumeRoleWithWebIdentity for version 2010-05-08"),
        {"Version": "2010-05-08"},
    ),
    "no version": Wrong(
        (400, "InvalidAction", "Could not find operation AssumeRoleWithWebIdentity for version NO_VERSION_SPECIFIED"),
        {"Version": None},
    ),
    "unknown action": Wrong(
        (400, "InvalidAction", "Could not find operation AssumeAnything for version 2011-06-15"),
        {"Action": "AssumeAnything"},
    ),
    "no action": Wrong((400, "MissingAction", "Missing Action"), {"Action": None}),
    "parameters come before the token": Wrong(
        breach(at("durationSeconds", "have value greater than or equal to 900", "1")),
        {"DurationSeconds": "1", "WebIdentityToken": "garbage"},
    ),
    # the shape of the token
    "garbage": Wrong(invalid(NOT_A_JWT), {"WebIdentityToken": "garbage"}),
    "two parts": Wrong(invalid(NOT_A_JWT), mangle=lambda token: token.rpartition(".")[0]),
    "an encrypted token": Wrong(invalid(NOT_A_JWT), mangle=lambda token: f"{token}.aa.bb"),
    "newline behind": Wrong(
        invalid("Provided Token is not a Login With Amazon token"), mangle=lambda token: f"{token}\n"
    ),
    "blank before": Wrong(invalid("Provided Token is not a Login With Amazon token"), mangle=lambda token: f" {token}"),
    "padding": Wrong(invalid(NOT_A_JWT), mangle=lambda token: f"{token}="),
    "header is no JSON": Wrong(invalid(NOT_A_JWT), token=parts(b"{")),
    "header is a list": Wrong(invalid(NOT_A_JWT), token=parts([])),
    "claims are text": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "RS256"}, "claims")),
    "claims of bad UTF-8": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "RS256"}, b'{"iss": "\xff"}')),
    "no algorithm": Wrong(invalid(NOT_A_JWT), token=parts({"typ": "JWT"})),
    "algorithm none": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "none"})),
    "algorithm nOnE": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "nOnE"})),
    "algorithm that is no text": Wrong(invalid(NOT_A_JWT), token=parts({"alg": ["RS256"]})),
    "HS256": Wrong(invalid(NOT_A_JWT), token=signed("HS256", "a shared secret that is long enough for it")),
    "PS256": Wrong(invalid(NOT_A_JWT), token=signed("PS256", rsa_key())),
    "EdDSA": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "EdDSA"})),
    "ES256K": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "ES256K"})),
    "critical extension": Wrong(invalid(NOT_A_JWT), token=signed("RS256", rsa_key(), crit=["b64"], b64=True)),
    "kid that is no text": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "RS256", "kid": 7})),
    "Login with Amazon": Wrong(
        invalid("Provided Token is not a Login With Amazon token"), {"ProviderId": "www.amazon.com"}
    ),
    "Facebook": Wrong(invalid(NOT_A_JWT), {"ProviderId": "graph.facebook.com"}),
    "credentials on an unsigned call": Wrong(invalid(NO_KEY), headers={"X-Amz-Security-Token": "stray"}),
    # the issuer
    "no issuer": Wrong(invalid("Missing a required claim: iss"), claims={"iss": None}),
    "issuer is a number": Wrong(invalid(NOT_A_JWT), claims={"iss": 7}),
    "another issuer": Wrong(no_provider("https://other.example.com"), claims={"iss": "https://other.example.com"}),
    "trailing slash": Wrong(no_provider(f"{ISSUER}/"), claims={"iss": f"{ISSUER}/"}),
    "upper case": Wrong(no_provider("https://OIDC.example.com"), claims={"iss": "https://OIDC.example.com"}),
    "no scheme": Wrong(no_provider("oidc.example.com"), claims={"iss": "oidc.example.com"}),
    "account without a provider": Wrong(no_provider(ISSUER), world=World(roles=practice_world(ISSUER).roles)),
    "role of another account": Wrong(no_provider(ISSUER), {"RoleArn": "arn:aws:iam::210987654321:role/demo"}),
    "markup in the issuer": Wrong(no_provider("<b>&amp;"), claims={"iss": "<b>&amp;"}),
    # the audience
    "wrong audience": Wrong(invalid("Incorrect token audience"), claims={"aud": "sts.example.com"}),
    "audience in other case": Wrong(invalid("Incorrect token audience"), claims={"aud": "STS.amazonaws.com"}),
    "no audience": Wrong(invalid("Missing a required claim: aud"), claims={"aud": None}),
    "empty list of audiences": Wrong(invalid("Incorrect token audience"), claims={"aud": []}),
    "two audiences": Wrong(invalid(SEVERAL), claims={"aud": ["sts.amazonaws.com", "other"]}),
    "audience is a number": Wrong(invalid(NOT_A_JWT), claims={"aud": 7}),
    "audiences that are numbers": Wrong(invalid(NOT_A_JWT), claims={"aud": [7]}),
    "authorized party unknown": Wrong(invalid("Incorrect token audience"), claims={"azp": "somebody"}),
    "authorized party no text": Wrong(invalid("Incorrect token audience"), claims={"azp": ["sts.amazonaws.com"]}),
    "audience not in the provider": Wrong(invalid("Incorrect token audience"), world=provided(client_ids=("other",))),
    "audience comes before keys": Wrong(
        invalid("Incorrect token audience"), claims={"aud": "x"}, publish={"keys.json": None}
    ),
    # discovery and keys
    "no discovery document": Wrong(invalid(NO_KEY), publish={".well-known/openid-configuration": None}),
    "discovery is no JSON": Wrong(invalid(NO_KEY), publish={".well-known/openid-configuration": b"<html>"}),
    "discovery is a list": Wrong(invalid(NO_KEY), publish={".well-known/openid-configuration": b"[]"}),
    "discovery of another issuer": Wrong(invalid(NO_KEY), publish=discovery(issuer=f"{ISSUER}/")),
    "discovery without issuer": Wrong(invalid(NO_KEY), publish=discovery(issuer=None)),
    "discovery without jwks_uri": Wrong(invalid(NO_KEY), publish=discovery(jwks_uri=None)),
    "discovery without response types": Wrong(invalid(NO_KEY), publish=discovery(response_types_supported=None)),
    "discovery without subject types": Wrong(invalid(NO_KEY), publish=discovery(subject_types_supported=None)),
    "discovery without algorithms": Wrong(
        invalid(NO_KEY), publish=discovery(id_token_signing_alg_values_supported=None)
    ),
    "jwks over http": Wrong(invalid(NO_KEY), publish=discovery(jwks_uri="http://oidc.example.com/keys.json")),
    "jwks at an unknown host": Wrong(invalid(NO_KEY), publish=discovery(jwks_uri="https://elsewhere.example.com/k")),
    "no jwks": Wrong(invalid(NO_KEY), publish={"keys.json": None}),
    "jwks is no JSON": Wrong(invalid(NO_KEY), publish={"keys.json": b"keys"}),
    "jwks without keys": Wrong(invalid(NO_KEY), publish=jwks()),
    "keys that are no keys": Wrong(invalid(NO_KEY), publish=jwks("key")),
    "huge jwks": Wrong(invalid(NO_KEY), publish={"keys.json": b" " * (1024 * 1024 + 1)}),
    "101 RSA keys": Wrong(
        invalid(NO_KEY), publish=jwks(OUR_KEY, *({**OTHER_KEY, "kid": f"k{number}"} for number in range(100)))
    ),
    "unknown kid": Wrong(invalid(NO_KEY), token=signed("RS256", rsa_key(), kid="unknown")),
    "no kid and two keys": Wrong(
        invalid(NO_KEY), token=signed("RS256", rsa_key(), kid=None), publish=jwks(OUR_KEY, {**OTHER_KEY, "kid": "2"})
    ),
    # the signature
    "another key's signature": Wrong(invalid(NOT_VALIDATED), token=signed("RS256", rsa_key(1))),
    "a flipped bit": Wrong(invalid(NOT_VALIDATED), mangle=flipped),
    "another's claims": Wrong(invalid(NOT_VALIDATED), mangle=with_claim_changed),
    "an empty-looking signature": Wrong(invalid(NOT_VALIDATED), mangle=lambda token: token.rpartition(".")[0] + ".AA"),
    "EC signature for an RSA key": Wrong(invalid(NOT_VALIDATED), token=signed("ES256", ec_key(256))),
    "another RSA algorithm": Wrong(invalid(NOT_VALIDATED), token=signed("RS512", rsa_key())),
    "key for encryption": Wrong(invalid(NOT_VALIDATED), publish=jwks({**OUR_KEY, "use": "enc"})),
    "key without modulus": Wrong(invalid(NOT_VALIDATED), publish=jwks({**OUR_KEY, "n": None})),
    "symmetric key of our id": Wrong(
        invalid(NOT_VALIDATED), publish=jwks({"kty": "oct", "k": "AA", "kid": OUR_KEY["kid"]})
    ),
    "signature comes before times": Wrong(invalid(NOT_VALIDATED), claims={"exp": 1}, mangle=flipped),
    # times and subject
    "long expired": Wrong(expired(NOW - 3600), claims={"exp": NOW - 3600}),
    "expired beyond the leeway": Wrong(expired(NOW - 300), claims={"exp": NOW - 300}),
    "no expiry": Wrong(invalid("Missing a required claim: exp"), claims={"exp": None}),
    "no time of issue": Wrong(invalid("Missing a required claim: iat"), claims={"iat": None}),
    "issued in the future": Wrong(early("iat", NOW + 301), claims={"iat": NOW + 301}),
    "not valid yet": Wrong(early("nbf", NOW + 301), claims={"nbf": NOW + 301}),
    "expiry as text": Wrong(invalid(NOT_A_JWT), claims={"exp": str(NOW + 300)}),
    "expiry with a fraction": Wrong(invalid(NOT_A_JWT), claims={"exp": NOW + 300.5}),
    "expiry is true": Wrong(invalid(NOT_A_JWT), claims={"exp": True}),
    "no subject": Wrong(invalid("Missing a required claim: sub"), claims={"sub": None}),
    "empty subject": Wrong(invalid("Missing a required claim: sub"), claims={"sub": ""}),
    "long subject": Wrong(invalid(NOT_A_JWT), claims={"sub": "s" * 256}),
    # the roles claim
    "pinned to another role": Wrong(invalid(NOT_PINNED), claims={ROLES: f"{ROLE}-other"}),
    "pinned to several others": Wrong(invalid(NOT_PINNED), claims={ROLES: [f"{ROLE}-1", f"{ROLE}-2"]}),
    "pinned to none": Wrong(invalid(NOT_PINNED), claims={ROLES: []}),
    "pinned by wildcard": Wrong(invalid(NOT_PINNED), claims={ROLES: "arn:aws:iam::123456789012:role/*"}),
    "pinned by name": Wrong(invalid(NOT_PINNED), claims={ROLES: "demo"}),
    "pinned to an object": Wrong(invalid(NOT_PINNED), claims={ROLES: {ROLE: True}}),
    "pins come before the trust policy": Wrong(
        invalid(NOT_PINNED), claims={ROLES: "demo"}, world=trusting(allow(Effect="Deny"))
    ),
    # tags and source identity
    "tags that are a list": Wrong(invalid(BAD_TAGS), claims={TAGS: []}),
    "principal_tags that are text": Wrong(
        invalid("principal_tags passed in claim is not in correct format."), claims={TAGS: {"principal_tags": "a"}}
    ),
    "tag value that is text": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"Team": "web"}}}),
    "tag with two values": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"Team": ["a", "b"]}}}),
    "tag value that is a number": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"Team": [7]}}}),
    "flat tag that is a number": Wrong(invalid(BAD_TAGS), claims={f"{TAGS}/principal_tags/Team": 7}),
    "51 tags": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": FIFTY_ONE}}),
    "long tag key": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"k" * 129: ["v"]}}}),
    "long tag value": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"k": ["v" * 257]}}}),
    "reserved tag key": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"aws:k": ["v"]}}}),
    "strange tag value": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"k": ["a*b"]}}}),
    "tags that differ in case alone": Wrong(
        invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"a": ["1"], "A": ["2"]}}}
    ),
    "transitive key that is no tag": Wrong(
        invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"a": ["1"]}, "transitive_tag_keys": ["b"]}}
    ),
    "transitive keys that are text": Wrong(
        invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"a": ["1"]}, "transitive_tag_keys": "a"}}
    ),
    "short source identity": Wrong(
        invalid("Source identity passed in claim is not in correct format."), claims={SOURCE: "a"}
    ),
    "source identity with blanks": Wrong(
        invalid("Source identity passed in claim is not in correct format."), claims={SOURCE: "a b"}
    ),
    # the role
    "missing role": Wrong(DENIED, {"RoleArn": "arn:aws:iam::123456789012:role/missing"}),
    "role without its path": Wrong(
        DENIED,
        world=replace(
            practice_world(ISSUER),
            roles=(Role("arn:aws:iam::123456789012:role/team/demo", practice_world(ISSUER).roles[0].trust_policy),),
        ),
    ),
    "role in other case": Wrong(DENIED, {"RoleArn": "arn:aws:iam::123456789012:role/Demo"}),
    "longer than the role allows": Wrong(
        (400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
        {"DurationSeconds": "7201"},
        world=trusting(allow(), max_session=timedelta(hours=2)),
    ),
    "trust in another provider": Wrong(
        DENIED, world=trusting(allow(Principal={"Federated": PROVIDER.replace("oidc.", "other.")}))
    ),
    "trust in a service": Wrong(DENIED, world=trusting(allow(Principal={"Service": "ec2.amazonaws.com"}))),
    "trust in another account's provider": Wrong(
        DENIED, world=trusting(allow(Principal={"Federated": PROVIDER.replace("123456789012", "210987654321")}))
    ),
    "trust for another action": Wrong(DENIED, world=trusting(allow(Action="sts:AssumeRole"))),
    "explicit deny": Wrong(DENIED, world=trusting(allow(), allow(Effect="Deny"))),
    "wrong subject": Wrong(DENIED, world=trusting(allow({"StringEquals": {"oidc.example.com:sub": "host:other"}}))),
    "pin required": Wrong(DENIED, world=trusting(allow({"Bool": {"sts:RoleAuthorizedByIdp": "true"}}))),
    "condition on a custom claim": Wrong(
        DENIED,
        claims={"repository": "a/b"},
        world=trusting(allow({"StringEquals": {"oidc.example.com:repository": "a/b"}})),
    ),
    "tags without the right to": Wrong(
        (403, "AccessDenied", "Not authorized to perform sts:TagSession"),
        claims={TAGS: {"principal_tags": {"Team": ["web"]}}},
        world=trusting(allow()),
    ),
    "source without the right to": Wrong(
        (403, "AccessDenied", "Not authorized to perform sts:SetSourceIdentity"),
        claims={SOURCE: "admin"},
        world=trusting(allow()),
    ),
    # the session policy
    "session policy is no JSON": Wrong(
        (400, "MalformedPolicyDocument", "Syntax errors in policy."), {"Policy": "{'Version'"}
    ),
    "session policy without actions": Wrong(
        (400, "MalformedPolicyDocument", "Policy statement must contain actions."),
        {"Policy": '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}'},
    ),
    "session policy with a principal": Wrong(
        (400, "MalformedPolicyDocument", "Has prohibited field Principal"),
        {"Policy": '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}]}'},
    ),
    "session policy with an unknown operator": Wrong(
        (400, "MalformedPolicyDocument", "Invalid Condition type : StringAlmost"),
        {
            "Policy": '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*",'
            '"Condition":{"StringAlmost":{"s3:prefix":"a"}}}]}'
        },
    ),
    "missing managed policy": Wrong(
        (400, "ValidationError", "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable."),
        {"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/None"},
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_in_the_words_of_aws(wrong: Wrong, tmp_path: Path) -> None:
    async with scene(tmp_path, world=wrong.world or practice_world(ISSUER)) as here:
        for path, document in wrong.publish.items():
            (here.site / path).unlink()
            if document is not None:
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                (here.site / path).write_bytes(content)
        token = wrong.mangle(wrong.token(here) if wrong.token else here.token(**wrong.claims))
        parameters = {"WebIdentityToken": token, **wrong.parameters}
        answer = await here.assume(headers=wrong.headers, **parameters)
        assert answer.refusal == wrong.answer
        assert answer.text("Type") == "Sender"
        assert answer.headers["Content-Type"] == "text/xml"
        assert answer.headers["x-amzn-requestid"] == answer.text("RequestId")
        assert answer.headers["Date"] == "Fri, 20 Nov 2026 12:00:00 GMT"
        assert [call.code for call in here.sandbox.requests] == [wrong.answer[1]]


async def test_the_same_call_with_nothing_wrong_is_answered(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.assume()
        assert answer.status == 200
        assert [call.code for call in here.sandbox.requests] == ["Success"]


def test_the_table_has_enough_in_it() -> None:
    assert len(WRONG) >= 60
