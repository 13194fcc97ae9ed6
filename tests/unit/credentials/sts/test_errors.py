"""Every error of STS, as it comes over the wire: whose turn it is, and what the operator is told."""

import pytest

from agent.credentials.sts import Answer
from agent.credentials.sts.errors import TABLE, Row, Turn, apology, known_code, meaning
from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable
from tests.fakes.sts_server import error, http
from tests.unit.credentials.conftest import ROLE, BenchFor

LATER, REFUSED = CredentialsUnavailable, CredentialsRefused
TOKEN, VALUE = "InvalidIdentityToken", "ValidationError"
VERIFICATION_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference "
    "AssumeRoleWithWebIdentity documentation for requirements"
)
EXPIRED = "Token expired: current date/time 1753382758 must be before the expiration date/time 1753089571"
JACKSON = "Unexpected character ('i' (code 105)): expected a valid value (number, String, array, object)"
INACTIVE = "STS is not activated in this region for account:123456789012."


def constraint(value: str, name: str, rule: str) -> str:
    return f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must {rule}"


# status, code, message; whose turn; a part of the hint
CASES: list[tuple[int, str, str, type[AgentError], str]] = [
    (400, TOKEN, VERIFICATION_KEY, LATER, "rolecall token verify"),
    (400, TOKEN, VERIFICATION_KEY.upper(), LATER, "rolecall token verify"),
    (400, TOKEN, "Token is not valid yet: current date/time 1753382758", LATER, "clock"),
    (400, TOKEN, "Token was issued in the future", LATER, "clock"),
    (400, TOKEN, "Incorrect token audience", REFUSED, "identity.audience"),
    (
        400,
        TOKEN,
        "Token audience contains more than one audience while authorized party is not present",
        REFUSED,
        "one",
    ),
    (400, TOKEN, "No OpenIDConnect provider found in your account for https://i.example.com", REFUSED, "issuer.url"),
    (400, TOKEN, "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint", REFUSED, "SHA-1"),
    (400, TOKEN, "The target role ARN is not present in the roles claim of the identity token", REFUSED, "backup.arn"),
    (400, TOKEN, "The ID Token provided is not a valid JWT. (You may see this error if …)", REFUSED, "[identity]"),
    (400, TOKEN, "Provided Token is not a Login With Amazon token", REFUSED, "three parts"),
    (400, TOKEN, "Missing a required claim: iat", REFUSED, "rolecall token show"),
    (400, TOKEN, "Session tags passed in claim are not in correct format.", REFUSED, "identity.tags"),
    (400, TOKEN, "principal_tags passed in claim is not in correct format.", REFUSED, "identity.tags"),
    (400, TOKEN, "The web identity token provided could not be validated.", REFUSED, "rolecall publish"),
    (400, TOKEN + "Exception", "Incorrect token audience", REFUSED, "identity.audience"),
    (400, TOKEN, "", REFUSED, "rolecall token verify"),
    (400, "ExpiredTokenException", EXPIRED, LATER, "clock"),
    (400, "ExpiredToken", "The security token has expired", LATER, "clock"),
    (400, "IDPCommunicationError", "", LATER, "reach the issuer"),
    (403, "IDPRejectedClaim", "", REFUSED, "revoked"),
    (
        403,
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        REFUSED,
        "roles.backup.arn exists",
    ),
    (403, "AccessDenied", "Not authorized to perform sts:TagSession", REFUSED, "allow sts:TagSession"),
    (403, "AccessDenied", "Not authorized to perform sts:SetSourceIdentity", REFUSED, "allow sts:SetSourceIdentity"),
    (403, "AccessDeniedException", "", REFUSED, "trust policy"),
    (
        400,
        VALUE,
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        REFUSED,
        "lower roles.backup.duration (now 3600 s), or raise MaxSessionDuration of the role to 3600",
    ),
    (400, VALUE, constraint("100", "durationSeconds", "have value …"), REFUSED, "roles.backup.duration (now 3600 s)"),
    (400, VALUE, constraint("bad name!", "roleSessionName", "satisfy …"), REFUSED, "roles.backup.session_name"),
    (400, VALUE, constraint("x", "roleArn", "have length …"), REFUSED, "roles.backup.arn"),
    (400, VALUE, constraint("x", "webIdentityToken", "have length …"), REFUSED, "4-20000"),
    (400, VALUE, constraint("x", "policyArns.1.member.arn", "have length …"), REFUSED, "roles.backup.policy_arns"),
    (400, VALUE, constraint("x", "policy", "have length …"), REFUSED, "roles.backup.policy"),
    (400, VALUE, "Something else", REFUSED, "roles.backup"),
    (400, "MalformedPolicyDocument", JACKSON, REFUSED, "roles.backup.policy"),
    (400, "PackedPolicyTooLarge", "Packed policy consumes 157% of allotted space", REFUSED, "shorten"),
    (403, "RegionDisabledException", INACTIVE, REFUSED, "sts.region"),
    (403, "OptInRequired", "", REFUSED, "123456789012"),
    (400, "Throttling", "Rate exceeded", LATER, "patience"),
    (400, "ThrottlingException", "Rate exceeded", LATER, "patience"),
    (400, "RequestLimitExceeded", "", LATER, "patience"),
    (429, "TooManyRequestsException", "", LATER, "patience"),
    (503, "SlowDown", "", LATER, "patience"),
    (500, "InternalFailure", "", LATER, "health.aws"),
    (503, "ServiceUnavailable", "", LATER, "health.aws"),
    (400, "RequestExpired", "", LATER, "clock"),
    (403, "InvalidClientTokenId", "The security token included is invalid", REFUSED, "unsigned"),
    (403, "MissingAuthenticationToken", "Missing Authentication Token", REFUSED, "unsigned"),
    (400, "InvalidAction", "Could not find operation", REFUSED, "sts.endpoint_url"),
    (400, "NeverSeen", "What is this?", REFUSED, "not known here"),
    (418, "NeverSeen", "", REFUSED, "not known here"),
    (503, "NeverSeen", "", LATER, "trouble"),
    (429, "NeverSeen", "", LATER, "trouble"),
]


@pytest.mark.parametrize(("status", "code", "message", "turn", "hint"), CASES)
async def test_each_error_says_whose_turn_it_is_and_what_to_do(
    bench_for: BenchFor, status: int, code: str, message: str, turn: type[AgentError], hint: str
) -> None:
    bench = await bench_for(error(code, message, status))
    with pytest.raises(AgentError) as caught:
        await bench.source.fetch()
    assert type(caught.value) is turn
    assert hint in caught.value.hint
    assert code in caught.value.what
    assert ROLE.arn in caught.value.what
    assert " ".join(message.split()) in caught.value.what
    assert "{" not in caught.value.hint


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", ["", "<html><body>Bad gateway</body></html>", "upstream connect error", "\x00\xff"])
async def test_a_gateway_in_trouble_passes(bench_for: BenchFor, status: int, body: str) -> None:
    bench = await bench_for(http(body, status, content_type="text/html", request_id=None))
    with pytest.raises(CredentialsUnavailable):
        await bench.source.fetch()


def _answer(code: str, row: Row) -> Answer:
    return Answer(code, message=row.words[0] if row.words else "", status=400)


ROWS = [(code, row) for row in TABLE for code in sorted(row.codes)]


@pytest.mark.parametrize(("code", "row"), ROWS)
def test_every_code_of_every_row_is_reached_and_excused(code: str, row: Row) -> None:
    for spelt in (code, code + "Exception"):
        answer = _answer(spelt, row)
        assert meaning(answer) is row
        assert known_code(answer) == spelt
        error = apology(answer, ROLE, None)
        assert error.retryable == (row.turn is not Turn.SOMEBODY)
        assert error.hint
        assert "{" not in error.hint


def test_every_row_is_met_over_the_wire() -> None:
    met = {id(meaning(Answer(code, message, status))) for status, code, message, _, _ in CASES}
    assert [row for row in TABLE if id(row) not in met] == []
