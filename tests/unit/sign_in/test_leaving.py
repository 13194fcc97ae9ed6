from pathlib import Path

import pytest

from agent.errors import CredentialsUnavailable
from agent.sign_in import Answer
from agent.sign_in.cache import Cache
from agent.sign_in.leaving import sign_out
from tests.fakes.center import PORTAL, FakeCenter, given, refused, sign_in


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path, PORTAL)
    with cache.room() as room:
        room.keep(sign_in())
    return cache


@pytest.mark.parametrize("answer", [given(), refused("UnauthorizedException", 401)], ids=["ended", "over already"])
async def test_the_portal_is_told_and_nothing_is_left(cache: Cache, answer: Answer) -> None:
    center = FakeCenter(logout=answer)
    assert await sign_out(cache, center) is None
    assert center.asked == [("logout", {"accessToken": "access-1"})]
    assert not cache.path.exists()


@pytest.mark.parametrize("answer", [refused("500", 500), CredentialsUnavailable("down", hint="wait")])
async def test_nothing_is_left_even_if_the_portal_cannot_be_told(cache: Cache, answer: Answer | Exception) -> None:
    trouble = await sign_out(cache, FakeCenter(logout=answer))
    assert trouble is not None
    assert trouble.hint
    assert not cache.path.exists()


async def test_who_was_not_signed_in_is_signed_out(cache: Cache) -> None:
    cache.path.unlink()
    assert await sign_out(cache, FakeCenter()) is None
    cache.path.write_text("{")
    assert await sign_out(cache, FakeCenter()) is None
    assert not cache.path.exists()
