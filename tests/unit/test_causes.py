import asyncio
import socket
from collections.abc import Callable

import aiohttp
import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, HTTPClientError

from agent.causes import causes


def raised(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_an_error_that_nothing_led_to_stands_alone() -> None:
    error = ValueError("x")
    assert list(causes(error)) == [error]


def test_each_cause_follows_what_was_raised_from_it() -> None:
    system = OSError(113, "No route to host")
    between = raised(LookupError(), system)
    error = raised(ValueError(), between)
    assert list(causes(error)) == [error, between, system]


def test_what_happened_meanwhile_is_no_cause() -> None:
    with pytest.raises(LookupError, match="later") as caught:
        try:
            int("x")
        except ValueError:
            raise LookupError("later")  # noqa: B904 - just this is asked here
    assert list(causes(caught.value)) == [caught.value]


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda system: HTTPClientError(error=system),
        lambda system: EndpointConnectionError(endpoint_url="https://sts.example.com", error=system),
        lambda system: raised(HTTPClientError(error=system), KeyError()),
    ],
)
def test_botocore_is_asked_in_its_own_way(wrapped: Callable[[Exception], Exception]) -> None:
    system = socket.gaierror(-2, "Name or service not known")
    error = wrapped(system)
    assert list(causes(error)) == [error, system]


@pytest.mark.parametrize("about", [{}, {"error": "in words"}, {"error": None}])
def test_where_botocore_kept_no_exception_what_it_was_raised_from_counts(about: dict[str, object]) -> None:
    late = TimeoutError()
    error = raised(ConnectTimeoutError(endpoint_url="https://sts.example.com", **about), late)
    assert list(causes(error)) == [error, late]


async def test_the_way_through_two_libraries_ends_at_what_the_system_said() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get("http://127.0.0.1:1/")
    *_, last = causes(HTTPClientError(error=caught.value))
    assert isinstance(last, ConnectionRefusedError)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_is_walked_once(length: int) -> None:
    circle = [asyncio.InvalidStateError() for _ in range(length)]
    for one, other in zip(circle, circle[1:] + circle[:1], strict=True):
        one.__cause__ = other
    assert list(causes(circle[0])) == circle
