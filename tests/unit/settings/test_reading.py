import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import ConfigurationError
from agent.settings.reading import find, read_toml

DEEP = " is not TOML that can be read: a number is too long, or arrays or tables are nested too deeply"


def refusal(path: Path) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        read_toml(path)
    return caught.value.what, caught.value.hint


def test_the_file_is_the_one_that_was_named_wherever_else_there_is_one(tmp_path: Path) -> None:
    named = tmp_path / "named.toml"
    assert find(named, {"ROLECALL_CONFIG": "/other.toml"}) == named
    assert find(None, {"ROLECALL_CONFIG": "/other.toml"}) == Path("/other.toml")


def test_else_it_is_the_one_in_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rolecall.toml").touch()
    assert find(None, {"ROLECALL_CONFIG": ""}) == Path("rolecall.toml")


@pytest.mark.skipif(Path("/etc/rolecall/rolecall.toml").exists(), reason="this machine has a configuration of its own")
def test_no_file_anywhere_is_said_with_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        find(None, {})
    assert caught.value.what == (
        "there is no configuration: neither ./rolecall.toml nor /etc/rolecall/rolecall.toml exists"
    )
    assert caught.value.hint == "write one with: rolecall init; or name one with -c FILE or ROLECALL_CONFIG"


def test_a_file_that_is_not_there_or_no_file_is_said_so(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert refusal(missing)[0] == f"{missing} does not exist"
    assert refusal(tmp_path) == (
        f"{tmp_path} is a directory, not a configuration file",
        f"name the file in it: -c {tmp_path}/rolecall.toml",
    )
    assert refusal(tmp_path / "a\0b")[0].endswith(" cannot be read: it is not the path of a file")
    assert refusal(tmp_path / ("a" * 300))[0].endswith(" cannot be read: File name too long")


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root may read every file, so it becomes somebody else for the while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_file_that_may_not_be_read_is_said_so(tmp_path: Path, ordinary_user: None) -> None:
    path = tmp_path / "rolecall.toml"
    if os.geteuid() == os.getuid():  # otherwise the directory is root's own, and as closed as the file would be
        path.touch(mode=0o000)
    told = refusal(path)
    assert told == (f"{path} may not be read by this user", "run this as the user of the agent, or as root")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[sts]\nregion = "\xff"', ", line 2: there is a byte that is not UTF-8"),
        ('[sts]\nregion = "a"'.encode("utf-16"), ", line 1: there is a byte that is not UTF-8"),
        (b"a = 1\na = 2\n", ", line 2, column 6: this name, or this table, already has a value above"),
        (
            b"[a]\n[a]",
            ", line 2, column 3: this table is begun a second time, or its name already has a value above; keep one",
        ),
        (b"a = {b = 1, b = 2}", ", line 1, column 18: this name stands twice in one inline table"),
        (b'a = "b', ", at its end: a text in quotes has no end"),
        (b"a = 1 2", ", line 1, column 7: a line goes on after its value; does the value need quotes?"),
        (b"a = yes", ", line 1, column 5: a value is expected here; text stands in quotes"),
        (b"a", ", at its end: a name must be followed by = and a value"),
        (b"= 1", ", line 1, column 1: this is neither a [table] nor a line of the form name = value"),
        (b"a = [1", ", at its end: an array has no end; it needs a ]"),
        (b"a = " + b"[" * 5000, DEEP),
        (b"a = " + b"9" * 5000, DEEP),
        (b"#" * 1_100_000, " is larger than 1 MiB"),
        (b'a = "\\q"', ", line 1, column 8: not TOML (Unescaped '\\' in a string)"),
    ],
)  # fmt: skip
def test_what_is_not_toml_is_said_with_its_place(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_bytes(content)
    assert refusal(path)[0] == f"{path}{said}"


def test_a_secret_in_what_is_not_toml_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    for line in (
        "AKIAIOSFODNN7CANARY0 = 1\n[AKIAIOSFODNN7CANARY0]",
        "a = wJalrXUtnFEMICANARY",
        "-----BEGIN PRIVATE KEY-----\nCANARY",
        "a = {AKIAIOSFODNN7CANARY0 = 1, AKIAIOSFODNN7CANARY0 = 2}",
    ):
        path.write_text(line)
        assert "CANARY" not in "".join(refusal(path))


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_bytes(b'\xef\xbb\xbf[sts]\r\nregion = "a"\r\n')
    assert read_toml(path) == {"sts": {"region": "a"}}


def test_a_configuration_may_come_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"a = 1",))
    writer.start()
    assert read_toml(path) == {"a": 1}
    writer.join()
