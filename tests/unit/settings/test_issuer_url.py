from pathlib import Path

import pytest

from agent.settings.issuer_url import issuer_url
from agent.settings.mistakes import Wrong
from agent.settings.section import Surroundings

HERE = Surroundings(Path(), None, {})


@pytest.mark.parametrize("url", ["https://a.example.com", "https://a.example.com/", "https://A.example.com/b/c.d"])
def test_it_is_kept_byte_for_byte(url: str) -> None:
    assert issuer_url(url, HERE) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://a.example.com", "does not begin with https://"),
        ("https://" + "a" * 248, "at most 255"),
        ("https://a.example.com/ä", "blanks or characters"),
        ("https://[half", "is not a URL"),
        ("https://u:canary@a.example.com", "a user name or password"),
        ("https://a.example.com?b", "a query or a fragment"),
        ("https://a.example.com:443", "names a port"),
        ("https:///a", "no proper host name"),
        ("https://a.example.com/.well-known/openid-configuration", "write only what stands before"),
    ],
)
def test_what_aws_would_not_take_is_said_why(url: str, said: str) -> None:
    with pytest.raises(Wrong, match=said) as caught:
        issuer_url(url, HERE)

    assert "canary" not in str(caught.value)
