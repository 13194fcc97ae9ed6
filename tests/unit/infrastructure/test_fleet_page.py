"""Is the arithmetic right that docs/fleet.md does?"""

import json
import math
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.infrastructure import Account, Trust
from agent.infrastructure.trust import QUOTA, policy_of, size
from agent.publishing.discovery import MANY_KEYS, MOST_KEYS, documents

PAGE = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text()
HERE = Account("aws", "123456789012")
SITE_A = "https://oidc.example.com/site-a"


def of_the_page() -> dict[str, Any]:
    """What the Python on the page defines."""
    defined: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        exec(code, defined)
    return defined


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose heading begins so, or begins with an empty cell; without the heading."""
    lines = PAGE[PAGE.index(f"| {heading} |" if heading else "| | a host |") :].splitlines()
    rows = lines[2 : next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def test_issuers_are_counted_right() -> None:
    issuers = of_the_page()["issuers"]
    for hosts, one, both in table("hosts | one kind of key | both kinds"):
        assert (number(one), number(both)) == (issuers(number(hosts)), issuers(number(hosts), kinds=2))
    for sharing, keys, one, both in table("hosts to a key | keys"):
        assert number(keys) == math.ceil(100_000 / number(sharing))
        assert number(one) == issuers(100_000, sharing=number(sharing))
        assert number(both) == issuers(100_000, sharing=number(sharing), kinds=2)


@pytest.mark.parametrize(("hosts", "kinds"), [(50, 1), (51, 1), (100, 2), (101, 2), (1, 1), (4_999, 1)])
def test_no_issuer_has_more_keys_than_sts_reads_even_while_all_rotate(hosts: int, kinds: int) -> None:
    count = of_the_page()["issuers"](hosts, kinds=kinds)
    fullest = math.ceil(math.ceil(hosts / count) / kinds)
    assert 2 * fullest <= MOST_KEYS
    assert count == 1 or 2 * hosts > (count - 1) * MOST_KEYS * kinds  # and one less would not do


def test_the_warning_comes_when_the_page_says() -> None:
    assert 50 + 29 < MANY_KEYS <= 50 + 30
    assert f"{MANY_KEYS} keys of a kind" in PAGE


def test_shards_by_hash_that_are_half_full_hardly_ever_overflow() -> None:
    for hosts, shards in table("hosts | shards by hash, one kind of key"):
        assert number(hosts) == 25 * number(shards)
        assert number(shards) * more_than(50, number(hosts), 1 / number(shards)) < 1 / 50


def more_than(most: int, count: int, chance: float) -> float:
    """The odds that more than `most` of `count` hit what each hits by this chance."""
    return 1 - math.fsum(math.comb(count, hit) * chance**hit * (1 - chance) ** (count - hit) for hit in range(most + 1))


@pytest.mark.parametrize("host", ["web-0001", "db-7.example.com", "a"])
def test_shell_and_python_lead_to_the_same_shard(host: str) -> None:
    (line,) = re.findall(r"^shard=.*$", PAGE, re.MULTILINE)
    script = f'hostname() {{ printf "%s\\n" "{host}"; }}\n{line}\necho $shard'
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=10).stdout
    assert int(said) == of_the_page()["shard"](host, 40)


def test_a_thousand_hosts_spread_over_all_shards() -> None:
    shard = of_the_page()["shard"]
    found = [shard(f"web-{host:04}.example.com", 40) for host in range(1000)]
    assert set(found) == set(range(40))
    assert max(found.count(one) for one in range(40)) <= 50


def statements(count: int, *, pinned: bool) -> int:
    """The size of a policy that names so many issuers, each as long as the one on the page."""
    trust = Trust(SITE_A, "sts.amazonaws.com", "host:web-0001", require_pinning=pinned)
    one: Any = policy_of(trust, HERE)
    return size({**one, "Statement": one["Statement"] * count})


def subjects(count: int) -> int:
    policy = json.loads(json.dumps(policy_of(Trust(SITE_A, "sts.amazonaws.com", "host:web-0001"), HERE)))
    names = [f"host:web-{host:04}" for host in range(count)]
    policy["Statement"][0]["Condition"]["StringEquals"]["oidc.example.com/site-a:sub"] = names
    return size(policy)


def test_so_much_fits_into_a_trust_policy() -> None:
    plain, pinned, listed = table("in one policy | within 2,048")
    assert QUOTA == 2048
    for cells, sized in (
        (plain, lambda count: statements(count, pinned=False)),
        (pinned, lambda count: statements(count, pinned=True)),
        (listed, subjects),
    ):
        for cell, quota in zip(cells[1:], (2048, 4096), strict=True):
            assert sized(number(cell)) <= quota < sized(number(cell) + 1), cells[0]


def test_requests_are_counted_right() -> None:
    rows = table("")
    assert len(rows) == 4
    for _, hourly, *rates in rows:
        each = int(hourly.split()[0])
        for hosts, rate in zip((1_000, 10_000, 100_000), rates, strict=True):
            assert float(rate.split()[0]) == pytest.approx(each * hosts / 3600, rel=0.12)


def test_key_sets_are_as_large_as_the_page_says() -> None:
    rsa = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k" * 43, "n": "n" * 342, "e": "AQAB"}
    ec = {"kty": "EC", "use": "sig", "alg": "ES256", "kid": "k" * 43, "crv": "P-256", "x": "x" * 43, "y": "y" * 43}
    for key, said in ((rsa, 26), (ec, 14)):
        keys = [{**key, "kid": f"{host:043}"} for host in range(50)]
        key_set, _ = documents(SITE_A, keys, max_age=timedelta(minutes=5))
        assert round(len(key_set.body) / 1000) == said
        assert f"{said} kB" in PAGE
