from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given, strategies

from agent.settings.mistakes import Wrong
from agent.settings.section import Section, Surroundings, read
from agent.settings.spelling import FilePath, SecretPath, SecretPaths, expand, parse_duration, span
from agent.spans import spell_duration

HERE = Surroundings(Path("/etc/rolecall"), Path("/run/credentials/rolecall.service"), {"HOST": "web-1", "ROLE": "db"})


class Paths(Section):
    file: FilePath | None = None
    secret: SecretPath | None = None
    secrets: SecretPaths = ()


class Bounded(Section):
    wait: Annotated[timedelta, span("1m", "1h")] = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2d", timedelta(days=2)),
        ("0s", timedelta(0)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_durations_mean_what_they_say(written: str, meant: timedelta) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", " ", "5", "5 m", "m", "5M", "-5m", "1.5h", "30m1h", "5min", "1h ", "\u0665m", "99999999s", "1w", "5m5m"],
)
def test_what_is_not_a_duration_is_refused(written: str) -> None:
    with pytest.raises(Wrong):
        parse_duration(written)


@given(strategies.integers(0, 86_400 * 9999))
def test_every_duration_can_be_spelt_and_read_back(seconds: int) -> None:
    given_ = timedelta(seconds=seconds)
    assert parse_duration(spell_duration(given_)) == given_


def test_the_bounds_of_a_duration_are_allowed() -> None:
    for wait, good in {"1m": True, "60m": True, "59s": False, "1h1s": False}.items():
        section, mistakes = read(Bounded, {"wait": wait}, "times", HERE)
        assert (section is not None) is good, mistakes


def test_templates_are_filled_in_and_a_doubled_dollar_is_one() -> None:
    assert expand("${HOST}-${ROLE}-$$5-${HOST}", HERE) == "web-1-db-$5-web-1"


@pytest.mark.parametrize("template", ["$HOST", "${host}", "${}", "${HOST", "$", "a$", "${HO${ST}}"])
def test_templates_that_name_nothing_known_are_refused(template: str) -> None:
    with pytest.raises(Wrong):
        expand(template, HERE)


def test_what_a_template_puts_in_is_not_a_template() -> None:
    assert expand("${HOST}", Surroundings(Path("/"), None, {"HOST": "${ROLE}"})) == "${ROLE}"


def test_relative_paths_start_at_the_file_and_absolute_ones_stay() -> None:
    for written, meant in {
        "keys": "/etc/rolecall/keys",
        "/var/keys": "/var/keys",
        "../x": "/etc/rolecall/../x",
    }.items():
        section, _ = read(Paths, {"file": written}, "paths", HERE)
        assert section is not None
        assert section.file == Path(meant)


def test_secrets_are_files_or_systemd_credentials() -> None:
    section, _ = read(Paths, {"secret": "credential:key", "secrets": ["/a", "credential:b.c-d_e"]}, "paths", HERE)
    assert section is not None
    assert section.secret == Path("/run/credentials/rolecall.service/key")
    assert section.secrets == (Path("/a"), Path("/run/credentials/rolecall.service/b.c-d_e"))


@pytest.mark.parametrize("name", ["", ".", "..", "../key", "a/b", ".hidden", "a b", "a\n", "a" * 300])
def test_a_credential_with_an_odd_name_is_refused(name: str) -> None:
    section, mistakes = read(Paths, {"secret": f"credential:{name}"}, "paths", HERE)
    assert section is None
    assert "a systemd credential is written" in str(mistakes[0])


@pytest.mark.parametrize("path", ["/a\nb", "/a\0b", "/" + "a" * 5000])
def test_a_path_that_cannot_be_one_is_refused(path: str) -> None:
    for word in ("file", "secret"):
        section, mistakes = read(Paths, {word: path}, "paths", HERE)
        assert section is None
        assert "is not a path" in str(mistakes[0])
