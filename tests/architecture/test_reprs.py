"""No generated repr shows what may be a secret: a traceback with locals, or a stray %r, would print it."""

import dataclasses
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agent.callers import Origin, Peer
from agent.cli.environment import Environment
from agent.cli.reach import Reply
from agent.web import Answered, Asked
from agent.web.connections import Beginning
from agent.web.fast import Ready, Recognised

AGENT = Path(__file__).parents[2] / "agent"

#: Bytes, and containers of whatever somebody else said: where tokens, keys and credentials are on their way.
MAY_HOLD = re.compile(r"\b(bytes|bytearray|memoryview|object|Any)\b|(dict|Mapping)\[")

#: What is shown of these is no secret, and why.
PUBLIC = {
    "agent.assembly.callers.Wanted.patterns": "patterns of names, as written in the configuration",
    "agent.assembly.recognition.Recognition.jobs": "functions",
    "agent.callers.bearer._Reading.digests": "digests, not tokens",
    "agent.callers.bearer._File.digests": "digests, not tokens",
    "agent.callers.bearer._File.earlier": "digests, not tokens",
    "agent.cli.first_configuration.Answers.publishing": "settings hold paths of secrets, never the secrets",
    "agent.cli.first_configuration.Answers.roles": "ARNs, by name",
    "agent.cli.first_files.Plan.accounts": "roles, by account",
    "agent.cli.sandbox._Plan.sites": "folders, by URL",
    "agent.cli.sandbox._Plan.variables": "addresses and names of files",
    "agent.keys.PublicKey.jwk": "the public half, which the issuer shows to the world",
    "agent.keys.vault_transit.versions.TransitKey.public": "public halves",
    "agent.outputs.verify.Gate.headers": "names, as written in the configuration",
    "agent.publishing.Document.body": "what the issuer shows to the world",
    "agent.publishing.Sighting.keys": "what the issuer shows to the world",
    "agent.service.Service.clients": "open and shut, no contents",
    "agent.service.Service.jobs": "functions",
    "agent.settings.loading.Settings.roles": "settings hold paths of secrets, never the secrets",
    "agent.settings.loading.Settings.verify": "rules, as written",
    "agent.settings.draft.Draft.verify": "rules, as written",
    "agent.settings.draft.Draft.files": "settings hold paths of secrets, never the secrets",
    "agent.settings.draft.Draft.grants": "settings hold paths of secrets, never the secrets",
    "agent.settings.draft.Draft.roles": "settings hold paths of secrets, never the secrets",
    "agent.settings.section.Surroundings.names": "the names of the host and the role",
    "agent.telemetry.key_lines.Line.fields": "what the log is about to say",
    "agent.tokens.self_signed.Identity.claims": "claims that others read, as written in the configuration",
    "agent.verification.Rule.claims": "what others' tokens have to say, as written in the configuration",
    "agent.tokens.self_signed.Identity.tags": "session tags, which CloudTrail shows",
}


def values() -> list[type[Any]]:
    """Every dataclass and NamedTuple of ours; the sandbox has no secrets of anybody's."""
    names = [
        ".".join(path.relative_to(AGENT.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(AGENT.rglob("*.py"))
        if path.name != "__main__.py" and "sandbox" not in path.parts
    ]
    found = {
        one
        for name in names
        for one in vars(import_module(name)).values()
        if isinstance(one, type) and one.__module__ == name
    }
    return sorted(
        (one for one in found if dataclasses.is_dataclass(one) or issubclass(one, tuple)),
        key=lambda one: (one.__module__, one.__qualname__),
    )


def shown(value: type[Any]) -> list[tuple[str, str]]:
    """The fields that the repr shows: name and type."""
    if not dataclasses.is_dataclass(value):  # a NamedTuple, whose own repr shows everything
        own = value.__repr__.__module__ == value.__module__
        return [] if own else [(name, str(kind)) for name, kind in value.__annotations__.items()]
    return [(field.name, str(field.type)) for field in dataclasses.fields(value) if field.repr]


def named(value: type[Any]) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def judged(value: type[Any]) -> Any:
    """What is still shown must be taken off the list when it is hidden."""
    return pytest.param(value, id=named(value))


def test_what_is_listed_as_public_is_still_there_and_shown() -> None:
    there = {f"{named(value)}.{field}" for value in values() for field, kind in shown(value) if MAY_HOLD.search(kind)}
    assert set(PUBLIC) <= there


@pytest.mark.parametrize("value", [judged(value) for value in values()])
def test_what_may_hold_a_secret_is_not_shown(value: type[Any]) -> None:
    told = {f"{named(value)}.{field}" for field, kind in shown(value) if MAY_HOLD.search(kind)}
    assert not told - set(PUBLIC), "hide it with field(repr=False) or a __repr__ of its own"


@pytest.mark.parametrize(
    "value",
    [
        Answered("backup", b"canary"),
        Ready(b"canary", last=True, counted=("ecs", "backup", 200)),
        Beginning(received=b"canary", unsent=b"canary"),
        Reply(200, b"canary", {"Token": "canary"}),
        Environment({"AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary"}, ()),
        Recognised(Asked("GET", "/", Peer(Origin("127.0.0.1"), b"canary")), last=True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_those_that_do_hold_secrets_do_not_show_them(value: object) -> None:
    assert "canary" not in repr(value)
