"""Is everything in a credentials file that is not ours kept byte for byte?"""

import configparser

from hypothesis import given
from hypothesis import strategies as st

from agent.outputs.profiles import OURS, Unclear, entries_of, with_entries

PROFILE = "rolecall"

values = st.text("ABCxyz019+/=_-;#[]%", min_size=1, max_size=40)
sets = st.fixed_dictionaries(dict.fromkeys(OURS[:4], values))
ends = st.sampled_from([b"\n", b"\r\n"])

#: Lines as people and tools write them, and as only a fuzzer does.
words = st.sampled_from(
    [b"region", b"role_arn", b"AWS_Session_Token", b"aws_access_key_id", b"s3", b"x", b"\xc3\xa9", b"\xff", b"a b"]
)
texts = st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b""))
entries = st.builds(
    lambda indent, key, sign, value: indent + key + sign + value,
    st.sampled_from([b"", b"", b"", b"  ", b"\t"]),
    words,
    st.sampled_from([b" = ", b"=", b": "]),
    texts,
)
comments = st.builds(lambda mark, text: mark + text, st.sampled_from([b"#", b";", b"  # "]), texts)
names = st.sampled_from([b"default", b"rolecall2", b"Rolecall", b"profile rolecall", b"a]b", b"x"])
headers = names.map(lambda name: b"[" + name + b"]")
lines = st.one_of(entries, comments, headers, st.just(b""), texts)
foreign = st.lists(lines, max_size=12)


def joined(some: list[bytes], end: bytes) -> bytes:
    return b"".join(line + end for line in some)


def sections(content: bytes) -> dict[str, dict[str, str | None]]:
    parser = configparser.RawConfigParser(default_section="", strict=False, allow_no_value=True)
    parser.read_file((content.decode("utf-8", "surrogateescape")).replace("\r", "\n").split("\n"))
    return {name: dict(parser.items(name)) for name in parser.sections()}


@given(foreign, sets, sets, ends)
def test_in_front_of_us_and_behind_us_nothing_changes(
    some: list[bytes], first: dict[str, str], second: dict[str, str], end: bytes
) -> None:
    before = b"[default]" + end + joined(some, end)
    once = attempt(before, first)
    if once is None:
        return
    assert once.startswith(before)
    after = b"[behind]" + end + joined(some, end)
    twice = attempt(once + after, second)
    if twice is None:
        return
    assert twice.startswith(before)
    assert twice.endswith(after)
    assert entries_of(twice, PROFILE) == second
    assert attempt(twice, {}) == before + after


@given(foreign, foreign, sets, ends)
def test_in_our_own_profile_only_our_entries_change(
    some: list[bytes], others: list[bytes], new: dict[str, str], end: bytes
) -> None:
    content = b"[default]" + end + joined(some, end) + b"[rolecall]" + end + joined(others, end)
    told = attempt(content, new)
    if told is None:
        return
    was, now = sections(content), sections(told)
    kept = {key: value for key, value in was.pop(PROFILE).items() if key not in OURS}
    assert now.pop(PROFILE) == kept | new
    assert now == was
    fresh = attempt(b"[default]" + end, new)
    assert fresh is not None
    block = fresh.partition(b"[rolecall]" + end)[2]
    assert told.count(block) == 1
    remaining = iter(content.splitlines(keepends=True))
    assert all(line in remaining for line in told.replace(block, b"").splitlines(keepends=True))


@given(st.binary(max_size=200), sets)
def test_any_bytes_at_all_are_kept_or_left_alone(content: bytes, new: dict[str, str]) -> None:
    told = attempt(content, new)
    if told is not None and b"rolecall" not in content:
        assert told.startswith(content)
        assert entries_of(told, PROFILE) == new
        gone = attempt(told, {})
        assert gone in (content, content + b"\n", content + b"\r\n", None)


@given(foreign, sets, ends)
def test_to_write_the_same_again_is_to_write_nothing(some: list[bytes], new: dict[str, str], end: bytes) -> None:
    once = attempt(b"[a]" + end + joined(some, end), new)
    if once is not None:
        assert attempt(once, new) == once


@given(sets, ends)
def test_a_plain_file_is_never_refused(new: dict[str, str], end: bytes) -> None:
    plain = joined([b"# mine", b"[default]", b"aws_access_key_id = AKIA", b"", b"[b]", b"role_arn = x"], end)
    told = attempt(plain, new)
    assert told is not None
    assert told.startswith(plain)


def attempt(content: bytes, new: dict[str, str]) -> bytes | None:
    """The file with a new set; None if it was left alone."""
    try:
        return with_entries(content, PROFILE, new)
    except Unclear:
        return None
