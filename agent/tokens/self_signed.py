"""Where does our identity token come from? From our own key: we are the issuer.

What AWS reads in a token: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html for tags,
.../id_credentials_temp_control-access_monitor.html for the source identity; the limits are those of the STS and IAM
API references.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agent import jose
from agent.clock import Clock
from agent.errors import ConfigurationError
from agent.events import Report, TokenSigned
from agent.keys import SigningKey
from agent.secret import Secret
from agent.tokens import MOST_TAGS, IssuedToken, Token, one_tag, tag_name_fault, tag_value_fault

ROLES_CLAIM = "https://aws.amazon.com/roles"
TAGS_CLAIM = "https://aws.amazon.com/tags"
SOURCE_IDENTITY_CLAIM = "https://aws.amazon.com/source_identity"

#: Tokens begin this long ago: API Gateway grants no leeway, and its clock and STS's need not agree to the second.
BACKDATED = timedelta(seconds=10)

_LONGEST_TOKEN = 20_000  # characters, STS AssumeRoleWithWebIdentity
_OVERHEAD = 1_000  # characters for header (150), times and jti (150) and the signature of the largest key (683)
_SHORTEST_LIFETIME, _LONGEST_LIFETIME = timedelta(minutes=1), timedelta(hours=24)
_SOURCE_IDENTITY = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
#: Claims that are ours to write. azp is nobody's: STS would take it for the audience.
_RESERVED = {"iss", "sub", "aud", "azp", "iat", "nbf", "exp", "jti", ROLES_CLAIM, TAGS_CLAIM, SOURCE_IDENTITY_CLAIM}


#: Gives the key that signs now, which another one may follow at any time. Raises KeyUnavailable.
Signer = Callable[[], SigningKey]


@dataclass(frozen=True, slots=True)
class Identity:
    """What our tokens say of us; ConfigurationError if AWS would not take it.

    Attributes:
        issuer: the URL under which our public keys are published, to the letter.
        subject: who we are, 6 to 127 bytes (STS wants 6, other clouds take no more than 127).
        audience: the one relying party that may take the token.
        lifetime: from iat to exp, 1 minute to 24 hours; what STS gives for the token lives longer, by its own rule.
        roles: ARNs; with any, STS takes the token for these roles alone.
        tags: session tags (the role's trust policy must allow sts:TagSession).
        transitive_tags: names of those tags that survive role chaining.
        source_identity: stays with the session in CloudTrail (the trust policy must allow sts:SetSourceIdentity).
        claims: more claims, for relying parties other than AWS.
    """

    issuer: str
    subject: str
    audience: str
    lifetime: timedelta
    roles: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    transitive_tags: tuple[str, ...] = ()
    source_identity: str | None = None
    claims: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse what could never become a good token."""
        _check_text("issuer", self.issuer)
        _check_text("audience", self.audience)
        _check_text("subject", self.subject)
        size = len(self.subject.encode())
        if not 6 <= size <= 127:
            raise ConfigurationError(
                f"the subject is {size} bytes long, not 6 to 127", hint='choose one such as "host:web-1"'
            )
        if not _SHORTEST_LIFETIME <= self.lifetime <= _LONGEST_LIFETIME:
            raise ConfigurationError(
                f"a token lifetime of {self.lifetime} is not between 1 minute and 24 hours",
                hint="5 minutes is plenty: a token is used as soon as it is made",
            )
        _check_tags(self.tags, self.transitive_tags)
        if self.source_identity is not None and not _SOURCE_IDENTITY.fullmatch(self.source_identity):
            raise ConfigurationError(
                "the source identity is not 2 to 64 letters, digits or any of _+=,.@-",
                hint="AWS takes no other characters there",
            )
        if taken := sorted(_RESERVED & self.claims.keys()):
            raise ConfigurationError(f"the claim {taken[0]} cannot be set by hand", hint="leave it out")
        if (size := self._token_size()) > _LONGEST_TOKEN:
            raise ConfigurationError(
                f"tokens would be {size} characters long, and STS takes {_LONGEST_TOKEN}",
                hint="drop some roles, tags or claims",
            )

    def facts(self) -> dict[str, object]:
        """The claims that are the same in every token, fresh and yours to add to."""
        claims: dict[str, object] = {"iss": self.issuer, "sub": self.subject, "aud": self.audience}
        if self.roles:
            claims[ROLES_CLAIM] = list(self.roles)
        if self.tags:
            tags: dict[str, object] = {"principal_tags": {name: [value] for name, value in self.tags.items()}}
            if self.transitive_tags:
                tags["transitive_tag_keys"] = list(self.transitive_tags)
            claims[TAGS_CLAIM] = tags
        if self.source_identity is not None:
            claims[SOURCE_IDENTITY_CLAIM] = self.source_identity
        return claims | dict(self.claims)

    def _token_size(self) -> int:
        try:
            return len(jose.signing_input({}, self.facts())) + _OVERHEAD
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                "the claims cannot be written as JSON", hint="use text, numbers, true, false, lists and tables"
            ) from error


class SelfSigned:
    """Tokens that we make and sign ourselves, a new one each time: for STS, or for another relying party."""

    def __init__(
        self, signer: Signer, identity: Identity, clock: Clock, *, token_id: Callable[[], str], report: Report
    ) -> None:
        """Sign by the time of `clock` (AWS's, where known); `token_id` gives a jti never given before."""
        self._signer = signer
        self._identity = identity
        self._clock = clock
        self._token_id = token_id
        self._report = report

    async def token(self) -> Token:
        """Make a token, good from a few seconds ago until the identity's lifetime after that. Raises KeyUnavailable."""
        issued = await self.fetch()
        return Token(issued.value, issued.expires_at)

    async def fetch(self) -> IssuedToken:
        """The same, with all that there is to tell of it."""
        key = self._signer()  # asked once: what the header says and what signs must be one key
        public = key.public
        now = self._clock.now()
        issued = int((now - BACKDATED).timestamp())
        expires = issued + int(self._identity.lifetime.total_seconds())
        header = {"alg": public.algorithm, "kid": public.kid, "typ": "JWT"}
        token_id, facts = self._token_id(), self._identity.facts()
        times = {"iat": issued, "nbf": issued, "exp": expires, "jti": token_id}
        signed = jose.signing_input(header, facts | times)
        signature = await key.sign(signed)
        self._report(TokenSigned(public.kid))
        return IssuedToken(
            Secret(jose.compact(signed, signature)),
            token_id,
            self._identity.audience,
            str(facts.get("scope", "")),
            obtained_at=now,
            expires_at=datetime.fromtimestamp(expires, UTC),
        )


def _check_text(name: str, value: str) -> None:
    # Lone surrogates, which cannot be encoded, are not printable either.
    if not value or value != value.strip() or not value.isprintable():
        raise ConfigurationError(
            f"the {name} is empty, or has blanks around it or control characters in it", hint=f"correct the {name}"
        )


def _check_tags(tags: Mapping[str, str], transitive: tuple[str, ...]) -> None:
    if len(tags) > MOST_TAGS:
        raise ConfigurationError(f"there are {len(tags)} session tags, and STS takes {MOST_TAGS}", hint="drop some")
    for name, value in tags.items():
        for part, fault in (("name", tag_name_fault(name)), ("value", tag_value_fault(value))):
            if fault:
                raise ConfigurationError(
                    f"the {part} of the session tag {name[:40]!r} {fault}", hint=f"choose another {part}"
                )
    if pair := one_tag(tags):
        raise ConfigurationError(
            f"the session tags {pair[0]!r} and {pair[1]!r} are one to STS, which ignores case", hint="drop one of them"
        )
    if strangers := [name for name in transitive if name not in tags]:
        raise ConfigurationError(
            f"the transitive tag {strangers[0]!r} is not among the session tags", hint="add it to the tags, or drop it"
        )
