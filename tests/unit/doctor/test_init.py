from pathlib import Path

from agent.doctor import LINKS, Finding, Tried


def finding(severity: str) -> Finding:
    return Finding("key", severity, "something", "do something")  # type: ignore[arg-type]  # one of three words


def test_a_link_is_broken_by_an_error_alone() -> None:
    assert Tried("key", findings=(finding("note"), finding("error"))).is_broken
    assert not Tried("key", findings=(finding("note"), finding("warning"))).is_broken
    assert not Tried("key", not_tried="nobody may read it").is_broken


def test_every_link_is_described() -> None:
    paper = (Path(__file__).parents[3] / "docs/doctor.md").read_text()
    assert [link for link in LINKS if f"\n| {link} |" not in paper] == []


def test_the_links_stand_in_the_order_in_which_one_depends_on_another() -> None:
    assert LINKS.index("key") < LINKS.index("issuer") < LINKS.index("token") < LINKS.index("roles")
    assert LINKS.index("roles") < LINKS.index("endpoint") < LINKS.index("environment")
