"""How are we, for programs?

The shape of `/status.json` and of `/readyz`. Instants are written YYYY-MM-DDTHH:MM:SSZ, spans are seconds, and
what is not known is null. Members are only ever added.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from agent.clock import instant
from agent.status.rules import RuleStatus
from agent.status.sign_ins import SignInStatus
from agent.status.snapshot import KeyStatus, RoleStatus, SessionStatus, StatusSnapshot
from agent.status.tokens import TokenStatus

#: What JSON can hold.
Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


def status_document(now: StatusSnapshot) -> Mapping[str, Json]:
    """Everything there is to tell."""
    return {
        "version": now.version,
        "taken_at": instant(now.taken_at),
        "started_at": instant(now.started_at),
        "running_for_seconds": _seconds(now.running_for),
        "ready": now.ready,
        "clock_offset_seconds": _seconds(now.offset),
        "roles": [_role(role) for role in now.roles],
        "keys": [_key(key) for key in now.keys],
        "issuer_looked_at": _when(now.ring.looked_at),
        "sign_ins": [_sign_in(one) for one in now.sign_ins],
        "tokens": [_tokens(one) for one in now.tokens],
        "rules": [_rule(one) for one in now.rules],
        "listeners": [{"name": listener.name, "address": listener.address} for listener in now.listeners],
    }


def _sign_in(one: SignInStatus) -> Mapping[str, Json]:
    return {
        "source": one.source,
        "state": one.state,
        "ends_at": _when(one.ends_at),
        "problem": one.problem or None,
        "command": one.command,
    }


def _tokens(one: TokenStatus) -> Mapping[str, Json]:
    return {
        "audience": one.audience,
        "state": one.state,
        "kept": one.kept,
        "held": one.held,
        "first_ends_at": _when(one.ends_at),
        "next_attempt_in_seconds": _seconds(one.next_attempt_in),
        "failures": one.failures,
        "problem": one.problem or None,
        "hint": one.hint or None,
        "callers": one.callers,
    }


def _rule(one: RuleStatus) -> Mapping[str, Json]:
    return {
        "rule": one.rule,
        "issuer": one.issuer,
        "state": one.state,
        "keys": one.keys,
        "problem": one.problem or None,
        "hint": one.hint or None,
    }


def readiness_document(roles: Sequence[RoleStatus]) -> Mapping[str, Json]:
    """Who is ready, and why the others are not."""
    return {
        "ready": all(role.ready for role in roles),
        "roles": {role.role: {"ready": role.ready, "reason": role.unready or None} for role in roles},
    }


def _when(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def _role(role: RoleStatus) -> Mapping[str, Json]:
    """A role as the worst of its sessions, and each of them."""
    worst = role.worst
    return {
        "role": role.role,
        "arn": role.arn,
        "state": role.state,
        "ready": role.ready,
        "reason": role.unready or None,
        "usable": role.usable,
        "key_id_ending": worst.key_id or None if worst else None,
        "expires_at": _when(role.expires_at),
        "left_seconds": _seconds(worst.left) if worst else None,
        "age_seconds": _seconds(worst.age) if worst else None,
        "last_success": _when(role.last_success),
        "next_attempt_in_seconds": _seconds(role.next_attempt_in),
        "failures": role.failures,
        "problem": worst.problem or None if worst else None,
        "hint": worst.hint or None if worst else None,
        "callers": role.callers,
        "sessions": [_session(one) for one in role.sessions],
    }


def _session(one: SessionStatus) -> Mapping[str, Json]:
    return {
        "about": one.about or None,
        "on_demand": one.on_demand,
        "state": one.state,
        "ready": one.ready,
        "reason": one.unready or None,
        "usable": one.usable,
        "key_id_ending": one.key_id or None,
        "expires_at": _when(one.expires_at),
        "left_seconds": _seconds(one.left),
        "age_seconds": _seconds(one.age),
        "last_success": _when(one.last_success),
        "next_attempt_in_seconds": _seconds(one.next_attempt_in),
        "failures": one.failures,
        "problem": one.problem or None,
        "hint": one.hint or None,
        "callers": one.callers,
    }


def _key(key: KeyStatus) -> Mapping[str, Json]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": key.state,
        "custodian": key.custodian or None,
        "since": _when(key.since),
        "published": key.published,
        "next": key.next or None,
        "next_in_seconds": _seconds(key.next_in),
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 3)
