import random
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from agent.assembly.callers import grants
from agent.assembly.credentials import OpenedSts, role_of
from agent.assembly.rotation import signing_key
from agent.assembly.sessions import at_hand, refused, session_maker
from agent.assembly.tokens import check_identity
from agent.clock import RemoteClock, SystemClock
from agent.errors import ConfigurationError
from agent.narrowing import WHOLE, Narrowing
from agent.settings import Settings, load
from tests.fakes.report import Reported
from tests.live.host import sandboxed

BASE = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[identity]
tags = { site = "fra" }
source_identity = "${HOST}"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
tags = { purpose = "backup" }
[roles.reports]
arn = "arn:aws:iam::123456789012:role/reports"
policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
"""
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'


def settings(home: Path, rest: str = "") -> Settings:
    path = home / "rolecall.toml"
    path.write_text(BASE + rest)
    return load(path, environ={}, host="web-1")


def granted(home: Path, rest: str) -> dict[tuple[str, Narrowing], str]:
    """What is at hand from the start, and what each is about."""
    known = settings(home, rest)
    return {(role, narrowing): narrowing.about for role, narrowing in at_hand(known, grants(known.grants))}


def test_a_role_that_nobody_is_granted_is_at_hand_as_a_whole(tmp_path: Path) -> None:
    assert granted(tmp_path, "") == {("backup", WHOLE): "", ("reports", WHOLE): ""}


def test_what_does_not_depend_on_the_caller_is_at_hand_and_nothing_that_nobody_may_have(tmp_path: Path) -> None:
    rest = """
[[grants]]
roles = ["backup"]
user = "1000"
duration = "15m"
[[grants]]
roles = ["backup"]
user = "1001"
duration = "15m"
[[grants]]
roles = ["backup", "reports"]
unit = "a@*.service"
tags = { unit = "${UNIT}" }
"""
    assert granted(tmp_path, rest) == {("backup", Narrowing(duration=timedelta(minutes=15))): "grants#1"}


def test_what_we_use_ourselves_is_at_hand_as_a_whole(tmp_path: Path) -> None:
    rest = """
[publishing]
to = "s3"
bucket = "oidc-docs"
region = "eu-central-1"
credentials = "role:backup"
[[grants]]
roles = ["backup", "reports"]
unit = "a@*.service"
tags = { unit = "${UNIT}" }
"""
    assert set(granted(tmp_path, rest)) == {("backup", WHOLE)}


# What is asked of STS


def test_a_narrowing_changes_what_is_asked_for_and_never_makes_it_more(tmp_path: Path) -> None:
    role = settings(tmp_path).token_roles["backup"]
    asked = role_of("backup", role, Narrowing("the-name", timedelta(minutes=30), POLICY))
    assert (asked.session_name, asked.duration, asked.policy) == ("the-name", timedelta(minutes=30), POLICY)
    longer = role_of("backup", role, Narrowing(duration=timedelta(hours=12)))
    assert (longer.duration, longer.session_name) == (role.duration, role.session_name)
    assert role_of("backup", role) == role_of("backup", role, WHOLE)


def test_a_session_policy_of_the_role_is_kept_and_no_other_is_put_beside_it(tmp_path: Path) -> None:
    role = settings(tmp_path).token_roles["reports"]
    assert role_of("reports", role, Narrowing("the-name")).policy_arns == role.policy_arns
    for narrowing in (
        Narrowing(policy=POLICY),
        Narrowing(policy_arns=("arn:aws:iam::aws:policy/AdministratorAccess",)),
    ):
        with pytest.raises(ConfigurationError, match="AWS would allow what either does"):
            role_of("reports", role, narrowing)


@pytest.mark.parametrize("name", ["purpose", "Purpose", "site"])
def test_a_tag_of_the_role_or_of_the_identity_is_not_for_a_grant_to_change(tmp_path: Path, name: str) -> None:
    known = settings(tmp_path)
    with pytest.raises(ConfigurationError, match="sets already"):
        check_identity(known, known.token_roles["backup"], Narrowing(tags=((name, "mine"),)))
    check_identity(known, known.token_roles["backup"], Narrowing(tags=(("unit", "a.service"),)))


def test_what_could_never_be_given_is_said_of_its_grant(tmp_path: Path) -> None:
    rest = """
[[grants]]
roles = ["backup"]
unit = "a@*.service"
tags = { unit = "${UNIT}" }
"""
    known = settings(tmp_path, rest)
    good = grants(known.grants)
    assert refused(known, good) == []
    hopeless = type(good[0])("reports", frozenset(), Narrowing("${UNIT}", policy=POLICY), "grants#7")
    ((setting, error),) = refused(known, [*good, hopeless])
    assert setting == "grants#7"
    assert "session policy" in error.what


async def test_all_of_a_narrowing_reaches_aws(tmp_path: Path) -> None:
    more = "[identity]\nsource_identity = '${HOST}'\ntags = { site = 'fra' }\n"
    grant = """
[[grants]]
roles = ["backup"]
unit = "a@*.service"
tags = { unit = "${UNIT}" }
source_identity = "${UNIT}"
"""
    async with sandboxed(tmp_path, grants=grant, more=more) as (host, sandbox):
        known = load(host.config, environ={}, host=socket.gethostname())
        clock, report = RemoteClock(SystemClock()), Reported()
        narrowing = Narrowing(
            session_name="web-1-${UNIT}",
            duration=timedelta(minutes=15),
            policy=POLICY,
            policy_arns=(),
            tags=(("unit", "${UNIT}"),),
            source_identity="${UNIT}",
        ).filled({("systemd.unit", "a@1.service")})
        async with signing_key(known, None, clock) as key, OpenedSts(known.sts) as sts:
            make = session_maker(known, lambda: key, sts, clock=clock, report=report, chance=random.Random(1))
            session = make("backup", narrowing)
            await session.renew()
            whole = make("backup", WHOLE)
            await whole.renew()
        held, plain = session.usable(), whole.usable()
        assert held is not None, session.snapshot().problem
        assert plain is not None
        assert held.lifetime <= timedelta(minutes=15, seconds=1)
        issued, unnarrowed = sandbox.issued(held.access_key_id), sandbox.issued(plain.access_key_id)
        assert issued is not None
        assert unnarrowed is not None
        assert issued.arn.endswith(":assumed-role/backup/web-1-a@1.service")
        assert issued.context["aws:principaltag/unit"] == ("a@1.service",)
        assert issued.context["aws:principaltag/site"] == ("fra",)
        assert issued.context["aws:sourceidentity"] == ("a@1.service",)
        assert len(issued.session_policies) == 1
        assert "aws:principaltag/unit" not in unnarrowed.context
