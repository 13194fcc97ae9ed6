"""An engine is asked over a real socket, and may be slow, mad or absent."""

import asyncio
import gzip
from pathlib import Path

import pytest

from agent.callers.containers.engine import Engine
from agent.callers.containers.shapes import Listed, Running
from agent.errors import ConfigurationError
from tests.fakes.engine import Contained, an_id, engine_api

WEB = Contained(an_id("a"), "web", 77, {"podman": "10.88.0.5"}, sandbox="/run/netns/x")


async def test_it_lists_what_runs_and_tells_of_one(tmp_path: Path) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        engine = Engine("podman", api.path)
        assert await engine.list() == [Listed(WEB.id, "web", frozenset({"10.88.0.5"}))]
        assert await engine.inspect(WEB.id) == Running(WEB.id, "web", 77, WEB.started, "/run/netns/x")
        assert api.asked == ["GET /containers/json", f"GET /containers/{WEB.id}/json"]


async def test_what_is_gone_is_none(tmp_path: Path) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        assert await Engine("podman", api.path).inspect(an_id("b")) is None


@pytest.mark.parametrize("identity", ["", "web", "../images", an_id("A"), an_id("a") + "/archive"])
async def test_only_a_full_id_is_asked_about(tmp_path: Path, identity: str) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        assert await Engine("podman", api.path).inspect(identity) is None
        assert api.asked == []


async def test_an_answer_about_another_container_is_none(tmp_path: Path) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        api.body = b'{"Id": "%s", "State": {"Running": true, "Pid": 1}}' % an_id("b").encode()
        assert await Engine("podman", api.path).inspect(WEB.id) is None


@pytest.mark.parametrize("status", [204, 301, 400, 500, 503])
async def test_another_status_is_told_as_it_is(tmp_path: Path, status: int) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        api.status = status
        with pytest.raises(ConfigurationError, match=f"docker at .*api.sock answered {status}"):
            await Engine("docker", api.path).list()


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", gzip.compress(b"[]", mtime=0)])
async def test_garbage_is_told_as_such(tmp_path: Path, body: bytes) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        api.body = body
        with pytest.raises(ConfigurationError, match="gave an answer that is none"):
            await Engine("docker", api.path).list()
        with pytest.raises(ConfigurationError, match="gave an answer that is none"):
            await Engine("docker", api.path).inspect(WEB.id)


async def test_an_answer_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        api.body = b"[" + b" " * 9_000_000 + b"]"
        with pytest.raises(ConfigurationError, match="without end"):
            await Engine("docker", api.path).list()


async def test_who_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        api.slow = 5
        with pytest.raises(ConfigurationError, match=r"no answer within 0\.1 s"):
            await Engine("docker", api.path, patience=0.1).list()


async def test_an_engine_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not answer: No such file or directory") as raised:
        await Engine("docker", tmp_path / "api.sock").list()
    assert "start it" in raised.value.hint


async def test_what_speaks_no_http_is_told(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-what\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(babble, tmp_path / "api.sock")
    async with server:
        with pytest.raises(ConfigurationError, match="does not answer"):
            await Engine("docker", tmp_path / "api.sock").list()


async def test_without_a_list_it_is_no_engine(tmp_path: Path) -> None:
    async with engine_api(tmp_path / "api.sock", WEB) as api:
        api.status = 404
        with pytest.raises(ConfigurationError, match="has no list of containers"):
            await Engine("docker", api.path).list()
