"""Does STS believe a presigned request only with all that was signed?"""

from pathlib import Path

from yarl import URL

from tests.unit.sandbox.scene import Scene, scene
from tests.unit.sandbox.signing import sign
from tests.unit.sandbox.sts.test_service import ASK, credentials, now

HEADER = "X-Rolecall-Server-Id"


async def presigned(here: Scene) -> URL:
    url = f"{here.sandbox.endpoint_url}/?{ASK.decode()}"
    signed = sign("GET", url, headers={HEADER: "here"}, credentials=await credentials(here), presigned_for=900)
    assert "x-rolecall-server-id" in signed.url
    return URL(signed.url, encoded=True)


async def ask(here: Scene, url: URL, **headers: str) -> tuple[int, str]:
    async with here.http.get(url, headers=headers) as answer:
        body = (await answer.read()).decode()
        return answer.status, body


async def test_with_the_header_that_was_signed(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        assert (await ask(here, await presigned(here), **{HEADER: "here"}))[0] == 200


async def test_not_without_it(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        status, body = await ask(here, await presigned(here))
        assert (status, "SignatureDoesNotMatch" in body) == (403, True)


async def test_not_with_another_value(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        status, body = await ask(here, await presigned(here), **{HEADER: "there"})
        assert (status, "SignatureDoesNotMatch" in body) == (403, True)


async def test_not_with_a_parameter_more(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        more = URL(f"{await presigned(here)}&More=1", encoded=True)
        assert (await ask(here, more, **{HEADER: "here"}))[0] == 403
