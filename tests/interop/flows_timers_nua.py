"""Session timers in real time with a user agent that is not ours, and with two switches in a row.  Spec 5."""

from harness import RG_PORT, check_row, scenario
from nua import Nua
from switch import mapping_gateway, routing_gateway
from timed import TTL, agrees, begin, counted, hang_up, need_refreshes, need_session, run, says
from ua import bracketed, need

# Session timers that are somebody else's

NUA_SECONDS = 5 * TTL + 1


def nua_call(t, caller, callee, hang_up, callee_at=None, windows=5, refreshes=8):
    """A call of at least so many windows between two agents on Sofia-SIP's nua; each is (who refreshes, by what).
    callee_at: host and port of the callee's, behind a proxy.  refreshes: at least so many of each refresher; one that is
    passed on takes the place of the switch's own."""
    seconds = windows * TTL + 1
    running = []

    def agent(role, host, port, refreshes_by, more):
        running.append(Nua(t, role, host, port, seconds, TTL, refreshes_by,
                           more + (["--hang-up"] if hang_up == role else [])))

    try:
        agent("callee", *(callee_at or (t.callee_host, t.callee_port)), callee, [])
        running[0].wait_ready()
        agent("caller", t.caller_host, t.caller_port or 5070, caller,
              ["--to", "sip:%s@%s:%d" % (t.number, bracketed(t.to[0]), t.to[1])])
        statuses = [nua.process.wait(seconds + 30) for nua in running]
        lines = {nua.role: nua.said() for nua in running}
        t.output += ["%s: %s" % (role, line) for role in lines for line in lines[role]]
        need(statuses == [0, 0], "exit status of callee and caller: %s", statuses)
    finally:
        for nua in running:
            nua.kill()
    need("timer %d %s" % (TTL, caller[0]) in lines["caller"], "the caller's timer: %s", lines["caller"])
    count = {role: lambda start, role=role: sum(line.startswith(start) for line in lines[role]) for role in lines}
    asked = 0
    for role, other, (refresher, method) in (("caller", "callee", caller), ("callee", "caller", callee)):
        # nua's UPDATE has its SDP, and so is passed on; its re-INVITE with the same one is answered by the switch.
        by_switch = count[role]("received ") - count[other]("sent UPDATE")
        asked += by_switch
        if refresher == "me":
            need(by_switch == 0, "%s: %d refreshes by the switch", role, by_switch)
            need(count[role]("sent %s 200" % method) >= refreshes, "%s: too few refreshes", role)
            need(count[role]("sent ") - count[role]("sent UPDATE 200") - count[role]("sent INVITE 200") == 0,
                 "%s: a refresh failed", role)
        else:
            need(by_switch >= refreshes and count[role]("sent ") == 0, "%s: %d refreshes by the switch, %d by nua", role,
                 by_switch, count[role]("sent "))
    t.cdr_answered(hang_up, session_timer="a+b", refreshes_sent={asked, asked + 1},
                   refreshes_confirmed={asked, asked - 1})  # the BYE may cross the last one, unseen by nua


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_caller_refreshes(t):
    """nua as the refresher of leg A, and as the other party of leg B: five windows."""
    nua_call(t, ("me", "UPDATE"), ("you", "UPDATE"), "caller")


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_callee_refreshes(t):
    """nua as the other party of leg A, and as the refresher of leg B."""
    nua_call(t, ("you", "UPDATE"), ("me", "UPDATE"), "callee")


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_both_refresh(t):
    """nua as the refresher of both legs, by re-INVITE: the switch answers them all and sends none."""
    nua_call(t, ("me", "INVITE"), ("me", "INVITE"), "caller")


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_none_refreshes(t):
    """nua as the other party of both legs: the switch alone refreshes."""
    nua_call(t, ("you", "UPDATE"), ("you", "UPDATE"), "callee")


# Two switches in a row

@scenario(mg=None, rg=None, profile=None, seconds=23)
def timers_two_switches(t):
    """Two Ringwheels in a row: one refresher on each leg, no 491, and the call is up for ten windows."""
    parameters = {"RW_SIP_MIN_SE": 1, "SS_SIP_SESSION_TTL": 2}
    second = t.configuration.switch(t.name + "-2", parameters)
    first = t.configuration.switch(t.name + "-1", parameters, mapping_gateway(t.name, [t.caller_host]) +
                                   routing_gateway(t.name, second.host, second.port, [t.number[:4]]))
    second.gateways = (mapping_gateway(t.name, ["%s:%d" % first.address]) +
                       routing_gateway(t.name, t.callee_host, RG_PORT, [t.number[:4]]))
    try:
        t.switch, t.to = first.start(), first.address
        second.start()
        a, b = begin(t, says(2), agrees(2))
        need_session(b.dialog.invite, 2, "uac")
        run((a, b), 20)
        need_refreshes(a, 2, 18)
        need_refreshes(b, 2, 18)
        hang_up(a, b)
        between = t.rows(1)[0]["refreshes_sent"] - len(a.requests)
        need(between >= 18, "%d refreshes between the switches", between)
        sent = len(a.requests) + between
        t.cdr_answered(session_timer="a+b", refreshes_sent=sent, refreshes_confirmed=range(sent - 1, sent + 1))
        rows = second.wait_rows(1, "mapping_gateway = ?", (t.name,))
        need(len(rows) == 1, "%d CDRs of the second switch", len(rows))
        check_row(rows[0], dict(end_reason="normal", end_side="caller", answered=True, session_timer="a+b",
                                **counted(b)), t.name, 0)
        for switch in (first, second):
            need(switch.stats()["refresh_failed"] == 0, "a refresh failed")
            need(not switch.wait_stats(["calls_active", "calls_setup"], 5), "calls left")
    finally:
        first.stop()
        second.stop()
