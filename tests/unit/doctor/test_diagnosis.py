from agent.doctor import Finding, Tried
from agent.doctor.diagnosis import Diagnosis, broken

KEY = Finding("key", "error", "no key", "make one")
OLD = Finding("key", "warning", "an old key", "have another")
ISSUER = Finding("issuer", "error", "no site", "publish")
MAYBE = Finding("issuer", "error", "perhaps no site", "look", "possible")
NOTE = Finding("key", "note", "good to know", "nothing")


def test_the_worst_comes_first_then_the_first_of_the_chain_then_the_surest() -> None:
    tried = (Tried("key", findings=(NOTE, OLD)), Tried("issuer", findings=(MAYBE, ISSUER)))
    assert Diagnosis(tried).findings == [ISSUER, MAYBE, OLD, NOTE]
    assert Diagnosis((*tried[1:], Tried("key", findings=(KEY,)))).findings == [KEY, ISSUER, MAYBE]


def test_nothing_is_told_twice() -> None:
    assert Diagnosis((Tried("key", findings=(KEY, KEY)),)).findings == [KEY]


def test_of_findings_about_one_thing_the_worst_is_told() -> None:
    doubt = Finding("configuration", "warning", "no such file", "see", about="sts.ca_bundle")
    error = Finding("sts", "error", "no certificates", "mend", about="sts.ca_bundle")
    assert Diagnosis((Tried("configuration", findings=(doubt,)), Tried("sts", findings=(error,)))).findings == [error]


def test_the_verdict_names_what_to_mend_first() -> None:
    assert Diagnosis((Tried("key", findings=(KEY,)),)).verdict == "the chain is broken at its link key: mend that first"
    both = Diagnosis((Tried("key", findings=(KEY,)), Tried("issuer", findings=(ISSUER,))))
    assert both.verdict == "the chain is broken at its link key, and 1 more after it: mend that first"


def test_the_verdict_counts_what_is_only_doubtful_and_what_was_not_tried() -> None:
    assert Diagnosis((Tried("key", "it signs", (NOTE,)),)).verdict == "everything is in order"
    assert Diagnosis((Tried("key", "it signs", (OLD,)),)).verdict == "nothing is broken; 1 thing to look at"
    left = Diagnosis((Tried("key", findings=(OLD,)), Tried("token", not_tried="no key")))
    assert left.verdict == "nothing is broken; 1 thing to look at and 1 link not tried to the end"


def test_the_first_broken_link_of_those_that_matter_is_the_reason() -> None:
    before = [Tried("issuer", findings=(ISSUER,)), Tried("key", findings=(KEY,)), Tried("clock", "it is right")]
    assert broken(before, "issuer", "key") == "key"
    assert broken(before, "issuer", "clock") == "issuer"
    assert broken(before, "clock") is None
