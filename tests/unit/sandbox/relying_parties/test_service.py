"""Whose request is it?"""

from pathlib import Path

from agent.sandbox.trusting.world import RelyingParties
from tests.unit.sandbox.relying_parties.place import place


async def test_all_calls_are_noted(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.call("/orders")
        await here.exchange()
        await here.assert_to_entra()
        await here.log_in()
        assert [(call.action, call.status) for call in here.sandbox.requests] == [
            ("apis:GET /a1b2c3/orders", 403),
            ("gcp:POST /v1/token", 200),
            ("azure:POST /tenant-1/oauth2/v2.0/token", 200),
            ("vault:POST /v1/auth/jwt/login", 200),
        ]


async def test_a_world_without_them_has_none_of_their_paths(tmp_path: Path) -> None:
    async with place(tmp_path, parties=RelyingParties()) as here:
        for path in ("/apis/a1b2c3/", "/gcp/v1/token", "/azure/x", "/vault/v1/x", "/gcp"):
            async with here.http.get(here.sandbox.endpoint_url + path) as answer:
                assert b"<Error>" in await answer.read()  # S3 has been asked
        assert here.sandbox.requests == []


async def test_paths_that_are_too_short_are_nobodys(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        for path, status in (("/apis", 404), ("/gcp", 404), ("/azure", 404), ("/vault", 403)):
            assert (await here.ask("GET", path)).status == status
