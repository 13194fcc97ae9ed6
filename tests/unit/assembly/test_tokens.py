import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import pytest

from agent.assembly.tokens import mint, token_source
from agent.clock import RemoteClock
from agent.errors import ConfigurationError
from agent.settings import Settings, load
from agent.tokens import Token
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported
from tests.fakes.written import write_configuration

ROLES = """
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
tags = { purpose = "backup", team = "storage" }
[roles.reports]
arn = "arn:aws:iam::123456789012:role/reports"
[[grants]]
roles = ["backup", "reports"]
anyone = true
[sts]
region = "eu-central-1"
"""


def settings(home: Path, identity: str = "") -> Settings:
    path = home / "rolecall.toml"
    issuer = '[issuer]\nurl = "https://oidc.example.com"\n[key]\ncustodian = "pem"\ndirectory = "/keys"\n'
    path.write_text(f"{issuer}[identity]\nsubject = 'host:web-1'\n{identity}\n{ROLES}")
    return load(path, environ={}, host="web-1")


def ids() -> str:
    return str(UUID(int=1))


async def claims_of(known: Settings, role: str) -> Mapping[str, Any]:
    clock, key = RemoteClock(FakeClock()), MemoryKey()
    source = token_source(known, known.token_roles[role], lambda: key, clock=clock, token_id=ids, report=Reported())
    return claims(await source.token())


def claims(token: Token) -> Mapping[str, Any]:
    found: Mapping[str, Any] = jwt.decode(token.value.reveal(), options={"verify_signature": False})
    return found


async def test_a_token_says_what_is_configured_and_names_the_one_role_it_is_for(tmp_path: Path) -> None:
    said = await claims_of(settings(tmp_path), "backup")
    assert (said["iss"], said["sub"], said["aud"]) == ("https://oidc.example.com", "host:web-1", "sts.amazonaws.com")
    assert said["https://aws.amazon.com/roles"] == ["arn:aws:iam::123456789012:role/backup"]
    assert said["jti"] == ids()


async def test_roles_are_not_pinned_where_that_is_not_wanted(tmp_path: Path) -> None:
    said = await claims_of(settings(tmp_path, "pin_roles = false"), "backup")
    assert "https://aws.amazon.com/roles" not in said


async def test_a_role_adds_tags_to_those_of_the_identity_and_may_change_them(tmp_path: Path) -> None:
    known = settings(tmp_path, 'tags = { team = "web", site = "fra" }')
    backup, reports = json.dumps(await claims_of(known, "backup")), json.dumps(await claims_of(known, "reports"))
    assert all(word in backup for word in ("storage", "fra", "purpose"))
    assert "web" in reports.replace("host:web-1", "")
    assert "storage" not in reports


async def test_each_token_is_signed_by_the_key_that_signs_by_then(tmp_path: Path) -> None:
    known, clock, keys = settings(tmp_path), RemoteClock(FakeClock()), [MemoryKey()]
    role, report = known.token_roles["backup"], Reported()
    source = token_source(known, role, lambda: keys[-1], clock=clock, token_id=ids, report=report)
    first = await source.token()
    keys.append(MemoryKey())
    signed = [jwt.get_unverified_header(token.value.reveal())["kid"] for token in (first, await source.token())]
    assert signed == [key.public.kid for key in keys]


async def test_somebody_else_s_token_is_read_from_its_file(tmp_path: Path) -> None:
    written = write_configuration(tmp_path)
    known = load(written.config, environ={}, host="web-1")
    given = jwt.encode({"exp": 2_000_000_000, "sub": "theirs"}, "k" * 32, algorithm="HS256")
    (tmp_path / "identity").write_text(f"{given}\n")
    (tmp_path / "identity").chmod(0o600)
    clock = RemoteClock(FakeClock())
    source = token_source(known, known.token_roles["backup"], None, clock=clock, token_id=ids, report=Reported())
    assert (await source.token()).value.reveal() == given


async def test_without_a_key_there_is_nothing_to_sign_with(tmp_path: Path) -> None:
    known, clock = settings(tmp_path), RemoteClock(FakeClock())
    with pytest.raises(ConfigurationError, match="no key or issuer"):
        token_source(known, known.token_roles["backup"], None, clock=clock, token_id=ids, report=Reported())


async def test_by_hand_a_token_can_be_made_for_all_roles_and_with_changes(tmp_path: Path) -> None:
    known, clock = settings(tmp_path), FakeClock()
    changes = {"audience": "somebody.example.com", "lifetime": timedelta(minutes=1)}
    said = claims(await mint(known, MemoryKey(), None, clock=clock, token_id=ids, changes=changes))
    assert said["aud"] == "somebody.example.com"
    assert len(said["https://aws.amazon.com/roles"]) == 2
    one = claims(await mint(known, MemoryKey(), known.token_roles["reports"], clock=clock, token_id=ids, changes={}))
    assert one["https://aws.amazon.com/roles"] == ["arn:aws:iam::123456789012:role/reports"]


async def test_by_hand_nothing_can_be_made_where_somebody_else_makes_the_tokens(tmp_path: Path) -> None:
    known = load(write_configuration(tmp_path).config, environ={}, host="web-1")
    with pytest.raises(ConfigurationError, match="takes its tokens from somebody else"):
        await mint(known, MemoryKey(), None, clock=FakeClock(), token_id=ids, changes={})
