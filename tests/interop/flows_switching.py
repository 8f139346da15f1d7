"""On to the next gateway, or not, with SIPp as the gateways.  Spec 6.  The steps of the calls are in scenarios/."""

import json
import time

from harness import add, scenario
from sipmsg import sdp
from sipp import run_pair
from ua import Dialog, need

CALLS = 3


def attempts_of(row):
    return [(a["gateway"], a["code"]) for a in json.loads(row["attempts"])]


def flow(name, what, first, codes, caller="basic", values=None, profile="switching", rg=(), first_calls=CALLS,
         rate=10, seconds=3):
    """Calls that the second gateway takes; codes: of the attempts of each call."""
    def function(test):
        run_pair(test, "basic", CALLS, rate=rate, caller=caller, first=first, first_calls=first_calls, values=values)
        for _ in range(CALLS):
            test.cdr(end_reason="normal", end_side="caller", sip_code=200, answered=True,
                     routing_gateway=test.name + "-2")
        wanted = [[(test.name + "-2" if code == 200 else test.name, code) for code in call] for call in codes]
        found = [attempts_of(row) for row in test.rows(CALLS)]
        need(found == wanted, "attempts: %s, not %s", found, wanted)
    function.__doc__ = what
    add(function, "sipp_switch_" + name, profile, rg=dict(rg, second={}), seconds=seconds)


flow("503", "503: on to the next gateway", "failure", [[503, 200]] * CALLS, values={"CODE": "503"})
flow("silence", "not a word within timeout_invite: on to the next gateway", "silent", [[0, 200]] * CALLS,
     rg={"timeout_invite": 1})
flow("late_200", "a 200 after timeout_invite: ACK and BYE, and the call goes on at the next gateway", "late",
     [[0, 200]] * CALLS, rg={"timeout_invite": 1})
flow("rings_out", "180 and no answer within timeout_ringing: CANCEL, and on to the next gateway", "cancelled",
     [[0, 200]] * CALLS, caller="switched", values={"FIRST": "180"}, rg={"timeout_ringing": 1})
flow("media_out", "183 with SDP and then nothing: CANCEL, and on to the next gateway", "media_out",
     [[0, 200]] * CALLS, caller="switched", values={"FIRST": "183"}, rg={"timeout_session_progress_sdp": 1})
flow("retry_after", "503 with Retry-After: the next calls go to the next gateway at once", "rests",
     [[503, 200], [200], [200]], first_calls=1, rate=4)


def stops(test):
    """486: the next gateway is not asked."""
    run_pair(test, "failure", CALLS, values={"CODE": "486"})
    for _ in range(CALLS):
        test.cdr(end_reason="rejected", end_side="callee", sip_code=486, routing_gateway=test.name)
    for row in test.rows(CALLS):
        need(attempts_of(row) == [(test.name, 486)], "attempts: %s", row["attempts"])


add(stops, "sipp_switch_stops_at_486", "switching", rg={"second": {}})


@scenario(profile="switching", rg={"second": {}})
def switch_after_ringing_shows_another_tag(t):
    """RFC 3261 12.1.1: the caller sees the second gateway's ringing in an early dialog of its own."""
    a, b, c = t.caller(), t.callee(), t.second_callee()
    caller = a.invite(t.to, t.number, sdp())
    first = Dialog.incoming(b, b.expect("INVITE"))
    first.reply(180)
    early = a.expect("180 INVITE")
    first.reply(500)
    b.expect("ACK")
    second = Dialog.incoming(c, c.expect("INVITE"))
    second.reply(180)
    ringing = a.expect("180 INVITE")
    need(ringing.to_tag != early.to_tag, "the same To tag after the switch")
    second.reply(200, sdp(port=50000))
    final = a.expect("200 INVITE")
    need(final.to_tag == ringing.to_tag, "the 200 has another To tag than its 180")
    caller.confirm(final).ack()
    c.expect("ACK")
    t.hang_up(second, caller)
    t.cdr_answered(side="callee", routing_gateway=t.name + "-2")


@scenario(profile="switching", rg={"timeout_invite": 1, "second": {"timeout_invite": 1}}, seconds=3)
def switch_through_silent_gateways(t):
    """Two gateways that say nothing: 408 after the time of both."""
    a, b, c = t.caller(), t.callee(), t.second_callee()
    began = time.monotonic()
    caller = a.invite(t.to, t.number, sdp())
    b.expect("INVITE")
    c.expect("INVITE", timeout=3)
    caller.ack_failure(a.expect("408 INVITE"))
    need(time.monotonic() - began >= 1.95, "408 after %.2f s", time.monotonic() - began)
    t.cdr(end_reason="timeout_invite", end_side="switch", sip_code=408, routing_gateway=t.name + "-2")
