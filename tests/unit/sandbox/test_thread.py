"""Can a program without a loop use the sandbox?"""

import threading
from pathlib import Path

import pytest

from agent.errors import ListenerUnavailable
from agent.sandbox import Sandbox, in_thread, practice_world


def test_the_thread_ends_with_the_context() -> None:
    before = threading.active_count()
    with in_thread(Sandbox(practice_world())) as sandbox:
        assert sandbox.endpoint_url.startswith("http://127.0.0.1:")
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_what_keeps_it_from_starting_is_raised_here() -> None:
    with in_thread(Sandbox(practice_world())) as first:
        port = int(first.endpoint_url.rpartition(":")[2])
        with (
            pytest.raises(ListenerUnavailable) as caught,
            in_thread(Sandbox(practice_world(), listen=("127.0.0.1", port))),
        ):
            pass
    assert caught.value.what == f"the sandbox cannot listen on 127.0.0.1:{port}"


def test_a_sandbox_can_be_started_again(tmp_path: Path) -> None:
    sandbox = Sandbox(practice_world(), sites={"https://oidc.example.com": tmp_path})
    for _ in range(2):
        with in_thread(sandbox):
            assert set(sandbox.site_urls) == {"https://oidc.example.com"}
