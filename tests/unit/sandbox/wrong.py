"""What can be wrong with one call, and how AWS words its answers."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jwt

from agent.sandbox import PracticeIssuer, World, practice_world
from tests.fakes.clock import START
from tests.unit.sandbox.scene import ISSUER, Scene, rsa_key, scene

NOW = int(START.timestamp())
NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)
NOT_VALIDATED = (
    "The web identity token provided could not be validated. "
    "See the AssumeRoleWithWebIdentity documentation for requirements."
)
SEVERAL = "Token audience contains more than one audience while authorized party is not present"
NOT_PINNED = "The target role ARN is not present in the roles claim of the identity token"
BAD_TAGS = "Session tags passed in claim are not in correct format."
ROLES = "https://aws.amazon.com/roles"
TAGS = "https://aws.amazon.com/tags"
SOURCE = "https://aws.amazon.com/source_identity"
DENIED = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")


def invalid(text: str) -> tuple[int, str, str]:
    return 400, "InvalidIdentityToken", text


def no_provider(issuer: str) -> tuple[int, str, str]:
    return invalid(f"No OpenIDConnect provider found in your account for {issuer}")


def breach(*complaints: str) -> tuple[int, str, str]:
    count = "1 validation error" if len(complaints) == 1 else f"{len(complaints)} validation errors"
    return 400, "ValidationError", f"{count} detected: {'; '.join(complaints)}"


def expired(at: int) -> tuple[int, str, str]:
    return (
        400,
        "ExpiredTokenException",
        f"Token expired: current date/time {NOW} must be before the expiration date/time {at}",
    )


def early(name: str, at: int) -> tuple[int, str, str]:
    return invalid(f"Token is not valid yet: current date/time {NOW} must be after {name} {at}")


@dataclass(frozen=True)
class Wrong:
    """One thing wrong with a call that is otherwise good, and the answer."""

    answer: tuple[int, str, str]
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    claims: Mapping[str, object] = field(default_factory=dict)
    token: Callable[[Scene], str] | None = None
    mangle: Callable[[str], str] = str
    world: World | None = None
    publish: Mapping[str, Mapping[str, object] | bytes | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def signed(algorithm: str, key: object, **header: object) -> Callable[[Scene], str]:
    """A token signed in another way than the issuer's own."""
    return lambda at: jwt.encode(
        at.issuer.claims(at.clock.now()),
        key,  # type: ignore[arg-type]  # of any kind, wrong ones too
        algorithm,
        headers={name: value for name, value in {"kid": at.issuer.kid, **header}.items() if value is not None},
    )


def parts(header: object, claims: object = None) -> Callable[[Scene], str]:
    """An unsigned token with whatever in it."""

    def part(value: object) -> str:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    return lambda at: f"{part(header)}.{part(at.issuer.claims(START) if claims is None else claims)}.c2ln"


def flipped(token: str) -> str:
    """The token with one letter of its signature changed."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def with_claim_changed(token: str) -> str:
    """The token with another subject, and the signature that it had."""
    header, claims, signature = token.split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    told["sub"] = "host:somebody-else"
    forged = base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode()
    return f"{header}.{forged}.{signature}"


def discovery(**changed: object) -> dict[str, Mapping[str, object] | bytes | None]:
    whole = {**PracticeIssuer(ISSUER, rsa_key()).discovery, **changed}
    return {".well-known/openid-configuration": {k: v for k, v in whole.items() if v is not None}}


def jwks(*keys: object) -> dict[str, Mapping[str, object] | bytes | None]:
    return {"keys.json": {"keys": list(keys)}}


OUR_KEY = PracticeIssuer(ISSUER, rsa_key()).jwk
OTHER_KEY = PracticeIssuer(ISSUER, rsa_key(1)).jwk
FIFTY_ONE = {f"k{number}": ["v"] for number in range(51)}
ARN_PATTERN = r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+"


def at(place: str, said: str, value: str | None = None) -> str:
    quoted = "" if value is None else f" '{value}'"
    return f"Value{quoted} at '{place}' failed to satisfy constraint: Member must {said}"


async def is_refused(wrong: Wrong, home: Path) -> None:
    """Make the call, and see that the answer is AWS's to the letter."""
    async with scene(home, world=wrong.world or practice_world(ISSUER)) as here:
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
