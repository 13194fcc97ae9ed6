"""What may the operator say about who gets which roles and tokens, and how much of them?"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import product
from math import prod
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from agent.callers import Facts
from agent.narrowing import Narrowing
from agent.patterns import is_pattern
from agent.settings import aws_callers, token_words
from agent.settings.credentials import Policy, PolicyArns, PolicyPath, SessionSpan
from agent.settings.mistakes import Wrong, listed
from agent.settings.names import Containers, Executables, Groups, Slices, Units, Users, UserUnits
from agent.settings.names import UnitTokens as TokenUnits
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import Flag, SecretPaths, array, one_of, span
from agent.settings.templates import CallerName, caller_tag, for_role, variables
from agent.settings.token_words import USUAL_LIFETIME, Audiences, Claims, Scopes, Subject, TokenSpan
from agent.settings.tokens import session_tags
from agent.wording import Wording

Recognition = Literal["kernel", "off"]

#: The words that say who is meant, and the fact by which each is known of a caller.
WHO: Final[Mapping[str, str]] = {
    "user": "unix.user",
    "group": "unix.group",
    "unit": "systemd.unit",
    "user_unit": "systemd.user_unit",
    "slice": "systemd.slice",
    "container": "container.name",
    "token_file": "token.file",
    "unit_token": "token.unit",
    "executable": "process.executable",
    **aws_callers.WHO,
}
#: Those that only the kernel can tell of a connection.
BY_KERNEL: Final = ("user", "group", "unit", "user_unit", "slice", "executable")
#: What has to be said of who is meant for a variable to be known of all of them.
_KNOWN_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "UID": BY_KERNEL,
    "USER": BY_KERNEL,
    "UNIT": ("unit", "user_unit"),
    "INSTANCE": ("unit",),
    "USER_UNIT": ("user_unit",),
    "CONTAINER": ("container",),
    "AWS_PRINCIPAL": tuple(aws_callers.WHO),
    "AWS_ACCOUNT": tuple(aws_callers.WHO),
    "AWS_SESSION": ("aws_principal",),
    "AWS_ORGANIZATION": ("aws_organization",),
}
#: The words that say how much of a role is given; they mean nothing where there is none.
_OF_ROLES: Final = ("session_name", "duration", "policy", "policy_file", "policy_arns", "tags", "source_identity")
#: More than so many ways to get a role by one grant are nobody's intention.
_MOST_WAYS: Final = 1000


class Callers(Section):
    """How callers are recognised who show no token: "kernel" is by what the kernel says of their connection.

    With `executables`, also by the program that they are, which takes a privilege.
    """

    recognise: Annotated[Recognition, one_of(Recognition)] = "kernel"
    executables: Flag = False

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Whom nobody asks about, nothing more is known of."""
        if words.get("recognise") == "off" and words.get("executables") is True:
            yield "executables", 'means nothing while recognise is "off"; leave it out, or write recognise = "kernel"'


def _role_name(value: str, _: Surroundings) -> str:
    if value == "*":
        raise Wrong('"*" is not taken: name each role, so that a role added later is not given away by accident')
    if not value:
        raise Wrong("is empty; write the name of a role")
    return value


class Grant(Section):
    """Roles and tokens for others, who may have them, and how much of them.

    Of one word that says who is meant, one value has to fit; of several words, all have to. `token_overlap` is how
    long a token stays good after it was replaced in its file. `session_name`, `source_identity` and the values of
    `tags` are templates in which ${ROLE}, and what is known of the caller, is not yet filled in; so are `subject` and
    the texts of `claims`, without ${ROLE}.
    """

    answers: ClassVar[Mapping[str, str]] = {
        "uid": 'is not taken; write user = "1000"',
        "gid": 'is not taken; write group = "1000", or better the name of the group',
        "service": 'is not taken; write unit = "….service"',
        "cgroup": 'is not taken; write unit = "…", or slice = "…"',
        "pid": 'is not taken, since it is another one at each start; write unit = "…"',
        "process": 'is not taken; write executable = "/…", or better unit = "…"',
        "image": 'is not taken; write container = "…", with the name of the container',
        "token": 'is not taken; write token_file = "/…", since a token itself never stands here',
        "address": 'is not taken, since addresses say nothing of who is there; write unit = "…", or user = "…"',
    }

    roles: Annotated[tuple[str, ...], array(_role_name, of="names of roles")] = Field((), examples=['["backup"]'])
    audiences: Audiences = Field((), examples=['["https://vault.example.com"]'])
    user: Users = Field((), examples=['"alice"', '"1000"'])
    group: Groups = Field((), examples=['"developers"'])
    unit: Units = Field((), examples=['"backup.service"', '"backup@*.service"'])
    user_unit: UserUnits = Field((), examples=['"sync.service"'])
    slice: Slices = Field((), examples=['"batch.slice"'])
    container: Containers = Field((), examples=['"web"'])
    token_file: SecretPaths = Field((), examples=['"/etc/rolecall/tokens/backup"'])
    token_overlap: Annotated[timedelta, span("0s", "7d")] = timedelta(hours=1)
    unit_token: TokenUnits = Field((), examples=['"backup.service"'])
    executable: Executables = Field((), examples=['"/usr/bin/restic"'])
    aws_principal: aws_callers.Principals = Field((), examples=['"arn:aws:iam::123456789012:role/deploy"'])
    aws_account: aws_callers.Accounts = Field((), examples=['"123456789012"'])
    aws_organization: aws_callers.Organizations = Field((), examples=['"o-a1b2c3d4e5"'])
    anyone: Flag = False
    session_name: CallerName | None = Field(None, examples=['"${HOST}-${UNIT}"'])
    duration: SessionSpan | None = Field(None, examples=['"15m"'])
    policy: Policy | None = Field(None, examples=["""'{"Version": "2012-10-17", "Statement": []}'"""])
    policy_file: PolicyPath | None = Field(None, examples=['"backup.json"'])
    policy_arns: PolicyArns = Field((), examples=['["arn:aws:iam::aws:policy/ReadOnlyAccess"]'])
    tags: Annotated[Mapping[str, str], session_tags(caller_tag)] = Field({}, examples=['{ unit = "${UNIT}" }'])
    source_identity: CallerName | None = Field(None, examples=['"${USER}"'])
    scopes: Scopes = Field((), examples=['["orders/read"]'])
    claims: Claims = Field({}, examples=['{ unit = "${UNIT}" }'])
    subject: Subject | None = Field(None, examples=['"${HOST}/${UNIT}"'])
    lifetime: TokenSpan = USUAL_LIFETIME

    @property
    def session_policy(self) -> str | None:
        """The session policy, wherever it was written."""
        return self.policy_file.policy if self.policy_file else self.policy

    def values(self, word: str) -> tuple[str, ...]:
        """What is written for one of the words of WHO, as texts."""
        return tuple(str(value) for value in getattr(self, word))

    @property
    def named(self) -> Sequence[str]:
        """The words by which it says who is meant."""
        return [word for word in WHO if self.values(word)]

    def ways(self) -> Sequence[Facts]:
        """Each way to be meant: what has to be known of a caller. None at all where nobody is named."""
        if self.anyone:  # only where it is spelt out: a grant that names nobody is nobody's
            return [frozenset()]
        named = [[_fact(word, value) for value in self.values(word)] for word in self.named]
        return [frozenset(way) for way in product(*named)] if named else []

    def narrowing(self, role: str) -> Narrowing:
        """How much of that role its callers get."""
        return Narrowing(
            session_name=None if self.session_name is None else for_role(self.session_name, role),
            duration=self.duration,
            policy=self.session_policy,
            policy_arns=self.policy_arns,
            tags=tuple(sorted((name, for_role(value, role)) for name, value in self.tags.items())),
            source_identity=None if self.source_identity is None else for_role(self.source_identity, role),
        )

    @property
    def given(self) -> Sequence[str]:
        """All that it gives, as one would say it: names of roles, and tokens."""
        return [*self.roles, *(f"tokens for {audience}" for audience in self.audiences)]

    def wording(self, subject: str) -> Wording:
        """What the tokens of its callers say; they speak of `subject`, unless it says of whom."""
        return token_words.wording(self.subject or subject, self.lifetime, self.scopes, self.claims)

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Who is meant is always said, and said so that it can be; what is to be known of them is."""
        named = [word for word in WHO if word in words and words[word] != []]
        yield from _what(words)
        yield from _who(words, named, cls.answers)
        yield from _contradictions(named)
        yield from aws_callers.aws_grant(words, [word for word in named if word not in aws_callers.WHO])
        sizes = [len(value) for word in named if isinstance(value := words.get(word), list)]
        given = [len(value) for word in ("roles", "audiences") if isinstance(value := words.get(word), list)]
        if (ways := prod(sizes) * max(sum(given), 1)) > _MOST_WAYS:
            said = f"comes to {ways} combinations of what is granted and callers; at most {_MOST_WAYS} are taken"
            yield "", f"{said}: leave out what another word says already, or write several [[grants]]"
        if "token_overlap" in words and "token_file" not in named:
            yield "token_overlap", "means nothing without token_file; leave it out"
        if "policy" in words and "policy_file" in words:
            yield "policy", 'cannot stand beside "policy_file"; keep one of them'
        yield from _unknowable(words, named)


def _fact(word: str, value: str) -> tuple[str, str]:
    """What is known of a caller that is meant by this value."""
    if word == "user" and value.isdigit():
        return "unix.uid", value
    if word not in {"token_file", "executable"} and is_pattern(value):
        return f"{WHO[word]}.like", value
    return WHO[word], value


def _what(words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What is given is said, and nothing of what is not."""
    for word, thing in (("roles", "roles"), ("audiences", "audiences")):
        if words.get(word) == []:
            yield word, f"is empty; name the {thing} that are granted"
    if "roles" not in words and "audiences" not in words:
        yield "roles", 'is missing; for example roles = ["backup"], or audiences = ["https://vault.example.com"]'
        return
    if "roles" not in words:
        for word in _OF_ROLES:
            if word in words:
                instead = "; for a token, write lifetime" if word == "duration" else ""
                yield word, f"means nothing without roles: it says how much of a role is given{instead}"
    if "audiences" not in words:
        for word in token_words.WORDS:
            if word in words:
                instead = "; for a role, write duration" if word == "lifetime" else ""
                yield word, f"means nothing without audiences: it says what is in a token{instead}"


def _who(words: Mapping[str, object], named: Sequence[str], answers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    empty = [word for word in WHO if words.get(word) == []]
    if words.get("anyone") is True and named:
        others = "has no token" if named == ["token_file"] else "is somebody else"
        said = f"whoever {others} gets the role as well; keep one of them"
        yield "anyone", f'cannot stand beside "{named[0]}": {said}'
    elif named or words.get("anyone") is True:
        yield from ((word, "is empty, so nobody is meant; write who is, or leave it out") for word in empty)
    elif words.get("anyone", False) is False and not answers.keys() & words.keys():
        example = 'unit = "….service", user = "…" or token_file = "/…"'
        yield "", f"does not say who is meant; write {example}, or anyone = true if that is meant"


def _contradictions(named: Sequence[str]) -> Iterator[tuple[str, str]]:
    if {"token_file", "unit_token"} <= {*named}:
        said = "a caller shows one token, of one kind; keep one of them, or write two [[grants]]"
        yield "unit_token", f'cannot stand beside "token_file": {said}'


def _unknowable(words: Mapping[str, object], named: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Templates that name what is not known of everyone who is meant."""
    texts = [(word, words[word]) for word in ("session_name", "source_identity", "subject") if word in words]
    texts += [("claims", value) for value in token_words.texts(words.get("claims"))]
    if isinstance(tags := words.get("tags"), Mapping):
        texts += [("tags", value) for value in tags.values()]
    told = set()
    for word, template in texts:
        for variable in variables([template]) if isinstance(template, str) else ():
            wanted = _KNOWN_BY[variable]
            known = {*wanted} & {*named} and (variable != "INSTANCE" or _all_instances(words.get("unit")))
            if not known and (word, variable) not in told:
                told.add((word, variable))
                which = ', with an @ in each, as in "backup@*.service"' if variable == "INSTANCE" else ""
                if not named and words.get("anyone") is not True:
                    continue  # who is meant is missing, which is said
                said = f"which is known only of callers that are granted by {_either(wanted)}{which}"
                yield word, f"names ${{{variable}}}, {said}; add that, or take this out"


def _all_instances(units: object) -> bool:
    several = units if isinstance(units, list) else [units]
    return all(isinstance(unit, str) and "@" in unit for unit in several)


def _either(words: Sequence[str]) -> str:
    return listed(words).replace(" and ", " or ")
