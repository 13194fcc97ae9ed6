"""What has to be written where tokens of others are verified, and nothing else."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.errors import ConfigurationError
from agent.settings import Settings, load
from agent.settings.doubts import warnings
from agent.settings.purpose import asks_sts, needs_roles, needs_token, only_verifies

RULE = '[verify.api]\nissuer = "https://login.example.com"\naudiences = ["https://api.example.com"]\n'
OWN = '[verify.own]\nissuer = "own"\naudiences = ["a"]\n'
ISSUER = '[issuer]\nurl = "https://oidc.example.com"\n'
KEY = '[key]\ncustodian = "pem"\ndirectory = "keys"\n'
ROLE = '[roles.backup]\narn = "arn:aws:iam::123456789012:role/backup"\n'
GRANT = '[[grants]]\naudiences = ["vault"]\nunit = "web.service"\n'
AWS_CALLERS = """[aws_callers]
server_id = "https://tokens.example.com:8443"
certificate = "/etc/ssl/chain.pem"
private_key = "/etc/ssl/key.pem"
"""


def written(home: Path, text: str) -> Settings:
    path = home / "rolecall.toml"
    path.write_text(text)
    return load(path, environ={}, host="web-1")


def wrong(home: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        written(home, text)
    return caught.value.what.splitlines()


def test_a_rule_is_enough(tmp_path: Path) -> None:
    known = written(tmp_path, RULE)
    assert (known.roles, known.issuer, known.key, known.rotation) == ({}, None, None, None)
    assert not known.uses_sts
    assert str(known.listen.verify_address) == "127.0.0.1:9173"
    assert warnings(known) == []


def test_a_rule_for_our_own_tokens_needs_an_issuer_and_a_key_and_still_no_role(tmp_path: Path) -> None:
    assert wrong(tmp_path, OWN) == [
        'verify.own.issuer: is "own", but there is no [issuer] with a [key] whose tokens it means'
    ]
    known = written(tmp_path, ISSUER + KEY + OWN)
    assert known.issuer is not None
    assert known.key is not None
    assert not known.uses_sts


@pytest.mark.parametrize(
    ("half", "missing"),
    [
        (ISSUER, ["key: is missing; [issuer] needs it"]),
        (KEY, ["issuer: is missing; [key] needs it"]),
        ("[rotation]\n", ["issuer: is missing; [rotation] needs it", "key: is missing; [rotation] needs it"]),
        (
            '[identity]\nsubject = "host:web-1"\n',
            ["issuer: is missing; identity.source", "key: is missing; identity.source"],
        ),
    ],
)
def test_what_was_begun_for_tokens_of_our_own_is_to_be_finished(half: str, missing: list[str], tmp_path: Path) -> None:
    told = wrong(tmp_path, half + RULE)
    assert [line for line in told if any(line.startswith(one) for one in missing)] == told
    assert len(told) == len(missing)


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        (ROLE, {"issuer", "key", "sts.region"}),
        (GRANT, {"issuer", "key"}),
        (AWS_CALLERS, {"issuer", "key", "sts.region"}),
    ],
)
def test_whatever_needs_more_asks_for_it_beside_a_rule_as_well(more: str, missing: set[str], tmp_path: Path) -> None:
    assert {line.split(":")[0] for line in wrong(tmp_path, RULE + more)} == missing


def test_no_rule_is_no_purpose(tmp_path: Path) -> None:
    told = {line.split(":")[0] for line in wrong(tmp_path, "[verify]\n")}
    assert told == {"roles", "issuer", "key", "sts.region"}


def test_a_rule_that_is_wrong_is_all_that_is_told_of(tmp_path: Path) -> None:
    (line,) = wrong(tmp_path, '[verify.api]\nissuer = "https://login.example.com"\n')
    assert line.startswith("verify.api.audiences: is missing")
    assert wrong(tmp_path, 'verify = "api"\n') == [
        "verify: must be tables, each begun by a line [verify.NAME], not text"
    ]


@pytest.mark.parametrize(
    ("words", "alone", "roles", "sts", "token"),
    [
        ({}, False, True, True, True),
        ({"verify": {"a": 1}}, True, False, False, False),
        ({"verify": {"a": 1}, "roles": {"b": 1}}, False, False, True, True),
        ({"verify": {"a": 1}, "roles": {"b": {"source": "identity_center"}}}, False, False, True, False),
        ({"verify": {"a": 1}, "grants": [{"audiences": 1}]}, False, False, False, True),
        ({"verify": {"a": 1}, "aws_callers": {}}, False, False, True, True),
        ({"grants": [{"audiences": 1}]}, False, False, False, True),
    ],
)
def test_what_is_needed_is_seen_whatever_is_written(
    words: Mapping[str, object],
    alone: bool,  # noqa: FBT001 - a row
    roles: bool,  # noqa: FBT001
    sts: bool,  # noqa: FBT001
    token: bool,  # noqa: FBT001
) -> None:
    assert (only_verifies(words), needs_roles(words), asks_sts(words), needs_token(words)) == (alone, roles, sts, token)
