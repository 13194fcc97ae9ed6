"""How is a span of time written, for people and in our configuration?"""

from datetime import timedelta


def spell_duration(duration: timedelta) -> str:
    """Whole seconds, in days, hours, minutes and seconds: 90d, 1h30m, 0s."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
