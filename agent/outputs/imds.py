"""How do SDKs that know nothing but EC2's metadata service get credentials from us? As IMDSv2, and not a word of v1.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html

A caller is who the kernel says it is: there is no Authorization header here, and the token that each request after the
first must show says nothing of who shows it. It proves that whoever asks can send a PUT and set a header, which a page
in a browser, and a server that was talked into fetching a URL, cannot.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from agent.callers import Facts, Origin, Peer
from agent.clock import Clock
from agent.errors import CallerDenied, CallerUnknown, RoleAmbiguous, RoleUnknown
from agent.outputs import documents
from agent.vending import RoleVendor
from agent.web import Answered, Asked, Label
from agent.web.problems import NOT_FOUND, Problem, Refusal, method_not_allowed

#: What metrics call this output.
NAME: Final = "imds"

#: The media type of what is not JSON; EC2 says the same.
TEXT: Final = "text/plain"

_TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105 - a path
#: Some SDKs leave out the slash at the end. Others first try …/security-credentials-extended/, and take the 404.
_ROLES_PATH: Final = re.compile(r"/latest/meta-data/iam/security-credentials(?:/([A-Za-z0-9][A-Za-z0-9._-]{0,127})?)?")

_TTL: Final = "x-aws-ec2-metadata-token-ttl-seconds"
_SHOWN: Final = b"x-aws-ec2-metadata-token"
#: The longest life of a session token that EC2 gives, in seconds.
_LONGEST: Final = 21_600

_BAD_TTL: Final = Problem(400, "BadRequest", f"{_TTL} must say for how many seconds, 1 to {_LONGEST}.")
#: What SDKs take for "get another one, and ask again"; 403 or 404 would send some of them to IMDSv1.
_NO_TOKEN: Final = Problem(401, "Unauthorized", f"PUT {_TOKEN_PATH} gives a token; show it in {_SHOWN.decode()}.")
#: As on an instance that has no role: SDKs look elsewhere. What it may not have does not exist for a caller.
_NO_ROLE: Final = Problem(404, "NotFound", "This caller is granted no such role.")

_NOT_YOURS: Final = (CallerUnknown, CallerDenied, RoleUnknown, RoleAmbiguous)

#: What another connection of the same caller may not share with this one.
_PASSING: Final = "process.pid"


class SessionTokens:
    """The tokens that IMDSv2 asks for first. Nothing is kept of them, so nobody can have more than there is room for.

    A token is its end and a code over that and whoever asked for it. After a restart all are unknown; SDKs then ask for
    another.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        """`key` is 32 random bytes of this process alone."""
        self._key = key
        self._clock = clock

    def issue(self, origin: Origin, seconds: int) -> bytes:
        """A token for whoever is there, good for so long."""
        end = int((self._clock.steady() + seconds) * 1000).to_bytes(8, "big")
        return base64.urlsafe_b64encode(end + self._code(end, origin))

    def good(self, origin: Origin, token: bytes) -> bool:
        """Whether it was issued to whoever is there, and has not ended."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except binascii.Error:
            return False
        end, code = raw[:8], raw[8:]
        genuine = hmac.compare_digest(code, self._code(end, origin))
        return genuine and self._clock.steady() * 1000 < int.from_bytes(end, "big")

    def _code(self, end: bytes, origin: Origin) -> bytes:
        whose = repr((origin.address, _lasting(origin.facts)))  # which no two lists have in common
        return hmac.digest(self._key, end + hashlib.sha256(whose.encode()).digest(), "sha256")


class ImdsOutput:
    """`PUT /latest/api/token`, then the name of the one role that a caller is granted, and its credentials."""

    def __init__(self, vendor: RoleVendor, roles: frozenset[str], tokens: SessionTokens) -> None:
        """Give out what `vendor` gives; `roles` are those that are configured."""
        self._vendor = vendor
        self._roles = roles
        self._tokens = tokens

    def label(self, path: str) -> Label:
        """What metrics call requests for a path."""
        match = _ROLES_PATH.fullmatch(path)
        return Label(NAME, match[1] if match is not None and match[1] in self._roles else "")

    async def answer(self, asked: Asked) -> Answered:
        """What EC2 would answer, after waiting at most 0.7 s. Raises Refusal, and why there are no credentials."""
        match = _ROLES_PATH.fullmatch(asked.path)
        if match is None and asked.path != _TOKEN_PATH:
            raise Refusal(NOT_FOUND)
        wanted = "PUT" if match is None else "GET"
        if asked.method != wanted:
            raise Refusal(method_not_allowed(wanted))
        if match is None:
            return self._token(asked)
        if not self._tokens.good(asked.peer.origin, asked.headers.get(_SHOWN, b"")):
            raise Refusal(_NO_TOKEN)
        peer = Peer(asked.peer.origin, None)  # by who it is alone, whatever it has presented besides
        try:
            return await (self._credentials(peer, match[1]) if match[1] else self._names(peer))
        except _NOT_YOURS as error:
            raise Refusal(_NO_ROLE) from error

    def ready(self, asked: Asked) -> Answered | None:  # noqa: ARG002 - the shape of an output
        """Nothing: every answer depends on a header."""
        return None

    def _token(self, asked: Asked) -> Answered:
        seconds = asked.headers.get(_TTL.encode(), b"")
        # Its digits are counted first: the time to read a number grows with the square of its length.
        if not (seconds.isdigit() and len(seconds) <= len(str(_LONGEST)) and 1 <= int(seconds) <= _LONGEST):
            raise Refusal(_BAD_TTL)
        issued = self._tokens.issue(asked.peer.origin, int(seconds))
        return Answered("", issued, TEXT, ((_TTL, seconds.decode("ascii")),))

    async def _names(self, peer: Peer) -> Answered:
        """The one role: a list of several is nothing that SDKs could choose from, so it is none."""
        _, granted = await self._vendor.seen(peer)
        # To vend is to tell of the refusal; only who has just been granted it gets through here.
        role = granted[0].name if len(granted) == 1 else (await self._vendor.vend(peer))[0]
        return Answered(role, role.encode("ascii"), TEXT)

    async def _credentials(self, peer: Peer, role: str) -> Answered:
        role, held = await self._vendor.vend(peer, role)
        return Answered(role, documents.imds(held))


def _lasting(facts: Facts) -> list[tuple[str, str]]:
    """What is known of a caller whichever of its connections it is known by, in order."""
    return sorted((name, value) for name, value in facts if name != _PASSING)
