"""Session timers in real time: who refreshes, and by what.  Spec 5, RFC 4028 7, 9, 10."""

import time

from harness import scenario
from sipmsg import sdp
from timed import (ALLOW_WITHOUT_UPDATE, EXPIRED, MIN, SILENCE, TTL, agrees, around, begin, counted, hang_up,
                   need_expired, need_last_confirmed, need_refreshes, need_request, need_session, need_within, run,
                   says)
from ua import need

# When the peer refreshes

@scenario(profile="timers", seconds=9)
def timers_caller_refreshes(t):
    """refresher=uac: the switch leaves it to a caller that refreshes at 55 % of its window, before it would be probed,
    and answers each UPDATE as it was agreed."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL))
    need_session(a.dialog.response, TTL, "uac")
    a.refresh_every(0.55 * TTL, says(TTL, "uac", MIN))
    run((a, b), 2.1 * TTL)
    need(len(a.responses) == 3, "%d answers", len(a.responses))
    for response in a.responses:
        need(response.code == 200, "%s", response.start)
        need_session(response, TTL, "uac")
        need("timer" in response.tokens("Require"), "no Require: timer in the 2xx")
    need(not a.requests, "a compliant refresher was overtaken")
    need_refreshes(b, TTL, 3)
    hang_up(b, a)
    t.cdr_answered("callee", session_timer="a+b", **counted(b))
    need_last_confirmed(t, (a, b))


@scenario(profile="timers", seconds=9)
def timers_callee_refreshes(t):
    """refresher=uas in the callee's 200: it refreshes, by re-INVITE with its last SDP, and the caller sees nothing."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL, "uas"))
    a.refresh_every(2, says(TTL, "uac"))
    b.refresh_every(0.55 * TTL, says(TTL, "uac"), "INVITE")
    run((a, b), 2.1 * TTL)
    finals = [r for r in b.responses if r.code == 200]
    need(len(finals) == len(b.sent) == 3, "%d answers to %d re-INVITEs", len(finals), len(b.sent))
    for response in finals:
        need_session(response, TTL, "uac")
        need(response.body == sdp(), "SDP of the 200: %r", response.body)
    need(not a.requests and not b.requests, "the switch refreshed")
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", refreshes_sent=0, refreshes_confirmed=0)
    need_last_confirmed(t, (a, b))


def claims_and_does_not(t, liar, other):
    """`liar` was to refresh and does not."""
    run((liar, other), 7, lambda: len(liar.requests) == 2)
    probe = liar.requests[0]
    began = liar.confirmed[0]
    need_within(liar, "probe", probe.received_s, began[0] + TTL * 2 / 3, began[1] + TTL * 2 / 3)
    for request in liar.requests:
        need_request(request, "UPDATE", TTL, "uac", MIN)
    at = liar.confirmed[1]
    need_within(liar, "refresh", liar.requests[1].received_s, at[0] + 0.45 * TTL, at[1] + 0.5 * TTL)
    run((liar, other), 0.2)
    hang_up(liar, other)


@scenario(profile="timers", seconds=6)
def timers_caller_claims_only(t):
    """A caller that would refresh and does not: probed when a third of its window is left, and from then on refreshed
    by the switch."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL))
    claims_and_does_not(t, a, b)
    t.cdr_answered(session_timer="a+b", **counted(a, b))


@scenario(profile="timers", seconds=6)
def timers_callee_claims_only(t):
    """A callee that would refresh and does not."""
    a, b = begin(t, says(TTL), agrees(TTL, "uas"))
    claims_and_does_not(t, b, a)
    t.cdr_answered("callee", session_timer="a+b", **counted(a, b))


@scenario(profile="timers", seconds=5)
def timers_roles_swap(t):
    """The switch refreshes until the caller's UPDATE names itself, and again when its next one names the switch; an
    UPDATE with too small an interval is refused and changes nothing."""
    a, b = begin(t, says(TTL), agrees(TTL))
    update = a.dialog.send("UPDATE", headers=says(1, "uac"))
    run((a, b), 5, lambda: a.responses)
    need(a.responses[0].kind == "422 UPDATE" and a.responses[0].get("Min-SE") == str(MIN), "answer %s, Min-SE %s",
         a.responses[0].start, a.responses[0].get("Min-SE"))
    before = time.time()
    update = a.dialog.send("UPDATE", headers=says(TTL, "uac"))
    run((a, b), 5, lambda: len(a.responses) == 2)
    need(a.responses[1].cseq == update.cseq, "CSeq")
    need_session(a.responses[1], TTL, "uac")
    run((a, b), 0.55 * TTL)
    need(not a.requests, "the switch refreshed although the caller does")
    before = time.time()
    a.dialog.send("UPDATE", headers=says(2, "uas"))
    run((a, b), 5, lambda: len(a.responses) == 3)
    need_session(a.responses[2], 2, "uas")
    a.confirmed.append((before, a.responses[2].received_s))
    run((a, b), 2, lambda: a.requests)
    need_refreshes(a, 2, 1)
    run((a, b), 0.1)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **counted(a, b))


@scenario(profile="timers", seconds=7)
def timers_only_a_2xx_proves_life(t):
    """INFO from a peer that answers no refresh does not move its window."""
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan = [SILENCE] * 9
    run((a, b), 1)
    for _ in range(2):
        a.dialog.send("INFO")
        info = b.agent.expect("INFO", skip=("UPDATE",))
        b.dialog.answer(info, 200)
        run((a, b), 1.3)
    run((a, b), 3, lambda: a.bye and b.bye)
    need_expired((a, b))
    need_within(a, "BYE", a.bye.received_s, a.confirmed[0][0] + TTL, a.confirmed[0][1] + TTL)
    t.cdr(**dict(EXPIRED, hold_ms=around(1000 * TTL)))


# How a refresh is sent

def falls_back(t, code):
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan, b.plan = [code], [code]
    run((a, b), 7, lambda: len(a.requests) == 3 and len(b.requests) == 3)
    run((a, b), 0.2)
    for peer, body in ((a, sdp(port=50000)), (b, sdp())):
        update, first, second = peer.requests
        need_request(update, "UPDATE", TTL, "uac", MIN)
        for request in (first, second):
            need_request(request, "INVITE", TTL, "uac", MIN, body)
        need_within(peer, "re-INVITE", first.received_s, update.received_s, update.received_s)
        need(first.cseq == update.cseq + 1, "CSeq of the re-INVITE")
        at = peer.confirmed[1]
        need_within(peer, "refresh", second.received_s, at[0] + 0.45 * TTL, at[1] + 0.5 * TTL)
        need(len(peer.acks) == 2, "%d ACKs", len(peer.acks))
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **counted(a, b))


@scenario(profile="timers", seconds=6)
def timers_update_405(t):
    """405 to UPDATE: re-INVITE with the unchanged last SDP at once, and from then on."""
    falls_back(t, 405)


@scenario(profile="timers", seconds=6)
def timers_update_501(t):
    """501 to UPDATE: the same."""
    falls_back(t, 501)


@scenario(profile="timers", seconds=6)
def timers_update_488(t):
    """488 to UPDATE: the same."""
    falls_back(t, 488)


@scenario(profile="timers", seconds=7)
def timers_update_not_allowed(t):
    """Peers without UPDATE in Allow are refreshed by re-INVITE with the SDP that they last had from the switch, byte
    for byte, also after a re-INVITE changed it."""
    a, b = begin(t, says(TTL), agrees(TTL), ALLOW_WITHOUT_UPDATE, ALLOW_WITHOUT_UPDATE)
    for peer in (a, b):
        peer.allow = ALLOW_WITHOUT_UPDATE
    run((a, b), TTL, lambda: a.acks and b.acks)
    need_request(a.requests[0], "INVITE", TTL, "uac", MIN, sdp(port=50000))
    need_request(b.requests[0], "INVITE", TTL, "uac", MIN, sdp())
    a.body, b.body = sdp(2, 40002, "sendonly"), sdp(2, 50002, "recvonly")
    a.dialog.send("INVITE", a.body, says(TTL) + [("Allow", ALLOW_WITHOUT_UPDATE)])
    run((a, b), 5, lambda: any(r.code == 200 for r in a.responses))
    need_request(b.requests[-1], "INVITE", TTL, "uac", MIN, a.body)
    need_session(a.responses[-1], TTL, "uas")
    need(a.responses[-1].body == b.body, "SDP of the 200: %r", a.responses[-1].body)
    relayed, before = len(b.requests) - 1, len(a.requests)
    run((a, b), TTL, lambda: len(a.requests) > before and len(b.requests) > relayed + 1)
    run((a, b), 0.1)
    need_request(a.requests[-1], "INVITE", TTL, "uac", MIN, b.body)
    need_request(b.requests[-1], "INVITE", TTL, "uac", MIN, a.body)
    hang_up(a, b)
    del b.requests[relayed], b.accepted[relayed]
    t.cdr_answered(session_timer="a+b", **counted(a, b))


@scenario(profile="timers", seconds=7)
def timers_relayed_reinvite_confirms(t):
    """A re-INVITE that is passed on is a proof of life of both sides and carries each leg's own session timer."""
    a, b = begin(t, says(2), agrees(TTL))
    run((a, b), 1.4)
    need(not b.requests, "a refresh of leg B before its time")
    before = time.time()
    a.dialog.send("INVITE", sdp(2, 40002), says(2, "uas"))
    run((a, b), 5, lambda: a.responses and any(r.code == 200 for r in a.responses))
    need_request(b.requests[0], "INVITE", TTL, "uac", MIN, sdp(2, 40002))
    need_session(a.responses[-1], 2, "uas")
    a.confirmed.append((before, a.responses[-1].received_s))
    del b.requests[0], b.accepted[0]
    run((a, b), 2.5)
    need_refreshes(a, 2, 2)
    need_refreshes(b, TTL, 1)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **counted(a, b))
