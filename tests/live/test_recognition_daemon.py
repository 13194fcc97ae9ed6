"""Does the whole agent give each user its own role, and its own part of it, at one URL, whoever lies to it?"""

import asyncio
import json
import os
import pwd
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent import jose
from agent.clock import SystemClock
from agent.sandbox import Fault, Sandbox
from tests.fakes.ports import own_port
from tests.live.host import ROLECALL, TOKEN, Agent, agent_on, run_to_end, running_host, sandboxed
from tests.live.users import DAEMON, NOBODY, WWW_DATA, User, is_root, role_in
from tests.unit.callers.kernel.test_probe import FILTERED, SOCKET_CALL

pytestmark = [pytest.mark.long, pytest.mark.skipif(not is_root(), reason="only root can be other users")]

ARN = "arn:aws:sts::123456789012:assumed-role"
ROLES = ("backup", "reports", "web")

#: Each user its own role at the same URL; www-data has two, and daemon a part of another.
GRANTS = """
[[grants]]
roles = ["backup"]
user = ["nobody", "root"]
session_name = "${HOST}-${USER}"
tags = { user = "${USER}", team = "storage" }
source_identity = "${USER}"
[[grants]]
roles = ["reports"]
user = "daemon"
session_name = "reports-of-everybody"
[[grants]]
roles = ["reports", "web"]
user = "www-data"
session_name = "reports-of-everybody"
[[grants]]
roles = ["web"]
token_file = "TOKEN"
"""
BY_TOKEN = f"Authorization: {TOKEN}"


def uid_of(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


@dataclass
class Stage:
    """A running agent, and users of its machine."""

    agent: Agent
    sandbox: Sandbox
    stack: ExitStack
    users: dict[str, User] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.agent.host.ports[0]

    def user(self, name: str) -> User:
        if name not in self.users:
            self.users[name] = self.stack.enter_context(User(uid_of(name)))
        return self.users[name]

    async def asks(self, name: str, path: str = "/v1/credentials", *lines: str, **how: object) -> tuple[int, Any]:
        return await self.user(name).asks(self.port, path, *lines, **how)

    async def served(self, count: int) -> set[tuple[int, str]]:
        """Who was served what, once so many audit lines say so."""
        async with asyncio.timeout(5):
            while len(events := self.agent.events("credentials_served")) < count:  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.01)
        return {(event["uid"], event["role"]) for event in events}

    async def refused(self, reason: str, name: str) -> dict[str, Any]:
        """The audit line of a refusal of that user."""
        uid = uid_of(name)
        async with asyncio.timeout(5):
            while not (found := [one for one in self._refusals() if (one["reason"], one["uid"]) == (reason, uid)]):  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.01)
        return found[0]

    def _refusals(self) -> list[dict[str, Any]]:
        return self.agent.events("credentials_refused")


@asynccontextmanager
async def stage(home: Path, grants: str = GRANTS, **how: Any) -> AsyncIterator[Stage]:
    token = home / "token"
    with ExitStack() as stack:
        async with running_host(home, ROLES, grants=grants.replace("TOKEN", str(token)), **how) as (agent, sandbox):
            yield Stage(agent, sandbox, stack)


async def metric(agent: Agent, name: str) -> float:
    async with aiohttp.ClientSession() as client, client.get(f"{agent.host.admin}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def test_one_url_gives_each_user_its_own_role_and_its_own_part_of_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        found = {}
        for name in (NOBODY, "root", DAEMON):
            status, document = await here.asks(name)
            assert status == 200, document
            found[name] = document
        assert {name: role_in(document) for name, document in found.items()} == {
            NOBODY: "backup",
            "root": "backup",
            DAEMON: "reports",
        }
        for name in (NOBODY, "root"):
            issued = here.sandbox.issued(found[name]["AccessKeyId"])
            assert issued is not None
            assert issued.arn == f"{ARN}/backup/{os.uname().nodename}-{name}"
            assert issued.context["aws:principaltag/user"] == (name,)
            assert issued.context["aws:principaltag/team"] == ("storage",)
            assert issued.context["aws:sourceidentity"] == (name,)
        assert await here.served(3) == {(uid_of(NOBODY), "backup"), (0, "backup"), (uid_of(DAEMON), "reports")}


async def test_two_users_with_the_same_part_of_a_role_share_one_session(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        first = await here.asks(DAEMON)
        again = await here.asks(WWW_DATA, "/v1/credentials/reports")
        assert first[1]["AccessKeyId"] == again[1]["AccessKeyId"]
        calls = [call for call in here.sandbox.requests if call.role_arn.endswith("/reports")]
        assert [(call.action, call.session_name) for call in calls] == [
            ("AssumeRoleWithWebIdentity", "reports-of-everybody")
        ]


async def test_each_refusal_has_its_status_and_its_audit_line_and_nobody_gets_more(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        assert (await here.asks(WWW_DATA))[0] == 409
        assert "role" not in await here.refused("ambiguous", WWW_DATA)
        assert (await here.asks(WWW_DATA, "/v1/credentials/backup"))[0] in {401, 403}
        assert (await here.asks(NOBODY, "/v1/credentials/web"))[0] in {401, 403}
        assert (await here.asks(NOBODY, "/v1/credentials/no-such-role"))[0] == 404
        wrong = await here.asks(DAEMON, "/v1/credentials/web", f"Authorization: {TOKEN}-not")
        assert wrong[0] == 401
        assert wrong[1]["message"] == "The Authorization header holds no token that is known here."
        assert (await here.refused("unknown_caller", DAEMON))["role"] == "web"
        assert role_in((await here.asks(DAEMON, "/v1/credentials/web", BY_TOKEN))[1]) == "web"
        # A wrong token takes nothing from a user who needs none.
        assert role_in((await here.asks(DAEMON, "/v1/credentials", f"Authorization: {TOKEN}-not"))[1]) == "reports"
        with User(54_321) as stranger:
            status, document = await stranger.asks(here.port)
            assert status == 401  # a token would help
            assert "backup" not in json.dumps(document)


async def test_without_any_token_to_show_a_stranger_is_forbidden(tmp_path: Path) -> None:
    async with stage(tmp_path, grants='[[grants]]\nroles = ["backup", "reports", "web"]\nuser = "nobody"\n') as here:
        assert (await here.asks(DAEMON, "/v1/credentials/backup"))[0] == 403
        assert (await here.refused("not_granted", DAEMON))["role"] == "backup"


async def test_each_caller_is_told_who_it_is_and_what_it_has_and_nothing_of_others(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        status, told = await here.asks(WWW_DATA, "/v1/who")
        assert status == 200
        assert ["unix.uid", str(uid_of(WWW_DATA))] in told["facts"]
        assert ["unix.user", WWW_DATA] in told["facts"]
        assert {one["role"]: one["by"] for one in told["granted"]} == {"reports": "grants#3", "web": "grants#3"}
        assert "backup" not in json.dumps(told)
        with User(54_321) as stranger:
            assert (await stranger.asks(here.port, "/v1/who"))[1]["granted"] == []


#: What a caller may say of itself, in vain.
FORGED = (
    "X-Forwarded-For: 127.0.0.1",
    "Forwarded: for=unix.uid=65534",
    "X-Unix-Uid: 65534",
    "X-Remote-User: nobody",
    "Authorization: nobody",
    "Authorization: unix.uid=65534",
)


async def test_no_header_makes_a_caller_another(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        for line in FORGED:
            status, document = await here.asks(DAEMON, "/v1/credentials", line)
            refused = line.startswith("X-Forwarded-For")  # as proxies send it
            assert (status, document.get("RoleArn", "").rpartition("/")[2]) == (
                (403, "") if refused else (200, "reports")
            )
            assert (await here.asks(DAEMON, "/v1/credentials/backup", line))[0] in {401, 403}
        assert (await here.asks(DAEMON, "/v1/credentials", host="agent.example.com"))[0] == 403
        assert await here.served(1) == {(uid_of(DAEMON), "reports")}
        assert await here.refused("refused_host", DAEMON)
        assert await here.refused("refused_origin", DAEMON)


async def test_guessing_tokens_in_bulk_is_told_503_counted_and_audited_and_nobody_else_notices(tmp_path: Path) -> None:
    guessing = """
answer = {}
for number in range(4000):  # a slow machine needs more of them than a fast one
    if answer.get("503", 0) > 500:
        break
    with connected("127.0.0.1", PORT) as client:
        guesses = [request("/v1/credentials/web", f"Authorization: guess-{number}-{n}") for n in range(10)]
        client.sendall(b"".join(guesses))
        client.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while came := client.recv(65536):
                got += came
        except OSError:
            pass
        for part in got.split(b"HTTP/1.1 ")[1:]:
            status = part[:3].decode()
            answer[status] = answer.get(status, 0) + 1
"""
    async with stage(tmp_path) as here:
        here.user(NOBODY), here.user(DAEMON)
        asking = asyncio.ensure_future(here.user(DAEMON).told(guessing.replace("PORT", str(here.port))))
        others = []
        while not asking.done():
            others.append((await here.asks(NOBODY))[0])
        told = await asking
        assert set(others) == {200}
        assert told["503"] > 0
        assert set(told) == {"401", "503"}
        event = await here.refused("throttled", DAEMON)
        assert event["caller"]
        assert (await here.refused("unknown_caller", DAEMON))["role"] == "web"
        assert await metric(here.agent, 'rolecall_denied_total{reason="throttled"}') == told["503"]


#: Sends, cuts the connection off, and leaves its port to the other one at once, who asks from it.
LEAVING = "client.sendall(request('/v1/credentials')); reset(client)"


async def test_a_port_that_another_user_had_a_moment_ago_never_brings_the_others_credentials(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        nobody, daemon = here.user(NOBODY), here.user(DAEMON)
        first = f"client = connected('127.0.0.1', {here.port}, source=0); answer = client.getsockname()[1]"
        source = await nobody.told(first)
        taking = f"client = connected('127.0.0.1', {here.port}, source={source})"
        turns = [(daemon, "reports"), (nobody, "backup")]
        before = nobody
        for number in range(4000):
            user, role = turns[number % 2]
            before.do(LEAVING)
            user.do(taking)
            if number % 4 < 2:  # the others only take it, and leave it to the next at once
                status, body = await user.told("client.sendall(request('/v1/credentials')); answer = answered(client)")
                assert (status, role_in(json.loads(body))) == (200, role)
            before = user
        assert await here.served(2) == {(uid_of(NOBODY), "backup"), (uid_of(DAEMON), "reports")}


async def test_a_connection_that_is_handed_on_stays_its_makers(tmp_path: Path) -> None:
    """As docs/callers.md has it: who hands a connection on could as well hand on what comes over it."""
    name = f"\\0rolecall-handed-{os.getpid()}"
    async with stage(tmp_path) as here:
        maker, taker = here.user(NOBODY), here.user(DAEMON)
        await taker.told(f"waiting = socket.socket(socket.AF_UNIX); waiting.bind('{name}'); waiting.listen()")
        await maker.told(f"client = connected('127.0.0.1', {here.port})")
        await maker.told(f"to = socket.socket(socket.AF_UNIX); to.connect('{name}')")
        await maker.told("socket.send_fds(to, [b'x'], [client.fileno()]); client.close()")
        await taker.told("came, _ = waiting.accept(); fd = socket.recv_fds(came, 1, 1)[1][0]")
        await taker.told("client = socket.socket(fileno=fd); client.settimeout(5)")
        status, body = await taker.told("client.sendall(request('/v1/credentials')); answer = answered(client)")
        assert (status, role_in(json.loads(body))) == (200, "backup")
        assert await here.served(1) == {(uid_of(NOBODY), "backup")}
        assert role_in((await here.asks(DAEMON))[1]) == "reports"


async def test_a_client_that_has_ended_its_side_is_answered_as_itself(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        program = f"""
client = connected("127.0.0.1", {here.port})
client.sendall(request("/v1/credentials"))
client.shutdown(socket.SHUT_WR)
answer = answered(client)
"""
        status, body = await here.user(NOBODY).told(program)
        assert (status, role_in(json.loads(body))) == (200, "backup")


async def test_both_kinds_of_loopback_are_listened_on_and_recognised(tmp_path: Path) -> None:
    port = own_port()
    host = f'credentials = ["127.0.0.1:{port}", "[::1]:{port}"]'
    async with sandboxed(tmp_path, ROLES, grants=GRANTS.replace("TOKEN", str(tmp_path / "token"))) as (one, _):
        written = one.config.read_text()
        one.config.write_text(written.replace(f'credentials = "127.0.0.1:{one.ports[0]}"', host))
        one.ports[0] = port
        async with agent_on(one) as agent:
            await agent.ready()
            with User(uid_of(NOBODY)) as user:
                for family in ("AF_INET", "AF_INET6"):
                    status, body = await user.told(f"answer = asked({port}, family=socket.{family})")
                    assert (status, role_in(json.loads(body))) == (200, "backup")


async def test_the_metadata_listener_tells_users_apart_too_and_no_token_is_anothers(tmp_path: Path) -> None:
    port = own_port()
    path = "/latest/meta-data/iam/security-credentials/"
    ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60"
    async with stage(tmp_path, listen=f'imds = "127.0.0.1:{port}"') as here:
        nobody, daemon = here.user(NOBODY), here.user(DAEMON)
        status, token = await nobody.told(f"answer = asked({port}, '/latest/api/token', {ttl!r}, method='PUT')")
        assert status == 200
        shown = f"X-aws-ec2-metadata-token: {token}"
        assert await nobody.asks(port, path, shown) == (200, "backup")
        assert (await daemon.asks(port, path, shown))[0] == 401
        assert (await daemon.asks(port, path + "backup", shown))[0] == 401
        forged = "X-aws-ec2-metadata-token: " + "A" * len(token)
        assert (await nobody.asks(port, path, forged))[0] == 401
        status, own = await daemon.told(f"answer = asked({port}, '/latest/api/token', {ttl!r}, method='PUT')")
        assert await daemon.asks(port, path, f"X-aws-ec2-metadata-token: {own}") == (200, "reports")


BOTO3 = """
import botocore.session, json
session = botocore.session.get_session()
print(json.dumps([session.get_credentials().method, session.create_client("sts").get_caller_identity()["Arn"]]))
"""


@pytest.mark.parametrize("how", ["imds", "one url"])
async def test_botocore_as_another_user_gets_that_users_role(tmp_path: Path, how: str) -> None:
    port = own_port()
    async with stage(tmp_path, listen=f'imds = "127.0.0.1:{port}"') as here:
        environ = here.agent.host.environment("reports")
        plain = {name: value for name, value in environ.items() if "_CONTAINER_" not in name}
        if how == "imds":
            del plain["AWS_EC2_METADATA_DISABLED"]
            plain["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://127.0.0.1:{port}"
        else:
            plain["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{here.agent.host.url}/v1/credentials"
        switched = "import os; os.setgroups([]); os.setgid(UID); os.setuid(UID)\n".replace("UID", str(uid_of(DAEMON)))
        loaded = "import botocore.session, botocore.credentials, botocore.endpoint, botocore.parsers, json, _strptime\n"
        program = f"{loaded}'localhost'.encode('idna')\n{switched}{BOTO3}"
        code, out, err = await run_to_end([sys.executable, "-c", program], plain)
        assert code == 0, err
        assert json.loads(out) == [
            "iam-role" if how == "imds" else "container-role",
            f"{ARN}/reports/reports-of-everybody",
        ]


async def test_where_nobody_asks_the_kernel_tokens_work_and_a_grant_by_user_is_a_mistake(tmp_path: Path) -> None:
    by_token = '[[grants]]\nroles = ["web"]\ntoken_file = "TOKEN"\n'
    async with stage(tmp_path, by_token, more='[callers]\nrecognise = "off"\n') as here:
        assert (await here.asks(NOBODY))[0] == 401
        assert (await here.asks(NOBODY, "/v1/who"))[1]["facts"] == []
        status, document = await here.asks(NOBODY, "/v1/credentials", BY_TOKEN)
        assert (status, role_in(document)) == (200, "web")
        assert not here.agent.events("callers_unseen")
        host = here.agent.host
        host.config.write_text(host.config.read_text() + '[[grants]]\nroles = ["web"]\nuser = "nobody"\n')
        code, _, said = await host.rolecall("check", "-c", str(host.config))
        assert code == 2
        assert 'grants#2.user: is never known while callers.recognise is "off"' in said


@asynccontextmanager
async def confined(home: Path, *command: str) -> AsyncIterator[Agent]:
    """An agent that is run by this command."""
    grants = GRANTS.replace("TOKEN", str(home / "token"))
    async with sandboxed(home, ROLES, grants=grants) as (host, _):
        words = (*command, *ROLECALL, "run", "-c", str(host.config))
        async with agent_on(host, words) as agent:
            await agent.ready()
            async with asyncio.timeout(5):
                while not agent.events("callers_seen"):  # noqa: ASYNC110 - a log
                    await asyncio.sleep(0.01)
            yield agent


@pytest.mark.skipif(os.uname().machine not in SOCKET_CALL, reason="no numbers of system calls for this machine")
async def test_an_agent_that_may_not_ask_the_kernel_says_so_and_takes_tokens(tmp_path: Path) -> None:
    filtered = FILTERED.format(number=97, socket=SOCKET_CALL[os.uname().machine])
    runs = f"import os, sys\n{filtered}\nos.execv(sys.argv[1], sys.argv[1:])"
    async with confined(tmp_path, sys.executable, "-c", runs) as agent:
        (unseen,) = agent.events("callers_unseen")
        assert "may not use AF_NETLINK" in unseen["error"]
        assert "RestrictAddressFamilies=" in unseen["hint"]
        assert agent.events("callers_seen")[0]["what"] == "callers are not recognised by what they are"
        with User(uid_of(NOBODY)) as user:
            assert (await user.asks(agent.host.ports[0]))[0] == 401
            assert role_in((await user.asks(agent.host.ports[0], "/v1/credentials", BY_TOKEN))[1]) == "web"


async def test_an_agent_that_has_not_all_users_says_so_and_takes_none_of_the_others_for_anybody(tmp_path: Path) -> None:
    async with confined(tmp_path, "unshare", "--user", "--map-root-user") as agent:
        said = [event["error"] for event in agent.events("callers_unseen")]
        assert [error for error in said if "has not all users" in error]
        with User(uid_of(NOBODY)) as nobody, User(uid_of(DAEMON)) as daemon, User(0) as root:
            for user in (nobody, daemon):  # which have one number in there, and that is nobody's
                assert (await user.asks(agent.host.ports[0]))[0] == 401
            assert role_in((await root.asks(agent.host.ports[0]))[1]) == "backup"


FILES = """
[[files]]
kind = "credentials"
path = "HOME/credentials"
role = "backup"
profile = "rolecall"
[[files]]
kind = "web_identity_token"
path = "HOME/backup.jwt"
role = "backup"
"""


async def test_files_are_put_back_when_they_are_taken_away_and_stay_when_the_agent_ends(tmp_path: Path) -> None:
    paths = [tmp_path / "credentials", tmp_path / "backup.jwt"]
    async with stage(tmp_path, more=FILES.replace("HOME", str(tmp_path))) as here:
        async with asyncio.timeout(10):
            while not all(path.exists() for path in paths):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        before = [path.read_text() for path in paths]
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
        for path in paths:
            path.unlink()
        here.agent.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while not all(path.exists() for path in paths):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.05)
        assert paths[0].read_text() == before[0]  # the role has them still
        assert paths[1].read_text() != before[1]
        again = [path.read_text() for path in paths]
    assert [path.read_text() for path in paths] == again


@pytest.mark.timeout(180)
async def test_a_token_in_a_file_is_another_at_half_its_life(tmp_path: Path) -> None:
    path = tmp_path / "backup.jwt"
    more = FILES.replace("HOME", str(tmp_path)) + '[identity]\nlifetime = "1m"\n'
    async with stage(tmp_path, more=more) as here:
        async with asyncio.timeout(50):
            while len([one for one in here.agent.events("file_written") if one["path"] == str(path)]) < 2:
                await asyncio.sleep(0.5)
                if path.exists():
                    _, claims = jose.unverified(path.read_text())
                    assert int(str(claims["exp"])) > SystemClock().now().timestamp() + 15


@pytest.mark.timeout(240)
async def test_credentials_that_end_without_a_successor_leave_their_file_and_come_back(tmp_path: Path) -> None:
    path, text = tmp_path / "credentials", FILES.replace("HOME", str(tmp_path))
    grants = GRANTS.replace("TOKEN", str(tmp_path / "token"))
    async with sandboxed(tmp_path, ROLES, grants=grants, more=text) as (host, sandbox):
        sandbox.faults.add(Fault("lifetime", seconds=100))
        async with agent_on(host) as agent:
            await agent.ready()
            await happens(agent, "file_written", path, 20)
            assert "[rolecall]" in path.read_text()
            sandbox.faults.clear()
            sandbox.faults.add(Fault("status", status=503))
            await happens(agent, "file_emptied", path, 100)
            assert "ASIA" not in path.read_text()
            sandbox.faults.clear()
            agent.process.send_signal(signal.SIGHUP)
            await happens(agent, "file_written", path, 30, count=2)
            assert "[rolecall]" in path.read_text()


async def happens(agent: Agent, event: str, path: Path, seconds: float, *, count: int = 1) -> None:
    """Wait until the agent has said so of a file so many times."""
    async with asyncio.timeout(seconds):
        while sum(one["path"] == str(path) for one in agent.events(event)) < count:  # noqa: ASYNC110 - a log
            await asyncio.sleep(0.1)


async def test_a_second_agent_on_the_same_ports_says_so_and_one_on_others_lives_beside_it(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    async with stage(tmp_path / "first") as here:
        other_way = '[[grants]]\nroles = ["reports"]\nuser = "nobody"\n'
        async with sandboxed(tmp_path / "second", ROLES, grants=other_way) as (other, _):
            apart = other.config.read_text()
            other.config.write_text(apart.replace(f":{other.ports[0]}", f":{here.port}"))
            code, _, said = await other.rolecall("run", "-c", str(other.config))
            assert code == 1
            assert f"cannot listen on 127.0.0.1:{here.port}: something listens there already" in said
            assert "ss -ltnp" in said
            other.config.write_text(apart)
            async with agent_on(other) as second:
                await second.ready()
                assert role_in((await here.asks(NOBODY))[1]) == "backup"
                status, document = await here.user(NOBODY).asks(other.ports[0])
                assert (status, role_in(document)) == (200, "reports")
