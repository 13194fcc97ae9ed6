from collections.abc import Callable

import pytest

from agent.settings import SelfSigned, Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
SOURCE = 'source = "self_signed"'
URL = "https://oidc.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://oidc.example.com/",
        "https://oidc.example.com/Team/a",
        "https://s3.eu-central-1.amazonaws.com/bucket",
        "https://OIDC.example.com",
        "https://" + "a" * 247,
    ],
)
def test_an_issuer_is_kept_byte_for_byte(url: str, read: Read) -> None:
    issuer = read((URL, url)).issuer
    assert issuer is not None
    assert issuer.url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://", "https://-a.example.com", "https://a.example.com:", "https://[::1]/", "https://[::1", "HTTPS://a.b",
        "https://ä.example.com", "https://a.example.com\\\\b", "https://a.example.com?", "https://a.example.com#",
        "https://@a.example.com", "https://a.example.com/\\n",
    ],
)  # fmt: skip
def test_an_issuer_that_aws_would_not_take_is_refused(url: str, mistakes: Mistakes) -> None:
    told = mistakes((URL, url))
    assert len(told) == 1
    assert told[0].startswith("issuer.url: ")


def test_templates_name_the_host_in_subject_tags_and_source_identity(read: Read) -> None:
    new = (
        'subject = "host:${HOST}"\ntags = { host = "${HOST}" }\ntransitive_tags = ["host"]\nsource_identity = "${HOST}"'
    )
    identity = read((SOURCE, new), host="db-7.example.com").identity
    assert isinstance(identity, SelfSigned)
    assert identity.subject == "host:db-7.example.com"
    assert identity.tags == {"host": "db-7.example.com"}
    assert identity.transitive_tags == ("host",)
    assert identity.source_identity == "db-7.example.com"


@pytest.mark.parametrize(("subject", "good"), [("a" * 5, False), ("a" * 6, True), ("é" * 63, True), ("é" * 64, False)])
def test_a_subject_is_6_to_127_bytes_long(subject: str, good: bool, read: Read, mistakes: Mistakes) -> None:  # noqa: FBT001 - a row
    change = (SOURCE, f'subject = "{subject}"')
    if good:
        identity = read(change).identity
        assert isinstance(identity, SelfSigned)
        assert identity.subject == subject
    else:
        assert mistakes(change)[0].startswith("identity.subject: ")


@pytest.mark.parametrize("subject", [" host:a", "host:a ", "host:\\u0007"])
def test_a_subject_has_nothing_that_cannot_be_seen(subject: str, mistakes: Mistakes) -> None:
    assert mistakes((SOURCE, f'subject = "{subject}"'))[0].startswith("identity.subject: ")


def test_a_host_without_a_name_makes_no_subject(mistakes: Mistakes) -> None:
    assert mistakes(host="") == ['identity.subject: comes to "host:"; it must be 6 to 127 bytes long, and is 5']


@pytest.mark.parametrize(
    ("tags", "path"),
    [
        ('{ "" = "a" }', 'identity.tags."": '),
        ('{ a = "aws:b" }', "identity.tags.a: "),
        ("{ a = '" + "v" * 257 + "' }", "identity.tags.a: "),
        ("{ " + "k" * 129 + ' = "v" }', "identity.tags.…: "),
        ("{ " + ", ".join(f'k{n} = "v"' for n in range(51)) + " }", "identity.tags: "),
        ('{ a = "${ROLE}" }', "identity.tags.a: "),
    ],
)
def test_tags_that_aws_would_not_take_are_refused(tags: str, path: str, mistakes: Mistakes) -> None:
    told = mistakes((SOURCE, f"tags = {tags}"))
    assert len(told) == 1
    assert told[0].startswith(path)


def test_a_tag_may_have_an_empty_value_and_the_marks_that_aws_allows(read: Read) -> None:
    identity = read((SOURCE, 'tags = { empty = "", "a b_.:/=+-@c" = "é_.:/=+-@ 1" }')).identity
    assert isinstance(identity, SelfSigned)
    assert identity.tags == {"empty": "", "a b_.:/=+-@c": "é_.:/=+-@ 1"}
