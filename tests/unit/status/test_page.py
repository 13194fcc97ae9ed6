"""Does the page tell people the truth, and nothing else anything at all?"""

import base64
import dataclasses
import hashlib
import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from agent.errors import CredentialsRefused, CredentialsUnavailable
from agent.status.page import CONTENT_SECURITY_POLICY, render, span
from agent.status.snapshot import KeyRing, KeyStatus, ListenerStatus, StatusSnapshot
from tests.unit.status.samples import KID, RULE, TOKENS, Inside

HOSTILE = "<script>alert(1)</script>\"'&<img src=//evil.example.com>"
VOID = {"meta", "link", "wbr", "br", "circle"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed where it should be, and remembers attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def parsed(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


async def everything() -> StatusSnapshot:
    """Every state at once: good, failing, ending, bare, starting."""
    inside = Inside(("good", "failing", "ending", "bare", "starting"))
    await inside.renew("ending")
    await inside.base.advance(timedelta(minutes=50))
    await inside.renew("good", "failing")
    for role in ("failing", "ending"):
        inside.sources[role].failure = CredentialsUnavailable("STS does not answer.", hint="Is the network up?")
    inside.sources["bare"].failure = CredentialsRefused("STS refuses.", hint="Compare the trust policy.")
    await inside.renew("failing", "ending", "bare")
    return inside.overview.snapshot()


async def test_tokens_for_others_have_a_place_where_there_are_any() -> None:
    inside = Inside()
    assert "Tokens for others" not in render(inside.overview.snapshot())
    hostile = dataclasses.replace(TOKENS, audience=HOSTILE, problem=HOSTILE, callers=(HOSTILE,) * 9, state="failing")
    idle = dataclasses.replace(TOKENS, audience="orders", state="idle", held=0, problem="", callers=())
    inside.tokens += [hostile, idle]
    page = render(inside.overview.snapshot())
    parsed(page)
    assert "<script>" not in page
    assert '<span class="badge warn">failing, still good</span>' in page
    assert re.search(r"<code>orders</code></td><td><span class=.badge idle.>on demand</span></td><td>0</td>", page)


async def test_rules_have_a_place_where_there_are_any_and_are_all_there_is_where_there_are_no_roles() -> None:
    inside = Inside(roles=())
    inside.keys.clear()
    inside.rules += [dataclasses.replace(RULE, keys=2, problem="")]
    page = render(inside.overview.snapshot())
    parsed(page)
    assert "<title>rolecall: 1 rule for tokens of others, on call</title>" in page
    assert "None: nothing here needs a token of ours." in page
    assert '<td><span class="badge good">on call</span></td><td>2</td>' in page

    inside.rules += [dataclasses.replace(RULE, rule=HOSTILE, issuer=HOSTILE, problem=HOSTILE)]
    inside.tokens += [dataclasses.replace(TOKENS, state="good")]
    page = render(inside.overview.snapshot())
    parsed(page)
    assert "<script>" not in page
    assert "tokens for 1 audience and 2 rules for tokens of others: 1 needs somebody" in page
    assert '<span class="badge bad">no keys</span>' in page
    assert "Rules for tokens of others" not in render(Inside().overview.snapshot())


@pytest.mark.parametrize(
    ("keys", "problem", "said"),
    [
        (1, "", "1 rule for tokens of others, on call"),
        (1, "away", "1 rule for tokens of others: 1 not being renewed"),
        (0, "", "1 rule for tokens of others, starting"),
        (0, "away", "1 rule for tokens of others: 1 needs somebody"),
    ],
)
async def test_where_there_are_rules_alone_the_first_line_tells_of_them(keys: int, problem: str, said: str) -> None:
    inside = Inside(roles=())
    inside.rules.append(dataclasses.replace(RULE, keys=keys, problem=problem))
    assert f'">{said}</p>' in render(inside.overview.snapshot())


async def test_every_state_is_said_in_words_with_its_problem_and_what_to_do() -> None:
    page = render(await everything())
    parsed(page)
    for words in ("on call", "failing, still good", "failing, ending soon", "no credentials", "starting"):
        assert f'<span class="badge">{words}</span>' in page
    for said in ("STS does not answer.", "Is the network up?", "STS refuses.", "Compare the trust policy.", KID):
        assert said in page


async def test_a_role_of_parts_shows_each_of_them_and_the_worst_first() -> None:
    now = await everything()
    by_name = {role.role: role.sessions[0] for role in now.roles}
    parts = [
        dataclasses.replace(by_name[name], about=f"grants#2: unit {name}.service", on_demand=True, callers=("me",))
        for name in ("good", "bare")
    ]
    role = dataclasses.replace(now.roles[0], sessions=(by_name["good"], *parts))
    page = render(dataclasses.replace(now, roles=(role,)))
    parsed(page)
    shown = page.partition('class="parts')[2]
    order = ["grants#2: unit bare.service", "the whole role", "grants#2: unit good.service"]
    places = [shown.index(about) for about in order]
    assert places == sorted(places)
    assert 'class="parts' not in render(dataclasses.replace(now, roles=now.roles[:1]))


async def test_of_very_many_parts_some_are_shown_and_the_rest_counted() -> None:
    now = await everything()
    one = now.roles[0].sessions[0]
    many = tuple(dataclasses.replace(one, about=f"unit {number}") for number in range(1000))
    page = render(dataclasses.replace(now, roles=(dataclasses.replace(now.roles[0], sessions=many),)))
    parsed(page)
    assert "and 950 more" in page


async def test_a_role_that_nobody_has_asked_for_is_on_demand() -> None:
    now = await everything()
    page = render(dataclasses.replace(now, roles=(dataclasses.replace(now.roles[0], sessions=()),)))
    parsed(page)
    assert '<span class="badge">on demand</span>' in page
    assert "when somebody asks" in page


async def test_the_worst_stands_first() -> None:
    assert re.findall(r"<h2>(\w+) ", render(await everything())) == ["bare", "ending", "failing", "starting", "good"]


async def test_the_whole_is_judged_by_its_worst_role() -> None:
    now = await everything()
    without = [now]
    for gone in ("bare", "ending", "failing", "starting"):
        without.append(dataclasses.replace(now, roles=tuple(r for r in without[-1].roles if r.role != gone)))
    verdicts = [re.findall(r'<p class="summary (\w+)">([^<]*)', render(each))[0] for each in without]
    assert verdicts == [
        ("bad", "2 of 5 roles need somebody"),
        ("bad", "1 of 4 roles needs somebody"),
        ("warn", "3 roles on call, 1 not being renewed"),
        ("idle", "1 of 2 roles starting"),
        ("good", "1 role on call"),
    ]


async def test_nothing_is_fetched_from_anywhere_and_nothing_runs() -> None:
    page = render(await everything())
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page
    for _, name, value in parsed(page).attributes:
        assert not name.startswith("on")
        assert name not in {"style", "src"}
        if name == "href":
            assert re.fullmatch(r"data:image/svg\+xml,.*|metrics|status\.json|readyz|livez", value or "")


async def test_the_policy_allows_this_style_and_no_other() -> None:
    style = re.findall(r"<style>(.*?)</style>", render(await everything()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert len(style) == 1
    assert f"style-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none';")
    assert "unsafe" not in CONTENT_SECURITY_POLICY


async def test_what_others_wrote_is_escaped_wherever_it_stands() -> None:
    now = await everything()
    session = dataclasses.replace(
        now.roles[1].sessions[0], about=HOSTILE, problem=HOSTILE, hint=HOSTILE, key_id=HOSTILE, callers=(HOSTILE,)
    )
    role = dataclasses.replace(now.roles[1], role=HOSTILE, arn=HOSTILE, sessions=(session,))
    hostile = dataclasses.replace(
        now,
        version=HOSTILE,
        roles=(role,),
        ring=KeyRing((KeyStatus(HOSTILE, HOSTILE, "signing", next=HOSTILE),)),
        listeners=(ListenerStatus(HOSTILE, HOSTILE),),
    )
    page = render(hostile)
    assert "<script" not in page
    assert "<img" not in page
    parser = parsed(page)
    assert not [tag for tag, *_ in parser.attributes if tag == "img"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (3900, "1 h 5 min"),
        (86399, "23 h 59 min"), (86400, "1 d"), (100_000, "1 d 3 h"),
    ],
)  # fmt: skip
def test_spans_are_said_as_people_say_them(seconds: int, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (None, "AWS has not been heard yet"),
        (1.4, "right"),
        (-30, "30 s fast"),
        (61, '<span class="badge bad">1 min slow</span>'),
        (-7200, '<span class="badge bad">2 h fast</span>'),
    ],
)
async def test_the_clock_is_said_to_be_slow_or_fast(offset: float | None, said: str) -> None:
    now = dataclasses.replace(await everything(), offset=None if offset is None else timedelta(seconds=offset))
    assert f"<dt>Clock</dt><dd>{said}</dd>" in render(now)


async def test_a_key_is_shown_with_what_is_known_of_it() -> None:
    assert (
        f"<tr><td><code>{KID}</code></td><td>RS256</td><td>signing</td><td>yes</td><td>its successor is made</td></tr>"
        in render(await everything())
    )


async def test_an_agent_without_keys_of_its_own_says_so() -> None:
    assert "tokens come from elsewhere" in render(dataclasses.replace(await everything(), ring=KeyRing()))
