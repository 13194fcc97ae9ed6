from agent.web.stats import BOUNDS, RequestStats


def test_answers_are_counted_by_output_role_and_status() -> None:
    stats = RequestStats()
    for status in (200, 200, 503):
        stats.count(("ecs", "web", status), 0.001)
    stats.count(("ecs", "", 404), 0.001)
    assert stats.requests() == {("ecs", "web", 200): 2, ("ecs", "web", 503): 1, ("ecs", "", 404): 1}


def test_durations_are_counted_up_to_each_bound_and_in_all() -> None:
    stats = RequestStats()
    for seconds in (0.0, BOUNDS[0], 0.0002, 0.7, 60.0):
        stats.count(("ecs", "web", 200), seconds)
    bounds, counts, total = stats.durations("ecs")
    assert dict(zip((*bounds, float("inf")), counts, strict=True)) == {
        0.0001: 2,
        0.0005: 3,
        0.001: 3,
        0.005: 3,
        0.01: 3,
        0.05: 3,
        0.1: 3,
        0.25: 3,
        0.5: 3,
        1.0: 4,
        2.5: 4,
        float("inf"): 5,
    }
    assert total == 60.7003


def test_each_output_has_its_own_durations_and_one_never_asked_has_none() -> None:
    stats = RequestStats()
    stats.count(("ecs", "web", 200), 0.001)
    assert stats.durations("imds") == (BOUNDS, (0,) * (len(BOUNDS) + 1), 0.0)


def test_what_was_read_is_not_changed_by_what_comes_later() -> None:
    stats = RequestStats()
    stats.count(("ecs", "web", 200), 0.001)
    read = stats.requests()
    stats.count(("ecs", "web", 200), 0.001)
    assert read == {("ecs", "web", 200): 1}
