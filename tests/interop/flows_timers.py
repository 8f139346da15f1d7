"""Session timers in real time, with windows of a few seconds: who has them, who dies, when a call ends.  Spec 5."""

import time

import lateness
from harness import scenario
from timed import (CAP, EXPIRED, MIN, SILENCE, TTL, agrees, around, begin, counted, hang_up, need_expired,
                   need_last_confirmed, need_refreshes, need_request, need_session, need_within, run, says)
from ua import need

# Who supports timers

@scenario(profile="timers", seconds=8)
def timers_both(t):
    """Both sides have timers: each leg is refreshed on its own schedule, beyond what the cap would allow."""
    a, b = begin(t, says(2), agrees(TTL))
    need_session(a.dialog.response, 2, "uas")
    need("timer" in a.dialog.response.tokens("Require"), "no Require: timer in the 200 to a caller with timers")
    need_session(b.dialog.invite, TTL, "uac")
    need(b.dialog.invite.get("Min-SE") == str(MIN), "Min-SE: %s", b.dialog.invite.get("Min-SE"))
    run((a, b), 7.5)
    need_refreshes(a, 2, 6)
    need_refreshes(b, TTL, 3)
    for request in a.requests:
        need_request(request, "UPDATE", 2, "uac", MIN)
    for request in b.requests:
        need_request(request, "UPDATE", TTL, "uac", MIN)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **counted(a, b))
    need_last_confirmed(t, (a, b))


@scenario(profile="timers", seconds=8)
def timers_caller_only(t):
    """A callee without timers is never refreshed; the caller is, and no cap applies."""
    a, b = begin(t, says(TTL), ())
    run((a, b), 7)
    need_refreshes(a, TTL, 3)
    need(not b.requests, "the callee was refreshed")
    hang_up(b, a)
    t.cdr_answered("callee", session_timer="a", **counted(a))
    need_last_confirmed(t, (a,))


@scenario(profile="timers", seconds=6)
def timers_callee_only(t):
    """A caller without timers: it is not refreshed, the callee is, and the call ends at the cap."""
    a, b = begin(t, (), agrees(TTL))
    need(not a.dialog.response.has("Session-Expires"), "Session-Expires in the 200 to a caller without timers")
    need("timer" not in a.dialog.response.tokens("Require"), "Require: timer to a caller without timers")
    run((a, b), CAP + 2, lambda: a.bye and b.bye)
    need(not a.requests, "the caller was refreshed")
    need_refreshes(b, TTL, 2)
    t.cdr(end_reason="no_timer_cap", end_side="switch", sip_code=200, answered=True, session_timer="b",
          hold_ms=around(1000 * CAP), **counted(b))


@scenario(profile="timers", seconds=6)
def timers_none(t):
    """Neither side has timers: nothing is sent until the cap, and then BYE on both legs, on time."""
    a, b = begin(t)
    run((a, b), CAP + 2, lambda: a.bye and b.bye)
    need(not a.requests and not b.requests and not a.probes and not b.probes, "a request during the call")
    for peer in (a, b):
        earliest, latest = peer.confirmed[0]
        need_within(peer, "BYE", peer.bye.received_s, earliest + CAP, latest + CAP)
    t.cdr(end_reason="no_timer_cap", end_side="switch", sip_code=200, answered=True, session_timer="none",
          hold_ms=around(1000 * CAP), refreshes_sent=0, refreshes_confirmed=0)


@scenario(profile="timers", seconds=5)
def timers_session_expires_without_tag(t):
    """Session-Expires alone counts as support (VOS3000): the switch refreshes, requires nothing, and raises a small
    value instead of refusing it."""
    a, b = begin(t, says(1, "uac", tag=False, name="x"))
    need_session(a.dialog.response, MIN, "uas")
    need("timer" not in a.dialog.response.tokens("Require"), "Require: timer")
    run((a, b), 2.5)
    need_refreshes(a, MIN, 2)
    hang_up(a, b)
    t.cdr_answered(session_timer="a", **counted(a))


@scenario(profile="timers", mg={"timer": "off"}, seconds=6)
def timers_off_for_caller(t):
    """timer = off on a mapping gateway: its callers are treated as without timers, whatever they say."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL))
    need(not a.dialog.response.has("Session-Expires"), "Session-Expires in the 200")
    run((a, b), CAP + 2, lambda: a.bye and b.bye)
    need(not a.requests, "the caller was refreshed")
    need_refreshes(b, TTL, 2)
    t.cdr(end_reason="no_timer_cap", end_side="switch", sip_code=200, answered=True, session_timer="b",
          hold_ms=around(1000 * CAP), **counted(b))


@scenario(profile="timers", rg={"timer": "off"}, seconds=6)
def timers_off_for_callee(t):
    """timer = off on a routing gateway: nothing of timers is sent to it, and what it says of them is ignored."""
    a, b = begin(t, says(TTL), agrees(TTL, "uas"))
    invite = b.dialog.invite
    need(not invite.has("Session-Expires") and not invite.has("Min-SE"), "the INVITE speaks of session timers")
    need("timer" not in invite.tokens("Supported"), "Supported: timer")
    run((a, b), 5.5)
    need_refreshes(a, TTL, 2)
    need(not b.requests and not b.bye, "the callee was refreshed or hung up")
    hang_up(a, b)
    t.cdr_answered(session_timer="a", **counted(a))


# Who dies

def late_ms(peer):
    """How late what the switch does step by step may have become since the call was answered."""
    return int(1000 * (lateness.allowed(peer.confirmed[0][0], time.time()) + peer.machine_late_s))


def dies(t, victim, other, interval):
    """`victim` confirms one refresh and then answers nothing more: BYE on both legs at its window's end."""
    run((victim, other), interval, lambda: len(victim.confirmed) == 2)
    victim.dead = True
    last = victim.confirmed[-1]
    run((victim, other), interval + 3, lambda: victim.bye and other.bye)
    need_expired((victim, other))
    for peer in (victim, other):
        need_within(peer, "BYE", peer.bye.received_s, last[0] + interval, last[1] + interval)
    need(len(victim.requests) == 2, "%d refreshes to the dead peer", len(victim.requests) - 1)
    need(len(other.requests) >= 2, "the living peer was not refreshed")
    answered = victim.confirmed[0]
    least, most = (int(1000 * (interval + s)) for s in (last[0] - answered[1], last[1] - answered[0]))
    t.cdr(**dict(EXPIRED, session_timer="a+b", hold_ms=range(least - 30, most + 30), **counted(victim, other)))
    need_last_confirmed(t, (victim, other))


@scenario(profile="timers", seconds=7)
def timers_caller_dies(t):
    """The caller's host dies: BYE with its Reason on both legs when its window ends."""
    a, b = begin(t, says(TTL), agrees(TTL))
    dies(t, a, b, TTL)


@scenario(profile="timers", seconds=7)
def timers_callee_dies(t):
    """The callee's host dies."""
    a, b = begin(t, says(TTL), agrees(TTL))
    dies(t, b, a, TTL)


@scenario(profile="timers", seconds=5)
def timers_dialog_lost(t):
    """481 to a refresh, here by a callee that was restarted: the call ends at once on the other leg."""
    a, b = begin(t, says(TTL), agrees(TTL))
    b.plan = [481]
    run((a, b), TTL, lambda: a.bye)
    need_within(a, "BYE", a.bye.received_s, b.requests[0].received_s, b.requests[0].received_s)
    t.cdr(end_reason="dialog_lost", end_side="callee", sip_code=200, answered=True, session_timer="a+b",
          **counted(a, b))


@scenario(profile="timers", seconds=5)
def timers_dialog_lost_by_408(t):
    """408 from the caller itself to a refresh: the same."""
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan = [408]
    run((a, b), TTL, lambda: b.bye)
    need_within(b, "BYE", b.bye.received_s, a.requests[0].received_s, a.requests[0].received_s)
    t.cdr(end_reason="dialog_lost", end_side="caller", sip_code=200, answered=True, session_timer="a+b")


# OPTIONS on legs without timers, and caps

@scenario(profile="timers_probe", seconds=7)
def timers_probes(t):
    """OPTIONS each second on both legs of a call without timers, whatever a live peer answers, until
    RW_MAX_CALL_DURATION ends it."""
    a, b = begin(t)
    b.probes_plan = [405] * 9
    run((a, b), 8, lambda: a.bye and b.bye)
    for peer in (a, b):
        first, last = peer.confirmed[0]
        need(len(peer.probes) == 5, "%s: %d OPTIONS", peer.agent.name, len(peer.probes))
        for k, probe in enumerate(peer.probes, 1):
            need_within(peer, "OPTIONS %d" % k, probe.received_s, first + k, last + k + 0.01 * k)
            need(probe.to_tag == peer.dialog.local_tag, "the OPTIONS is not in the dialog")
        need_within(peer, "BYE", peer.bye.received_s, first + 6, last + 6)
    t.cdr(end_reason="max_duration", end_side="switch", sip_code=200, answered=True, hold_ms=around(6000),
          session_timer="none", refreshes_sent=0, refreshes_confirmed=0)


@scenario(profile="timers_probe", seconds=4)
def timers_probe_of_one_leg(t):
    """Only the leg without timers is probed; 481 from it ends the call."""
    a, b = begin(t, says(TTL), ())
    b.probes_plan = [200, 200, 481]
    run((a, b), 5, lambda: a.bye)
    need(len(b.probes) == 3 and not a.probes, "%d and %d OPTIONS", len(b.probes), len(a.probes))
    t.cdr(end_reason="dialog_lost", end_side="callee", sip_code=200, answered=True, session_timer="a",
          hold_ms=range(2990, 3150 + late_ms(a)), **counted(a))


@scenario(profile="timers_probe", seconds=5)
def timers_probed_peer_dies(t):
    """A leg that answered an OPTIONS and then two no more: the call is over when the third is due."""
    a, b = begin(t)
    a.probes_plan = [200] + [SILENCE] * 9
    run((a, b), 6, lambda: a.bye and b.bye)
    first, last = a.confirmed[0]
    for peer in (a, b):
        need_within(peer, "BYE", peer.bye.received_s, first + 4, last + 4.04)
        need(peer.bye.get("Reason") == 'SIP;cause=408;text="no answer to probes"', "%s", peer.bye.get("Reason"))
    need(len(a.probes) == 3, "%d OPTIONS", len(a.probes))
    t.cdr(end_reason="dialog_lost", end_side="switch", sip_code=200, answered=True, hold_ms=range(3997, 4010 + late_ms(a)))


@scenario(profile="timers_probe", seconds=7)
def timers_probes_never_answered(t):
    """A leg that never answered an OPTIONS is not probed beyond the second, and its call goes on."""
    a, b = begin(t)
    b.probes_plan = [SILENCE] * 9
    run((a, b), 8, lambda: a.bye and b.bye)
    need(len(a.probes) == 5 and len(b.probes) == 2, "%d and %d OPTIONS", len(a.probes), len(b.probes))
    t.cdr(end_reason="max_duration", end_side="switch", sip_code=200, answered=True, hold_ms=around(6000))


def capped(t, seconds):
    a, b = begin(t, says(TTL), agrees(TTL))
    run((a, b), seconds + 2, lambda: a.bye and b.bye)
    for peer in (a, b):
        first, last = peer.confirmed[0]
        need_within(peer, "BYE", peer.bye.received_s, first + seconds, last + seconds)
    need_refreshes(a, TTL, 1)
    t.cdr(end_reason="max_duration", end_side="switch", sip_code=200, answered=True, hold_ms=around(1000 * seconds),
          session_timer="a+b", **counted(a, b))


@scenario(profile="timers_probe", mg={"max_duration": 3}, rg={"max_duration": 5}, seconds=4)
def timers_max_duration_of_caller(t):
    """max_duration of the mapping gateway, here the smallest, ends a call that is refreshed all the while."""
    capped(t, 3)


@scenario(profile="timers_probe", mg={"max_duration": 9}, rg={"max_duration": 3}, seconds=4)
def timers_max_duration_of_callee(t):
    """max_duration of the routing gateway."""
    capped(t, 3)
