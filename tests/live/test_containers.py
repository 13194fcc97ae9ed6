"""Containers of a real Podman and a real Docker, each with a role of its own."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.live.engines import NETWORK, Engine, engine, python, until
from tests.live.host import ROLECALL, Agent, Host, agent_on

pytestmark = pytest.mark.long

URL = "http://169.254.170.2/v1/credentials"
STS = 4566
ROLES = ("web", "mail", "any")

IDLE = "sleep 600"

_GRANTS = """
[[grants]]
roles = ["web"]
container = "web"
[[grants]]
roles = ["mail"]
container = "mail"
[[grants]]
roles = ["any"]
container = "any-*"
"""


@pytest.fixture(scope="module", params=["podman", "docker"])
def running(request: pytest.FixtureRequest) -> Iterator[Engine]:
    # Not in pytest's own folder: Podman takes no --runroot of more than 50 characters.
    with TemporaryDirectory(prefix="engine-") as home, engine(request.param, Path(home)) as there:
        there.sh("ip address add 169.254.170.2/32 dev lo")
        there.sh("ip address add 169.254.170.23/32 dev lo")
        yield there


@pytest.fixture
def tidy(running: Engine) -> Iterator[Engine]:
    """The engine, whose containers are taken away afterwards."""
    yield running
    running.remove()


@asynccontextmanager
async def agent(engine: Engine, home: Path, recognise: str = "namespace") -> AsyncIterator[Agent]:
    """A sandbox AWS, and an agent that gives roles to containers by their names."""
    home.mkdir()
    host = Host(home, f"http://127.0.0.1:{STS}", ROLES, ports=[9170, 9171])  # in there nobody else has them
    await host.furnish()
    told = home / "sandbox.json"
    words = " ".join((*engine.inside, *ROLECALL, "sandbox", "-c", str(host.config)))
    command = ["sh", "-c", f"exec {words} --listen 0.0.0.0:{STS} --public --json > {told}"]
    sandbox = await asyncio.create_subprocess_exec(*command, env=host.environment())
    try:
        until(lambda: told.exists() and told.read_text().endswith("}\n"), "the sandbox does not listen")
        facts = json.loads(told.read_text())
        seen = f'\nproxy = "{facts["proxy_url"]}"\nca_bundle = "{facts["ca_file"]}"\n[key]'
        written = host.config.read_text().replace("\n[key]", seen, 1)
        containers = f'[containers]\nengine = "{engine.name}"\nsocket = "{engine.socket}"\nrecognise = "{recognise}"\n'
        host.config.write_text(re.sub(r"\[\[grants\]\]\n.*\n.*\n", _GRANTS + containers, written))
        async with agent_on(host, [*engine.inside, *ROLECALL, "run", "-c", str(host.config)]) as running:
            await running.ready()
            yield running
    finally:
        sandbox.terminate()
        await sandbox.wait()


def asked(engine: Engine, name: str, url: str = URL) -> str:
    """What a container that runs is given: the name of a role, or a status other than 200."""
    return given(engine.execute(name, ask(url)))


def _answered(engine: Engine, name: str) -> bool:
    return engine("logs", name).count("\n") > 1


def ask(url: str = URL) -> str:
    return f"curl -s -m 5 -w '\\n%{{http_code}}' {url} || true"


def given(said: str) -> str:
    body, _, status = said.rpartition("\n")
    return str(json.loads(body)["RoleArn"]).rpartition("/")[2] if status == "200" else status


async def test_each_container_has_its_own_role_as_soon_as_it_runs(tidy: Engine, tmp_path: Path) -> None:
    async with agent(tidy, tmp_path / "host"):
        for name, role in (("web", "web"), ("mail", "mail"), ("any-7", "any"), ("stranger", "403"), ("webs", "403")):
            tidy.run(name, f"{ask()}; echo; {IDLE}")
            until(partial(_answered, tidy, name), f"{name} is not answered")
            assert given(tidy("logs", name).strip()) == role
            assert asked(tidy, name) == role


async def test_an_sdk_in_a_container_is_whom_it_should_be(tidy: Engine, tmp_path: Path) -> None:
    who = f"""import boto3; print(boto3.client("sts", endpoint_url="http://169.254.170.2:{STS}").get_caller_identity()["Arn"])"""
    relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v1/credentials"
    full = "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials"
    async with agent(tidy, tmp_path / "host"):
        for name, uri in (("web", relative), ("mail", full)):
            tidy.run(name, IDLE, f"--env={uri}", "--env=AWS_DEFAULT_REGION=eu-central-1")
            arn = tidy.execute(name, python(who))
            assert arn.startswith(f"arn:aws:sts::123456789012:assumed-role/{name}/")


async def test_who_takes_over_an_address_is_only_himself(tidy: Engine, tmp_path: Path) -> None:
    async with agent(tidy, tmp_path / "host"):
        for name, role in (("web", "web"), ("stranger", "403"), ("mail", "mail")):
            tidy.run(name, IDLE, f"--network={NETWORK}", "--ip=10.99.0.77")
            assert asked(tidy, name) == role
            tidy.remove(name)


async def test_a_container_with_the_network_of_the_host_is_known_by_its_cgroup(tidy: Engine, tmp_path: Path) -> None:
    async with agent(tidy, tmp_path / "host") as there:
        tidy.run("web", IDLE, "--network=host")
        assert asked(tidy, "web") == "web"
        assert asked(tidy, "web", f"{there.host.url}/v1/credentials") == "web"
        assert given(tidy.sh(ask())) == "403", "who is in no container is none"


async def test_those_who_share_a_namespace_are_told_apart(tidy: Engine, tmp_path: Path) -> None:
    async with agent(tidy, tmp_path / "host"):
        tidy.run("web", IDLE)
        tidy.run("mail", IDLE, "--network=container:web")
        tidy.run("stranger", IDLE, "--network=container:web")
        assert [asked(tidy, name) for name in ("web", "mail", "stranger", "web")] == ["web", "mail", "403", "web"]


async def test_a_borrowed_address_is_of_no_use(tidy: Engine, tmp_path: Path) -> None:
    """A container that may change its network takes the address of another, which is then cut off."""
    take = "ip address add 10.99.0.77/24 dev eth0; ip route replace default via 10.99.0.1 src 10.99.0.77"
    async with agent(tidy, tmp_path / "host"):
        tidy.run("web", IDLE, f"--network={NETWORK}", "--ip=10.99.0.77")
        assert asked(tidy, "web") == "web"
        tidy.run("thief", f"{take}; {IDLE}", f"--network={NETWORK}", "--cap-add=NET_ADMIN")
        tidy.sh("ip neigh flush all")
        tidy("pause", "web")
        assert asked(tidy, "thief", f"--interface 10.99.0.77 {URL}") == "403"


async def test_by_address_it_is_whoever_has_it_alone(tidy: Engine, tmp_path: Path) -> None:
    async with agent(tidy, tmp_path / "host", "address"):
        for name, role in (("web", "web"), ("stranger", "403"), ("mail", "mail")):
            tidy.run(name, IDLE, f"--network={NETWORK}", "--ip=10.99.0.77")
            assert asked(tidy, name) == role
            if name != "mail":
                tidy.remove(name)
        tidy.run("web", IDLE, "--network=container:mail")
        assert asked(tidy, "mail") == asked(tidy, "web") == "403"


@pytest.mark.parametrize("running", ["podman"], indirect=True)  # Docker's containers end with it
async def test_without_the_engine_those_who_are_known_stay_so(tidy: Engine, tmp_path: Path) -> None:
    async with agent(tidy, tmp_path / "host"):
        tidy.run("web", IDLE)
        assert asked(tidy, "web") == "web"
        tidy.fall_silent()
        tidy.run("mail", IDLE)
        assert [asked(tidy, name) for name in ("web", "mail", "web")] == ["web", "403", "web"]
        tidy.serve()
        assert asked(tidy, "mail") == "mail"


async def test_an_address_that_comes_later_is_listened_on(tidy: Engine, tmp_path: Path) -> None:
    url = "http://[fd00:ec2::23]/v1/credentials"
    async with agent(tidy, tmp_path / "host"):
        tidy.run("web", IDLE, "--network=host")
        assert asked(tidy, "web", url) == "000"
        tidy.sh("ip address add fd00:ec2::23/128 dev lo nodad")
        try:
            until(lambda: asked(tidy, "web", url) == "web", "nobody listens there")
        finally:
            tidy.sh("ip address del fd00:ec2::23/128 dev lo")
