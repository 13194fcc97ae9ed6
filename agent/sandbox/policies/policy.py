"""What does a policy say to a request?

A policy is read once, and what IAM would not have stored is refused then: an operator or an element that is not
understood can therefore never allow anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from agent.sandbox.policies.conditions import Condition, Context, like, operator_named, substitute


class Malformed(Exception):
    """The document is not a policy that IAM would have taken."""


class Kind(Enum):
    """What the policy is attached to, which decides the elements it must and must not have."""

    TRUST = auto()
    IDENTITY = auto()


class Decision(Enum):
    """What policies say; a deny wins over every allow, and silence is a deny."""

    DENIED = auto()
    ALLOWED = auto()
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of a policy.

    Attributes:
        action: such as s3:GetObject.
        resource: an ARN; "" for a trust policy.
        federated: the ARN of the identity provider, for a trust policy.
        context: what conditions are about; keys in lower case.
    """

    action: str
    resource: str = ""
    federated: str = ""
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, read and checked."""

    allow: bool
    federated: tuple[str, ...]
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    conditions: tuple[Condition, ...]

    def covers(self, asking: Asking) -> bool:
        """Whether it speaks of this request at all."""
        return (
            self._names_principal(asking.federated)
            and self._names_action(asking.action)
            and self._names_resource(asking)
            and all(condition.holds(asking.context) for condition in self.conditions)
        )

    def _names_principal(self, federated: str) -> bool:
        return not self.federated or "*" in self.federated or federated in self.federated

    def _names_action(self, action: str) -> bool:
        if self.not_actions:
            return not any(like(action.lower(), one.lower()) for one in self.not_actions)
        return any(like(action.lower(), one.lower()) for one in self.actions)

    def _names_resource(self, asking: Asking) -> bool:
        if self.not_resources:
            return not _any_resource(self.not_resources, asking)
        return not self.resources or _any_resource(self.resources, asking)


def _any_resource(patterns: Iterable[str], asking: Asking) -> bool:
    filled = (substitute(one, asking.context) for one in patterns)
    return any(one is not None and like(asking.resource, one) for one in filled)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document, read and checked."""

    statements: tuple[Statement, ...]

    def decide(self, asking: Asking) -> Decision:
        """What this policy alone says."""
        return decide((self,), asking)


def decide(policies: Iterable[Policy], asking: Asking) -> Decision:
    """What several policies of one kind say together: any deny denies, else any allow allows."""
    speaking = [one for policy in policies for one in policy.statements if one.covers(asking)]
    if not speaking:
        return Decision.SILENT
    return Decision.ALLOWED if all(one.allow for one in speaking) else Decision.DENIED


_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_MEMBERS: Final = {
    Kind.TRUST: {"Sid", "Effect", "Principal", "Action", "NotAction", "Condition"},
    Kind.IDENTITY: {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"},
}
_PRINCIPALS: Final = ("AWS", "Federated", "Service", "CanonicalUser")


def read_policy(document: object, kind: Kind) -> Policy:
    """Read a policy document (parsed JSON). Raises Malformed, saying what IAM would dislike."""
    if not isinstance(document, Mapping):
        raise Malformed("Syntax errors in policy.")
    unknown = set(document) - {"Version", "Id", "Statement"}
    if unknown:
        raise Malformed(f"Syntax error: the policy has an unknown element {min(map(str, unknown))}")
    if document.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise Malformed("The policy must contain a valid version string")
    if document.get("Version", _VERSIONS[1]) == _VERSIONS[1]:
        document = _without_variables(document)
    assert isinstance(document, Mapping)
    statements = document.get("Statement")
    listed = statements if isinstance(statements, list | tuple) else [statements]
    if statements is None or not listed:
        raise Malformed("Syntax errors in policy.")
    return Policy(tuple(_statement(one, kind) for one in listed))


def _without_variables(value: object) -> object:
    """In policies of the older version, ${…} is text like any other: spell it so that it is taken as that."""
    if isinstance(value, Mapping):
        return {name: _without_variables(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_variables(one) for one in value]
    return value.replace("${", "${$}{") if isinstance(value, str) else value


def _statement(document: object, kind: Kind) -> Statement:
    """Read one statement."""
    if not isinstance(document, Mapping):
        raise Malformed("Syntax errors in policy.")
    for member in document:
        if str(member) not in _MEMBERS[kind]:
            raise Malformed(f"Has prohibited field {member}")
    effect = document.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise Malformed(f"Invalid effect: {effect}")
    if ("Action" in document) == ("NotAction" in document):
        raise Malformed("Policy statement must contain actions.")
    if kind is Kind.IDENTITY and ("Resource" in document) == ("NotResource" in document):
        raise Malformed("Policy statement must contain resources.")
    return Statement(
        allow=effect == "Allow",
        federated=_federated(document.get("Principal")) if kind is Kind.TRUST else (),
        actions=_texts(document, "Action"),
        not_actions=_texts(document, "NotAction"),
        resources=_texts(document, "Resource"),
        not_resources=_texts(document, "NotResource"),
        conditions=_conditions(document.get("Condition", {})),
    )


def _texts(document: Mapping[object, object], member: str) -> tuple[str, ...]:
    """A member that is one string or a list of them; () if it is absent."""
    if member not in document:
        return ()
    value = document[member]
    listed = value if isinstance(value, list | tuple) else [value]
    texts = tuple(one for one in listed if isinstance(one, str) and one)
    if not listed or len(texts) != len(listed):
        raise Malformed(f"Syntax error: {member} must be a string or a list of strings")
    if member in ("Action", "NotAction") and not all(one == "*" or ":" in one for one in texts):
        raise Malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    return texts


def _federated(principal: object) -> tuple[str, ...]:
    """The identity providers that a trust policy names; a principal that is none of them matches no token."""
    if principal == "*":
        return ("*",)
    if not isinstance(principal, Mapping) or not principal or not set(principal) <= set(_PRINCIPALS):
        raise Malformed("Invalid principal in policy")
    for kind in principal:
        _texts(principal, kind)
    return _texts(principal, "Federated") or ("(no identity provider)",)


def _conditions(document: object) -> tuple[Condition, ...]:
    """Read a Condition block: operator to key to values."""
    if not isinstance(document, Mapping):
        raise Malformed("Syntax error: Condition must be an object")
    conditions = []
    for name, keys in document.items():
        try:
            operator = operator_named(str(name))
        except KeyError as unknown:
            raise Malformed(f"Invalid Condition type : {name}") from unknown
        if not isinstance(keys, Mapping) or not keys:
            raise Malformed(f"Syntax error: {name} must be an object of condition keys")
        conditions += [Condition(operator, str(key), _values(values)) for key, values in keys.items()]
    return tuple(conditions)


def _values(values: object) -> tuple[str, ...]:
    """The values of a condition key as strings: JSON's true and 1 count as "true" and "1"."""
    listed = values if isinstance(values, list | tuple) else [values]
    if not listed or not all(isinstance(one, str | int | float) for one in listed):
        raise Malformed("Syntax error: a condition key must have a string, a number or a boolean, or a list of them")
    return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in listed)
