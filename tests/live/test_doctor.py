"""The doctor against a real chain: every way to break it is named first, and a chain that works is left in peace."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.assembly.keys import make_key
from agent.doctor import LINKS
from agent.doctor.diagnosis import Diagnosis
from agent.keys import Kind
from agent.sandbox import Sandbox
from tests.fakes.answering import answering, http
from tests.live.broken_chains import CASES, Case
from tests.live.chain import Chain, living, with_path
from tests.live.host import ISSUER, TOKEN, sandboxed

pytestmark = pytest.mark.long

#: The links that there are in every configuration.
ALWAYS = [link for link in LINKS if link not in {"sign-in", "rules"}]


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with sandboxed(tmp_path) as (host, sandbox):
        with ExitStack() as held:
            yield Chain(host, sandbox, held)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_is_broken_is_named_first_and_nothing_else_is_blamed(case: Case, chain: Chain) -> None:
    async with AsyncExitStack() as stack:
        if case.agent:
            await stack.enter_async_context(living(chain.settings))
        case.break_it(chain)
        diagnosis = await chain.diagnosis()
    first = diagnosis.findings[0]
    assert (first.link, first.severity) == (case.link, case.severity), told(diagnosis)
    assert case.what in first.what, told(diagnosis)
    assert case.hint in first.hint, told(diagnosis)
    others = [one for one in diagnosis.findings[1:] if one.severity == "error"]
    assert others == [], told(diagnosis)
    assert diagnosis.is_broken == (case.severity == "error")
    assert TOKEN not in told(diagnosis)
    assert not re.search(r"eyJ[\w-]+\.", told(diagnosis))  # a token; a kid may have these letters by chance


def seen(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file there is, when it was written and what is in it."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in home.rglob("*") if path.is_file()}


def above_notes(diagnosis: Diagnosis) -> list[str]:
    return [one.what for one in diagnosis.findings if one.severity != "note"]


@pytest.mark.parametrize("kind", ["ec-p256", "rsa-2048"])
async def test_a_chain_that_works_is_left_in_peace(kind: Kind, chain: Chain) -> None:
    chain.pem.unlink()
    make_key(chain.home / "keys", kind)
    await chain.publish()
    async with living(chain.settings):
        diagnosis = await chain.diagnosis()
    assert above_notes(diagnosis) == [], told(diagnosis)
    assert diagnosis.verdict == "everything is in order"
    assert [one.link for one in diagnosis.tried if one.good] == ALWAYS
    assert [one.not_tried for one in diagnosis.tried if one.not_tried] == []


async def test_without_an_agent_it_says_so_and_nothing_is_written(chain: Chain) -> None:
    before = seen(chain.home)
    diagnosis = await chain.diagnosis()
    assert seen(chain.home) == before
    assert above_notes(diagnosis) == [f"no agent runs at {chain.settings.listen.admin}: programs get no credentials"]
    assert not diagnosis.is_broken


async def test_what_tries_a_role_can_be_told_in_cloudtrail_and_stays_short(chain: Chain) -> None:
    chain.write(('role/backup"', 'role/backup"\nduration = "2h"\nsession_name = "web-1"'))
    chain.role(max_session=timedelta(hours=2))
    diagnosis = await chain.diagnosis()
    assert not diagnosis.is_broken, told(diagnosis)
    names = [call.session_name for call in chain.sandbox.requests if call.code == "Success"]
    assert names == ["web-1-doctor", "web-1"]  # for a quarter of an hour; and for all of it, and good for nothing


async def test_a_trust_policy_that_names_the_session_is_no_reason_to_complain(chain: Chain) -> None:
    chain.write(('role/backup"', 'role/backup"\nsession_name = "web-1"'))
    chain.condition("sts:RoleSessionName", "web-1")
    diagnosis = await chain.diagnosis()
    assert not diagnosis.is_broken, told(diagnosis)


async def test_an_issuer_with_a_path_and_roles_with_tags_and_paths_work(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _), with_path(host) as chain, living(chain.settings):
        diagnosis = await chain.diagnosis()
    assert above_notes(diagnosis) == [], told(diagnosis)


async def test_of_two_roles_the_one_that_does_not_work_is_named(tmp_path: Path) -> None:
    async with sandboxed(tmp_path, ("backup", "files")) as (host, sandbox):
        chain = Chain(host, sandbox, ExitStack())
        backup = sandbox.world.roles[0]
        chain.policy({"Action": "sts:AssumeRole"})
        sandbox.world = replace(sandbox.world, roles=(backup, sandbox.world.roles[1]))
        diagnosis = await chain.diagnosis()
    (error,) = [one for one in diagnosis.findings if one.severity == "error"]
    assert "role/files" in error.what
    assert error.hint.startswith("backup works by the same issuer, so it is this role")


async def test_what_is_wrong_with_every_role_is_said_once(tmp_path: Path) -> None:
    async with sandboxed(tmp_path, ("backup", "files", "mail")) as (host, sandbox):
        chain = Chain(host, sandbox, ExitStack())
        chain.provider(client_ids=("other",))
        diagnosis = await chain.diagnosis()
    (error,) = [one for one in diagnosis.findings if one.severity == "error"]
    assert "role/backup" in error.what
    assert "(and the same for files, mail)" in error.what


async def test_an_agent_that_came_to_nothing_before_it_was_mended_is_told_to_try_again(chain: Chain) -> None:
    trusting = chain.sandbox.world
    chain.policy({"Action": "sts:AssumeRole"})
    async with living(chain.settings):
        chain.sandbox.world = trusting
        diagnosis = await chain.diagnosis()
    first = diagnosis.findings[0]
    assert (first.link, first.severity) == ("endpoint", "error"), told(diagnosis)
    assert "has nothing to give as backup, and from here it works: STS gave no credentials" in first.what
    assert "systemctl reload rolecall" in first.hint


async def test_credentials_that_aws_does_not_know_are_found_out(chain: Chain) -> None:
    """The agent was started with another STS than the configuration names now."""
    async with living(chain.settings), Sandbox(chain.sandbox.world, sites={ISSUER: chain.home / "site"}) as other:
        chain.write((chain.sandbox.endpoint_url, other.endpoint_url))
        diagnosis = await chain.diagnosis()
    first = diagnosis.findings[0]
    assert (first.link, first.severity) == ("endpoint", "error"), told(diagnosis)
    assert "AWS does not take what the agent serves as backup: STS refuses them: InvalidClientTokenId" in first.what


async def test_an_agent_that_signs_with_another_key_is_told_to_restart(chain: Chain) -> None:
    async with living(chain.settings):
        chain.pem.unlink()
        for left in (chain.home / "keys").glob("ring.json"):
            left.unlink()
        make_key(chain.home / "keys", "ec-p256")
        await chain.publish()
        diagnosis = await chain.diagnosis()
    first = diagnosis.findings[0]
    assert (first.link, first.severity) == ("endpoint", "error"), told(diagnosis)
    assert "the agent that runs signs with the key" in first.what


async def test_a_token_that_this_user_may_not_read_is_not_tried(chain: Chain) -> None:
    async with living(chain.settings):
        # No directory, so that even root cannot look inside.
        chain.write((f'token_file = "{chain.home}/token"', f'token_file = "{chain.host.config}/token"'))
        diagnosis = await chain.diagnosis()
    assert not diagnosis.is_broken, told(diagnosis)
    (link,) = [one for one in diagnosis.tried if one.link == "endpoint"]
    assert "can be read by this user" in link.not_tried
    assert "run this as a user who can read one" in link.not_tried


async def test_a_role_of_callers_who_are_known_by_what_they_are_is_not_ours_to_try(chain: Chain) -> None:
    """No user has this number, so it is nobody's who runs the tests."""
    chain.write((f'token_file = "{chain.home}/token"', 'user = "4294967290"'))
    async with living(chain.settings):
        diagnosis = await chain.diagnosis()
    assert not diagnosis.is_broken, told(diagnosis)
    (link,) = [one for one in diagnosis.tried if one.link == "endpoint"]
    assert "role backup is granted to callers by what they are, and this is none of them" in link.not_tried
    (callers,) = [one for one in diagnosis.tried if one.link == "callers"]
    assert "the agent sees that this is user" in callers.good


async def test_somebody_else_who_listens_there_is_found_out(chain: Chain) -> None:
    with answering(http(200, b"{}")) as stranger:
        chain.write((f"127.0.0.1:{chain.host.ports[1]}", f"127.0.0.1:{stranger.port}"))
        diagnosis = await chain.diagnosis()
    first = diagnosis.findings[0]
    assert (first.link, first.severity) == ("endpoint", "error"), told(diagnosis)
    assert "is not the agent" in first.what


async def test_the_command_prints_the_worst_first_and_ends_with_a_verdict(chain: Chain) -> None:
    async with living(chain.settings):
        status, out, err = await chain.host.rolecall("doctor", "-c", str(chain.host.config))
        assert (status, err) == (0, ""), out
        assert out.splitlines()[-1] == "Everything is in order."
        chain.provider(client_ids=("other",))
        status, out, err = await chain.host.rolecall("doctor", "-c", str(chain.host.config))
        assert (status, err) == (1, "")
        assert out.startswith("✗ roles: STS gave no credentials for arn:aws:iam::123456789012:role/backup")
        assert "\n    make identity.audience one of the client IDs" in out
        assert out.splitlines()[-1] == "The chain is broken at its link roles: mend that first."
        assert "\x1b" not in out


async def test_the_command_says_all_of_it_as_json(chain: Chain) -> None:
    chain.site("html")
    status, out, _ = await chain.host.rolecall("doctor", "--json", "-c", str(chain.host.config))
    told = json.loads(out)
    assert (status, told["good"]) == (1, False)
    first = told["findings"][0]
    assert (first["link"], first["severity"], first["sure"]) == ("issuer", "error", "certain")
    assert [link["link"] for link in told["links"]] == ALWAYS
    assert {link["link"]: link["state"] for link in told["links"]}["issuer"] == "broken"


async def test_a_token_of_somebody_else_is_tried_just_so(chain: Chain) -> None:
    """identity.source = "file": the issuer is whom the token names, and there is no key of ours."""
    await chain.take_token_from_file()
    async with living(chain.settings):
        diagnosis = await chain.diagnosis()
    assert above_notes(diagnosis) == [], told(diagnosis)


async def test_a_token_file_that_is_gone_is_one_error(chain: Chain) -> None:
    path = await chain.take_token_from_file()
    path.unlink()
    diagnosis = await chain.diagnosis()
    first, *others = (one for one in diagnosis.findings if one.severity == "error")
    assert (first.link, others) == ("token", []), told(diagnosis)
    assert "does not exist" in first.what


def told(diagnosis: Diagnosis) -> str:
    lines = [f"{one.severity} {one.link}: {one.what} / {one.hint}" for one in diagnosis.findings]
    return "\n".join([*lines, *(f"{one.link}: {one.good} - {one.not_tried}" for one in diagnosis.tried)])
