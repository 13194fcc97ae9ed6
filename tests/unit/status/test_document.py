"""Do programs get what they were promised?"""

import dataclasses
import json
from datetime import timedelta

from agent.errors import CredentialsUnavailable
from agent.status.document import readiness_document, status_document
from tests.unit.status.samples import KID, RULE, TOKENS, Inside


async def test_the_document_of_an_agent_that_is_well() -> None:
    inside = Inside()
    inside.hear()
    await inside.renew()
    inside.callers["backup"] = ("token.file=/etc/rolecall/tokens/backup",)
    assert json.loads(json.dumps(status_document(inside.overview.snapshot()))) == {
        "version": "1.2.3",
        "taken_at": "2026-11-20T12:16:40Z",
        "started_at": "2026-11-20T12:00:00Z",
        "running_for_seconds": 0.0,
        "ready": True,
        "clock_offset_seconds": 1000.0,
        "roles": [
            {
                "role": "backup",
                "arn": "arn:aws:iam::123456789012:role/backup",
                "state": "good",
                "ready": True,
                "reason": None,
                "usable": True,
                "key_id_ending": "0001",
                "expires_at": "2026-11-20T13:16:40Z",
                "left_seconds": 3600.0,
                "age_seconds": 0.0,
                "last_success": "2026-11-20T12:16:40Z",
                "next_attempt_in_seconds": 1710.0,
                "failures": 0,
                "problem": None,
                "hint": None,
                "callers": ["token.file=/etc/rolecall/tokens/backup"],
                "sessions": [
                    {
                        "about": None,
                        "on_demand": False,
                        "state": "good",
                        "ready": True,
                        "reason": None,
                        "usable": True,
                        "key_id_ending": "0001",
                        "expires_at": "2026-11-20T13:16:40Z",
                        "left_seconds": 3600.0,
                        "age_seconds": 0.0,
                        "last_success": "2026-11-20T12:16:40Z",
                        "next_attempt_in_seconds": 1710.0,
                        "failures": 0,
                        "problem": None,
                        "hint": None,
                        "callers": ["token.file=/etc/rolecall/tokens/backup"],
                    }
                ],
            }
        ],
        "keys": [
            {
                "kid": KID,
                "algorithm": "RS256",
                "state": "signing",
                "custodian": None,
                "since": "2026-11-20T12:00:00Z",
                "published": True,
                "next": "its successor is made",
                "next_in_seconds": None,
            }
        ],
        "issuer_looked_at": "2026-11-20T12:00:00Z",
        "sign_ins": [],
        "tokens": [],
        "rules": [],
        "listeners": [{"name": "credentials", "address": "http://127.0.0.1:9170"}],
    }


async def test_tokens_for_others_are_told_by_audience() -> None:
    inside = Inside()
    inside.tokens.append(TOKENS)
    document = json.loads(json.dumps(status_document(inside.overview.snapshot())))
    assert document["tokens"] == [
        {
            "audience": "https://vault.example.com",
            "state": "bare",
            "kept": 3,
            "held": 2,
            "first_ends_at": "2026-11-20T12:20:00Z",
            "next_attempt_in_seconds": 30.0,
            "failures": 4,
            "problem": "the key is locked",
            "hint": "unlock it",
            "callers": ["systemd.unit=backup.service", "systemd.unit=web.service"],
        }
    ]


async def test_rules_for_tokens_of_others_are_told_with_their_issuer() -> None:
    inside = Inside()
    inside.rules.append(RULE)
    document = json.loads(json.dumps(status_document(inside.overview.snapshot())))
    assert document["rules"] == [
        {
            "rule": "api",
            "issuer": "https://login.example.com/pool",
            "state": "bare",
            "keys": 0,
            "problem": "its site does not answer",
            "hint": "see whether it can be reached from here",
        }
    ]


async def test_what_is_not_known_is_null() -> None:
    inside = Inside()
    inside.sources["backup"].failure = CredentialsUnavailable("STS does not answer.")
    await inside.renew()
    document = json.loads(json.dumps(status_document(inside.overview.snapshot())))
    [role] = document["roles"]
    nothing = ("key_id_ending", "expires_at", "left_seconds", "age_seconds", "last_success", "hint")
    assert document["clock_offset_seconds"] is None
    assert [role[name] for name in nothing] == [None] * len(nothing)


async def test_a_role_that_is_fetched_on_demand_is_told_of_without_anything_in_it() -> None:
    idle = dataclasses.replace(Inside().overview.role("backup"), sessions=())
    now = dataclasses.replace(Inside().overview.snapshot(), roles=(idle,))
    [role] = json.loads(json.dumps(status_document(now)))["roles"]
    assert (role["state"], role["ready"], role["usable"], role["sessions"]) == ("idle", True, False, [])
    nothing = ("key_id_ending", "expires_at", "left_seconds", "age_seconds", "problem", "hint", "reason")
    assert [role[name] for name in nothing] == [None] * len(nothing)


async def test_readiness_names_each_role_and_why_it_is_not() -> None:
    inside = Inside(("backup", "web"))
    await inside.renew("backup")
    await inside.base.advance(timedelta(seconds=1))
    assert readiness_document(inside.overview.snapshot().roles) == {
        "ready": False,
        "roles": {
            "backup": {"ready": True, "reason": None},
            "web": {"ready": False, "reason": "the first credentials are still on their way"},
        },
    }
