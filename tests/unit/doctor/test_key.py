from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent.doctor.key import Keys, examined, other_agent, unavailable
from agent.errors import KeyUnavailable
from agent.jose import thumbprint
from agent.keys import PublicKey
from agent.ring import Held, Member, Ring, Rules
from tests.fakes.memory_key import MemoryKey

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE, TWO = MemoryKey().public, MemoryKey().public
RULES = Rules(every=timedelta(days=90), announce=timedelta(days=1))
SIGNS = Member(ONE, Held("pem", "one", ours=True), "signing", NOW, timedelta(days=10), seen=True)
WAITS = Member(TWO, Held("pem", "two", ours=True), "announced", NOW - timedelta(hours=30))


def keys(*members: Member, signing: PublicKey = ONE) -> Keys:
    return Keys(Ring(members), RULES, signing, NOW)


def warnings(found: Keys) -> list[str]:
    return [one.what for one in examined(found).findings if one.severity != "note"]


def test_a_key_that_signs_is_good_and_ecdsa_is_worth_a_note() -> None:
    tried = examined(keys(SIGNS))
    assert tried.good == f"the key {ONE.kid} (ES256) signs"
    assert [(one.severity, "Azure" in one.what) for one in tried.findings] == [("note", True)]


def test_of_an_rsa_key_there_is_nothing_to_say() -> None:
    jwk = {"kty": "RSA", "n": "A" * 342, "e": "AQAB"}
    public = PublicKey(thumbprint(jwk), "RS256", jwk)
    assert examined(keys(replace(SIGNS, public=public), signing=public)).findings == ()


def test_another_key_than_that_of_the_ring_is_an_error() -> None:
    tried = examined(keys(SIGNS, signing=TWO))
    assert tried.is_broken
    assert tried.findings[0].what == f"the key that signs is {TWO.kid}, and by the ring it should be {ONE.kid}"


def test_a_key_that_is_announced_has_a_day_of_grace_before_anybody_is_told() -> None:
    assert warnings(keys(SIGNS, WAITS)) == []
    late = replace(WAITS, since=NOW - timedelta(hours=49))
    assert "is stuck" in warnings(keys(SIGNS, late))[0]
    assert "nobody has seen it" in warnings(keys(SIGNS, late))[0]
    assert "though it is seen now" in warnings(keys(SIGNS, replace(late, seen=True)))[0]


def test_a_key_that_has_signed_for_twice_its_time_is_a_warning_unless_another_is_on_its_way() -> None:
    old = replace(SIGNS, counted=timedelta(days=181))
    assert warnings(keys(replace(SIGNS, counted=timedelta(days=180)))) == []
    assert warnings(keys(old)) == [f"the key {ONE.kid} has signed for 181 days, and rotation.every is 90 days"]
    assert warnings(keys(old, WAITS)) == []


def test_where_keys_do_not_follow_by_themselves_none_is_too_old() -> None:
    old = replace(SIGNS, counted=timedelta(days=1000))
    assert warnings(replace(keys(old), rules=Rules(every=None))) == []


def test_no_key_is_an_error_in_the_words_of_its_custodian() -> None:
    tried = unavailable(KeyUnavailable("the TPM is away", hint="plug it in"))
    assert [(one.severity, one.what, one.hint) for one in tried.findings] == [
        ("error", "the TPM is away", "plug it in")
    ]


def test_a_key_that_this_user_may_not_read_is_no_error_but_not_tried() -> None:
    error = KeyUnavailable("the key cannot be read", hint="give it to the agent's user")
    error.__cause__ = PermissionError(13, "Permission denied")
    tried = unavailable(error)
    assert not tried.is_broken
    assert tried.not_tried.startswith("the key cannot be read; run this as the agent's user")


def test_somebody_else_with_our_keys_is_named_by_the_process() -> None:
    finding = other_agent(4711, "/var/lib/rolecall")
    assert (finding.severity, finding.sure) == ("error", "likely")
    assert "process 4711 works with the keys in /var/lib/rolecall" in finding.what
