"""Call flows between two SIPp user agents.  The steps are in scenarios/; here stands what CDRs they leave."""

from harness import add
from sipp import run_pair

CALLS = 3
NORMAL = dict(end_reason="normal", end_side="caller", sip_code=200, answered=True, q850=16)


def flow(name, what, cdr, scenario=None, values=None, callee=True, rg=(), number=None, direct=True,
         profile="main", seconds=1):
    def function(test):
        if number:
            test.number = number
        run_pair(test, scenario or name, CALLS, callee=callee, values=values)
        for _ in range(CALLS if cdr else 0):
            test.cdr(**cdr)
    function.__doc__ = what
    add(function, "sipp_" + name, profile, rg=rg, direct=direct, seconds=seconds)


flow("basic", "100, 180, 200, ACK, BYE by the caller", NORMAL)
flow("bye_by_callee", "the callee hangs up", dict(NORMAL, end_side="callee"))
flow("no_ringing", "200 at once", NORMAL)
flow("early_media", "183 with SDP, then 180, then 200", NORMAL)
flow("delayed_offer", "offer in the 200, answer in the ACK", NORMAL)
flow("prack", "reliable 183 and 180, UPDATE before the answer", NORMAL)
flow("prack_offer", "offer in a reliable 183, answer in the PRACK", NORMAL)
flow("cancelled", "CANCEL while it rings",
     dict(end_reason="cancelled", end_side="caller", sip_code=487))
for code, q850 in ((404, {1, 3}), (480, 18), (486, 17), (500, 41), (503, 41), (603, 21)):
    flow("failure_%d" % code, "the callee refuses with %d" % code,
         dict(end_reason={"rejected", "no_answer"} if code == 480 else "rejected", end_side="callee", sip_code=code,
              q850=q850),
         scenario="failure", values={"CODE": str(code)})
flow("reinvite_by_caller", "hold by the caller", NORMAL)
flow("reinvite_by_callee", "hold by the callee", NORMAL)
flow("reinvite_without_sdp", "offer in the 200 to a re-INVITE", NORMAL)
flow("reinvite_refused", "488 to a re-INVITE; the call goes on", NORMAL)
flow("update_with_sdp", "UPDATE with SDP both ways", dict(NORMAL, end_side="callee"))
flow("info", "INFO both ways", NORMAL)
flow("message_refer_notify", "MESSAGE, REFER and NOTIFY inside the dialog", NORMAL)
flow("options", "OPTIONS outside a dialog", None, callee=False, direct=False)
flow("no_route", "404: no gateway serves the number", dict(end_reason="no_route", end_side="switch", sip_code=404),
     callee=False, rg=None, number="9995551234", direct=False)


# Session timers, with the parameters of the profile "timers": windows of 4 s, and 5 s for callers without timers.

def timer_flow(name, what, reason="normal", side="switch", seconds=6, callee=True, **fields):
    cdr = dict(dict(end_reason=reason, end_side=side, sip_code=200, answered=True), **fields) if fields else None
    flow("timer_" + name, what, cdr, callee=callee, direct=False, profile="timers", seconds=seconds)


def lasted(seconds):
    return range(1000 * seconds - 5, 1000 * seconds + 50)


timer_flow("both", "both have timers and are refreshed", side="caller", seconds=7, session_timer="a+b",
           refreshes_sent=6, refreshes_confirmed=6)
timer_flow("caller_only", "only the caller has timers", side="caller", seconds=7, session_timer="a",
           refreshes_sent=3, refreshes_confirmed=3)
timer_flow("callee_only", "only the callee has timers: the cap ends it", "no_timer_cap", session_timer="b",
           hold_ms=lasted(5), refreshes_sent=2, refreshes_confirmed=2)
timer_flow("none", "nobody has timers: the cap ends it, unrefreshed", "no_timer_cap", session_timer="none",
           hold_ms=lasted(5), refreshes_sent=0)
# Who lives has windows of 3 s, so that its third refresh is not near the end.
timer_flow("caller_dies", "the caller is gone after its ACK", "session_timeout", session_timer="a+b",
           hold_ms=lasted(4), refreshes_sent=3, refreshes_confirmed=2)
timer_flow("callee_dies", "the callee is gone after the ACK", "session_timeout", session_timer="a+b",
           hold_ms=lasted(4), refreshes_sent=3, refreshes_confirmed=2)
timer_flow("refresher_uac", "the caller refreshes, the switch does not", side="caller", seconds=7, session_timer="a",
           refreshes_sent=0)
timer_flow("update_refused", "405 to UPDATE: re-INVITE with the unchanged SDP", side="callee", session_timer="b",
           refreshes_sent=3, refreshes_confirmed=2)
timer_flow("422_by_callee", "422 to the INVITE: again with its Min-SE", side="caller", seconds=1, session_timer="none")
timer_flow("422_to_caller", "422 to a Session-Expires below RW_SIP_MIN_SE", callee=False, seconds=1)
