import socket
from pathlib import Path

import pytest

from agent.assembly.credentials import OpenedSts, credential_source, role_of
from agent.assembly.rotation import signing_key
from agent.assembly.tokens import token_source
from agent.clock import RemoteClock, SystemClock
from agent.credentials.sts import Role
from agent.errors import CredentialsUnavailable
from agent.secret import Secret
from agent.settings import load
from tests.fakes.report import Reported
from tests.live.host import sandboxed


async def test_a_role_gets_its_credentials_from_the_sts_that_is_configured(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        known = load(host.config, environ={}, host=socket.gethostname())
        clock, report = RemoteClock(SystemClock()), Reported()
        async with signing_key(known, None, clock) as key:
            tokens = token_source(
                known,
                known.token_roles["backup"],
                lambda: key,
                clock=clock,
                token_id=lambda: "an-id",
                report=report,
            )
            async with OpenedSts(known.sts) as sts:
                source = credential_source(
                    role_of("backup", known.token_roles["backup"]), sts, tokens, clock=clock, report=report
                )
                fetched = await source.fetch()
        assert fetched.role_arn == "arn:aws:iam::123456789012:role/backup"
        assert fetched.access_key_id.startswith("ASIA")
        assert [call.action for call in sandbox.requests] == ["AssumeRoleWithWebIdentity"]
        assert clock.offset is not None


async def test_before_it_is_opened_and_after_it_is_closed_nobody_is_asked(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        known = load(host.config, environ={}, host=socket.gethostname())
        role = known.token_roles["backup"]
        asked = Role(arn=role.arn, session_name="host-1", duration=role.duration)
        sts = OpenedSts(known.sts)
        with pytest.raises(CredentialsUnavailable, match="closed"):
            await sts.assume_role_with_web_identity(asked, Secret("a-token"))
        async with sts:
            await sts.assume_role_with_web_identity(asked, Secret("a-token"))
        with pytest.raises(CredentialsUnavailable, match="closed"):
            await sts.assume_role_with_web_identity(asked, Secret("a-token"))
        assert len(sandbox.requests) == 1
