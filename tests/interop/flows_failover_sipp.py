"""The same with SIPp as customer and carriers: its own view of transactions and dialogs.  Spec 6."""

import time

from carriers import tried
from harness import add, carrier_name
from sipp import Callee, run_flow

CALLS = 3
FIRST_SILENT = ({"timeout_invite": 1}, {})
FIRST_RINGS_OUT = ({"timeout_ringing": 1}, {})


def flow(name, what, first, second, attempts, caller="basic", values=None, carriers=({}, {}), profile="failover",
         seconds=2, **cdr):
    """A call from `caller` that plays these scenarios at the two carriers (None: nothing may come to the second)."""
    def function(test):
        callees = [Callee(first, test.network.carrier(test.index, 0), values=values)]
        if second is not None:
            callees.append(Callee(second, test.network.carrier(test.index, 1)))
        run_flow(test, caller, callees, CALLS, values=values)
        leaves(test, CALLS, attempts, **cdr)
    function.__doc__ = what
    add(function, "sipp_" + name, profile, carriers=carriers, seconds=seconds)


def leaves(test, calls, attempts, **cdr):
    """The CDRs of answered calls, unless `cdr` says otherwise; the last attempt is where the call ended up."""
    last = attempts[-1][0]
    fields = dict(end_reason="normal", end_side="caller", sip_code=200, answered=True, tried=tried(test, *attempts),
                  routing_gateway=carrier_name(test.name, last), callee_in=test.number, callee_out=test.number,
                  destination_address="%s:5060" % test.network.carrier(test.index, last))
    for _ in range(calls):
        test.cdr(**dict(fields, **cdr))


flow("failover_503", "503 from the first carrier, the call on the second", "failure", "basic",
     ((0, 503), (1, 200)), values={"CODE": "503"})
flow("failover_silence", "the first carrier is silent: no CANCEL, the call on the second", "silent", "basic",
     ((0, 0), (1, 200)), carriers=FIRST_SILENT, seconds=4)
flow("failover_ring_timeout", "nobody lifts the receiver at the first carrier: CANCEL, the call on the second",
     "cancelled", "basic", ((0, 0), (1, 200)), caller="rings_twice", carriers=FIRST_RINGS_OUT, seconds=4)
flow("failover_early_media", "183 with SDP and silence at the first carrier: CANCEL, the second one's 183 and 200",
     "early_media_cancelled", "early_media_other", ((0, 0), (1, 200)), caller="early_media_twice",
     carriers=({"timeout_session_progress_sdp": 1}, {}), seconds=4)
flow("failover_late_answer", "200 of the first carrier when it was given up: ACK and BYE, the call on the second",
     "late_answer", "basic", ((0, 0), (1, 200)), carriers=FIRST_SILENT, seconds=4)
flow("stop_on_busy", "486 from the first carrier is the caller's", "failure", None, ((0, 486),), caller="failure",
     values={"CODE": "486"}, end_reason="rejected", end_side="callee", sip_code=486, answered=False, q850=17)


def retry_after(test):
    """503 with Retry-After from the first carrier: it rests for the calls that follow, and no longer than that"""
    first, second = (test.network.carrier(test.index, n) for n in (0, 1))
    run_flow(test, "basic", [Callee("failure_rest", first), Callee("basic", second)], 1)
    rests = time.monotonic()  # or a little longer already
    leaves(test, 1, ((0, 503), (1, 200)))
    run_flow(test, "basic", [Callee("basic", second)], CALLS)
    leaves(test, CALLS, ((1, 200),))
    time.sleep(max(0.0, rests + 4.2 - time.monotonic()))
    run_flow(test, "basic", [Callee("basic", first)], CALLS)
    leaves(test, CALLS, ((0, 200),))


add(retry_after, "sipp_retry_after", "failover", carriers=({}, {}), seconds=8)
