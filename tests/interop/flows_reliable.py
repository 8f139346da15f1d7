"""Reliable provisional responses with user agents that are not ours.  RFC 3262."""

from harness import scenario
from nua import Nua
from ua import need

NUA_SECONDS = 2


@scenario(seconds=NUA_SECONDS + 2)
def reliable_nua(t):
    """nua on both sides: a reliable 183 with a session, PRACK on each leg, then the answer."""
    running = []
    try:
        running.append(Nua(t, "callee", t.callee_host, 5060, NUA_SECONDS, 1800, more=["--early"]))
        running[0].wait_ready()
        running.append(Nua(t, "caller", t.caller_host, 5070, NUA_SECONDS, 1800,
                           more=["--early", "--hang-up", "--to", "sip:%s@%s:%d" % ((t.number,) + t.to)]))
        statuses = [nua.process.wait(NUA_SECONDS + 30) for nua in running]
        lines = {nua.role: nua.said() for nua in running}
        t.output += ["%s: %s" % (role, line) for role in lines for line in lines[role]]
        need(statuses == [0, 0], "exit status of callee and caller: %s", statuses)
    finally:
        for nua in running:
            nua.kill()
    need("progress 183 reliable" in lines["caller"], "the caller had: %s", lines["caller"])
    need(lines["caller"].count("sent PRACK 200") == 1, "the caller's PRACK: %s", lines["caller"])
    need(lines["callee"].count("received PRACK") == 1, "the callee's PRACK: %s", lines["callee"])
    t.cdr_answered("caller")
