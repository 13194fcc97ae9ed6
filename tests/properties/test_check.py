"""Does the daemon ever refuse what `rolecall check` calls good, or start with what it calls bad?"""

import json
import logging
import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agent.assembly.daemon import assemble
from agent.assembly.rehearsal import rehearse
from agent.clients.systemd import ServiceManager
from agent.errors import AgentError, ConfigurationError
from agent.infrastructure import Role
from agent.outputs.ecs import EcsOutput
from agent.roster import Roster
from agent.service import Service
from agent.settings import Settings, load
from agent.vending import Vendor
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import pem

#: Where rules begin and end, in capitals and out of them, in several scripts.
PIECES = [
    "a",
    "Team",
    "team",
    "É",
    "é",
    "ß",
    "ss",
    "٣",
    "\u3000",
    " ",
    "_.:/=+-@",
    ";",
    "aws:",
    "\u0301",
    "🙂",
    "é" * 63,
]
texts = some.lists(some.sampled_from(PIECES), max_size=5).map("".join) | some.text(max_size=8)
some_tags = some.dictionaries(texts, texts | some.just("é" * 256), max_size=4)
MANY = {f"{number}{'é' * 120}": "é" * 250 for number in range(48)}
arns = some.builds(
    "arn:{}:iam::{}:role/{}{}".format,
    some.sampled_from(["aws", "aws", "aws", "aws-cn", "aws-", "awsx", "AWS"]),
    some.sampled_from(["123456789012", "12345678901", "١٢٣٤٥٦٧٨٩٠١٢"]),
    some.sampled_from(["", "", "a/", "a//", "/", "a" * 511 + "/", "é/"]),
    some.sampled_from(["backup", "a" * 64, "a" * 65, "_+=,.@-", "é", ""]),
)


@dataclass(frozen=True)
class Drawn:
    """What the operator wrote down."""

    role: str = "backup"
    arn: str = "arn:aws:iam::123456789012:role/backup"
    tags: Mapping[str, str] = field(default_factory=lambda: {"team": "web"})
    own: Mapping[str, str] = field(default_factory=dict)
    transitive: list[str] = field(default_factory=list)
    identity: dict[str, str] = field(default_factory=dict)
    grant: Mapping[str, object] = field(default_factory=dict)
    further: str = ""
    host: str = "web-1"
    mode: int = 0o600
    broken: bool = False

    def write(self, home: Path) -> Path:
        """Put the configuration and its key there."""
        (home / "key.pem").write_bytes(b"" if self.broken else pem("ec-p256"))
        (home / "key.pem").chmod(self.mode)
        path = home / "rolecall.toml"
        path.write_text("\n".join(self._lines(home)), encoding="utf-8")
        return path

    def _lines(self, home: Path) -> Iterator[str]:
        yield '[issuer]\nurl = "https://oidc.example.com"'
        yield f'[key]\ncustodian = "pem"\nfile = "{home}/key.pem"\n[identity]\nsource = "self_signed"'
        yield from (f"{word} = {quoted(value)}" for word, value in self.identity.items())
        yield f"transitive_tags = [{', '.join(map(quoted, self.transitive))}]\ntags = {table(self.tags)}"
        yield f'[sts]\nregion = "eu-central-1"\n[roles.{quoted(self.role)}]\narn = {quoted(self.arn)}'
        yield f"tags = {table(self.own)}"
        if self.grant:
            yield f"[[grants]]\nroles = [{quoted(self.role)}]"
            yield from (f"{word} = {written(value)}" for word, value in self.grant.items())
        yield self.further.replace("HOME", str(home)).replace("ROLE_NAME", quoted(self.role))


def quoted(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's, but for pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def written(value: object) -> str:
    if isinstance(value, Mapping):
        return table(value)
    return f"[{', '.join(map(quoted, value))}]" if isinstance(value, list) else quoted(str(value))


def table(words: Mapping[str, str]) -> str:
    return f"{{ {', '.join(f'{quoted(word)} = {quoted(value)}' for word, value in words.items())} }}"


named = texts.map("host:{}".format)
#: What stands in templates of grants, between and around what is known of callers.
usual = some.sampled_from(["${UNIT}", "${USER}", "${ROLE}", "${HOST}", "-", "ab"])
odd = some.sampled_from(["${INSTANCE}", "${CONTAINER}", "$", "a" * 40, *PIECES])
templates = some.lists(usual, min_size=1, max_size=4).map("".join) | some.lists(usual | odd, max_size=4).map("".join)
some_grants = some.fixed_dictionaries(
    {"unit": some.sampled_from(["backup@*.service", "backup.service"])},
    optional={
        "user": some.sampled_from(["alice", ["alice", "1000"]]),
        "session_name": templates,
        "source_identity": templates,
        "tags": some.dictionaries(texts | some.sampled_from(["team", "Team"]), templates, max_size=3) | some.just(MANY),
        "duration": some.sampled_from(["15m", "1h", "61m"]),
        "policy": some.just('{"Statement": []}'),
        "policy_arns": some.just(["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
    },
)
FURTHER = [
    '[unit_tokens]\nsocket = "HOME/tokens.sock"\nsecret = "HOME/secrets"',
    '[containers]\nengine = "podman"\nlisten = "127.0.0.1:0"',
    '[containers]\nengine = "docker"\nrecognise = "address"',
    '[callers]\nrecognise = "off"',
    '[callers]\nexecutables = true\n[listen]\nimds = "127.0.0.1:0"\ncredentials = ["127.0.0.1:0", "[::1]:0"]',
    '[[files]]\nkind = "credentials"\npath = "HOME/a"\nrole = ROLE_NAME\nprofile = "p"\ngroup = "100"',
    '[[files]]\nkind = "web_identity_token"\npath = "HOME/a"\nrole = ROLE_NAME\nmode = "0440"',
]
STRANGE: dict[str, some.SearchStrategy[object]] = {
    "role": some.sampled_from(["a.b_c-d", "0", "a" * 63, "Backup", "a" * 64]),
    "arn": arns,
    "tags": some.just(MANY) | some_tags,
    "own": some.just({"Team": "storage"}) | some.just({"team": "storage"}) | some.just(MANY) | some_tags,
    "transitive": some.just(["team"]) | some.lists(texts, max_size=2),
    "identity": some.fixed_dictionaries(
        {}, optional={"subject": named, "audience": named, "source_identity": named, "lifetime": some.just("1h")}
    ),
    "grant": some_grants,
    "further": some.sampled_from(FURTHER),
    "host": texts,
    "mode": some.sampled_from([0o400, 0o640, 0o604]),
    "broken": some.just(value=True),
}


@some.composite
def drawn(draw: some.DrawFn) -> Drawn:
    """A good configuration with up to two strange things: what one rule refuses tries no other."""
    strange = draw(some.sets(some.sampled_from(sorted(STRANGE)), max_size=2))
    changes: dict[str, Any] = {name: draw(STRANGE[name]) for name in sorted(strange)}
    return replace(Drawn(), **changes)


async def assembled(known: Settings) -> Service:
    """As `run` does it."""
    return await assemble(
        known,
        clock=FakeClock(),
        chance=random.Random(0),
        logger=logging.getLogger("of-a-property"),
        manager=ServiceManager({}, os.getpid()),
        credentials_directory=None,
    )


@given(drawn())
@settings(max_examples=250, deadline=None)
async def test_what_is_called_good_can_be_built_and_what_is_called_bad_cannot(one: Drawn) -> None:
    with tempfile.TemporaryDirectory() as home:
        try:
            known = load(one.write(Path(home)), environ={}, host=one.host)
        except ConfigurationError:
            return
        refusals = (await rehearse(known, None)).refusals
        for refusal in refusals:  # whatever can be told of single settings was told with their paths
            assert refusal.path == "key" or refusal.error.what.startswith("tokens would be ")
        if refusals and one.grant:
            return  # what depends on who asks is made when somebody does, and then refused
        if refusals:
            with pytest.raises(AgentError) as caught:
                await assembled(known)
            assert caught.value.what in {refusal.error.what for refusal in refusals}
            return
        assert await assembled(known)
        output = EcsOutput(Vendor(Roster({}), [], [], lambda _: None), known.roles)
        for name, role in known.token_roles.items():
            assert output.label(f"/v1/credentials/{name}") == ("ecs", name)
            assert Role.of(name, role.arn, role.duration).arn == role.arn
