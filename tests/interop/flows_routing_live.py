"""Routing that changes while calls are up: gateways that a reload brings and takes, parameters, drain, online check.
Spec 2, 3, 6, 7.  Each scenario has a switch of its own."""

import contextlib
import os
import signal
import subprocess
import time

from carriers import (connect, ended, given_up, invited, notes_come_home, placed, refuse, rings, served, silent,
                      state_of, waited)
from harness import carrier_name, carriers_text, scenario
from sipmsg import sdp
from switch import mapping_gateway
from ua import Dialog, need

BUSY = dict(end_reason="rejected", end_side="callee", sip_code=486)
OWN = dict(mg=None, rg=None, profile=None)


def gateways(t, carriers, mapped=True, **mg):
    """Sections for the customer and these carriers; None stands for one that is not there."""
    own = [mapping_gateway(t.name, [t.caller_host], **mg)] if mapped else []
    other = [mapping_gateway(t.name + "-other", [t.network.stranger(t.index)])]
    return "\n".join(own + other + carriers_text(t.name, t.index, carriers, t.network))


@contextlib.contextmanager
def running(t, carriers, parameters=(), **mg):
    """A switch for this scenario alone; t.to and t.switch become it.  It must end in good order: a sanitizer has its
    say in the status."""
    t.switch = t.configuration.switch(t.name, dict({"RW_SIP_T1": 50}, **dict(parameters)),
                                      gateways(t, carriers, **mg))
    t.to = t.switch.address
    t.switch.start()
    try:
        yield t.switch
    finally:
        status = t.switch.stop()
    need(status == 0, "exit status %s: %s", status, t.switch.log_tail(30))


def rwctl(t, *arguments):
    """(exit status, what it printed, what it complained of)."""
    command = [t.configuration.options.rwctl, "-s", t.switch.socket_path] + list(arguments)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def reload(t, way, text):
    """These gateways from now on; way: "signal" or "rwctl"."""
    t.switch.gateways = text
    t.switch.write_configuration()
    with open(t.switch.log_path, errors="replace") as log:
        before = log.read().count("event=reloaded")
    if way == "signal":
        t.switch.process.send_signal(signal.SIGHUP)
    else:
        status, shown, complaint = rwctl(t, "reload")
        need(status == 0, "rwctl reload: exit status %d: %s%s", status, shown, complaint)
    t.switch.wait_log("event=reloaded", count=before + 1)


def goes_to(t, a, carrier, number):
    """A call that is busy at this carrier."""
    caller = placed(t, a)
    callee = invited(carrier)
    refuse(callee, 486)
    ended(caller, 486)
    t.cdr(**dict(BUSY, **served(t, number, callee, (number, 486))))


# Reload

@scenario(seconds=2, **OWN)
def reload_changes_the_gateways(t):
    """SIGHUP, then rwctl reload, with a call up: its gateway is gone, it goes on; new calls go to the new gateways."""
    a, carriers = t.caller(), [t.carrier(n) for n in range(3)]
    with running(t, ({}, None, None)):
        caller = placed(t, a)
        callee = invited(carriers[0])
        connect(caller, callee)
        t.cdr_answered("callee", **served(t, 0, callee, (0, 200)))
        for way, sections, number in (("signal", (None, {}, None), 1), ("rwctl", (None, None, {}), 2)):
            reload(t, way, gateways(t, sections))
            caller.send("INFO")
            callee.answer(carriers[0].expect("INFO"), 200)
            a.expect("200 INFO")
            goes_to(t, a, carriers[number], number)
            names = {row["name"] for row in t.switch.call("gateways.list") if row["kind"] == "routing"}
            need(names == {carrier_name(t.name, number)}, "gateways.list has %s", names)
        t.hang_up(callee, caller)
        silent(a, *carriers)


@scenario(seconds=3, **OWN)
def reload_while_ringing(t):
    """The gateway at which a call rings is taken away: a 503 of it goes on to what there is now."""
    a, first, second = t.caller(), t.carrier(0), t.carrier(1)
    with running(t, ({}, None), {"SS_GATEWAY_SWITCH_UNTIL_CONNECT": "on"}):
        caller = placed(t, a)
        lost = invited(first)
        rings(caller, lost)
        reload(t, "rwctl", gateways(t, (None, {})))
        refuse(lost, 503)
        callee = invited(second)
        connect(caller, callee)
        t.hang_up(caller, callee)
        silent(a, first)
        t.cdr_answered(**served(t, 1, callee, (0, 503), (1, 200)))


@scenario(seconds=2, **OWN)
def reload_without_the_gateway_that_forks(t):
    """The gateway is taken away when one branch of its fork has answered: the other one's 200 gets ACK and BYE."""
    a, first = t.caller(), t.carrier(0)
    with running(t, ({}, None)):
        caller = placed(t, a)
        callee = invited(first)
        other = Dialog.incoming(first, callee.invite, tag="other-branch")
        connect(caller, callee)
        reload(t, "rwctl", gateways(t, (None, {})))
        other.reply(200, sdp(port=50002))
        for method in ("ACK", "BYE"):
            message = first.expect(method)
            need(message.to_tag == "other-branch", "%s of another dialog: %s", method, message.raw)
        other.answer(message, 200)
        t.hang_up(caller, callee)
        silent(a, first)
        t.cdr_answered(**served(t, 0, callee, (0, 200)))


@scenario(seconds=2, **OWN)
def reload_without_the_customer(t):
    """The customer's gateway is taken away: 403 to a new call, the one that is up ends as ever."""
    a, first = t.caller(), t.carrier(0)
    with running(t, ({"capacity": 1},), capacity=1):
        caller = placed(t, a)
        callee = invited(first)
        connect(caller, callee)
        reload(t, "signal", gateways(t, ({"capacity": 1},), mapped=False))
        ended(placed(t, a), 403)
        silent(first)
        t.hang_up(caller, callee)
        t.cdr_answered(**served(t, 0, callee, (0, 200)))
        reload(t, "signal", gateways(t, ({"capacity": 1},), capacity=1))
        goes_to(t, a, first, 0)  # and both its lines are free


@scenario(seconds=2, **OWN)
def reload_changes_a_capacity(t):
    """A capacity that shrinks below what is in use refuses until enough calls have ended."""
    a, first, second = t.caller(), t.carrier(0), t.carrier(1)
    with running(t, ({"capacity": 3}, {})):
        up = []
        for _ in range(3):
            caller = placed(t, a)
            callee = invited(first)
            connect(caller, callee)
            t.cdr_answered(**served(t, 0, callee, (0, 200)))
            up.append((caller, callee))
        goes_to(t, a, second, 1)
        reload(t, "rwctl", gateways(t, ({"capacity": 2}, {})))
        t.hang_up(*up.pop())
        notes_come_home()
        goes_to(t, a, second, 1)
        t.hang_up(*up.pop())
        notes_come_home()
        goes_to(t, a, first, 0)
        reload(t, "rwctl", gateways(t, ({}, {})))
        t.hang_up(*up.pop())
        notes_come_home()
        goes_to(t, a, first, 0)
        silent(a, first, second)


NOBODY = 64 * "n" + ".invalid"  # a label too long (RFC 1035 2.3.4): the resolver asks no server
# What is wrong with each, and what the reason names.
WRONG = (
    ('routing_gateway "x" {\n\taddress = "127.0.0.9"\n\trewrite_callee = {"^(0 -> 1"}\n}', "^(0"),
    ('routing_gateway "x" {\n\taddress = {"127.0.0.9", "127.0.0.9:70000"}\n}', "70000"),
    ('routing_gateway "x" {\n\taddress = "%s"\n}' % NOBODY, NOBODY[:40]),
    ('routing_gateway "x" {\n\taddress = "127.0.0.9"\n\tstop_codes = {"503-500"}\n}', "503-500"),
    ('routing_gateway "x" {\n\taddress = "127.0.0.9"\n\ttimeout_invite = 4000\n}', "timeout_invite"),
    ('mapping_gateway "x" {\n\taddress = {"127.0.0.9"}\n\tdeny = {"nobody"}\n}', "nobody"),
    ('mapping_gateway "x" {\n\taddress = {"127.0.0.9"}\n\tfailed_reason_map = {"503 -> 200"}\n}', "503 -> 200"),
    ('mapping_gateway "x" {\n\taddress = {"127.0.0.9"}\n\tprefix_mode = "perhaps"\n}', "perhaps"),
)


@scenario(seconds=3, **OWN)
def wrong_routing_is_refused(t):
    """rwctl reload of wrong routing: exit status 1 with file, line and reason, and the old configuration stays."""
    a, first = t.caller(), t.carrier(0)
    with running(t, ({},)):
        right = t.switch.gateways
        for section, word in WRONG:
            t.switch.gateways = right + "\n" + section
            t.switch.write_configuration()
            begin = t.switch.configuration().split("\n").index(section.split("\n")[0]) + 1
            status, shown, complaint = rwctl(t, "reload")
            need(status == 1, "rwctl reload of %s: exit status %d: %s", section, status, shown)
            reason = complaint.partition(os.path.basename(t.switch.config) + ":")[2]
            line = reason.partition(":")[0]
            need(line.isdigit() and begin <= int(line) <= begin + 3 and word in reason,
                 "not file:line (%d...): ... %s ...: %s", begin, word, complaint)
        t.switch.process.send_signal(signal.SIGHUP)
        t.switch.wait_log("event=reload_refused", count=len(WRONG) + 1)
        goes_to(t, a, first, 0)


# Parameters

@scenario(seconds=4, **OWN)
def parameters_set(t):
    """rwctl param NAME VALUE: from the next call on, until a reload brings the file's value back."""
    a, carriers = t.caller(), [t.carrier(n) for n in range(3)]

    def tries(codes, told):
        caller = placed(t, a)
        for carrier, code in zip(carriers, codes):
            callee = invited(carrier)
            refuse(callee, code)
        ended(caller, told)
        silent(*carriers)
        t.cdr(end_reason="rejected", end_side="callee", sip_code=told,
              **served(t, len(codes) - 1, callee, *enumerate(codes)))

    def set_to(name, value):
        status, shown, complaint = rwctl(t, "param", name, value)
        need(status == 0, "rwctl param %s %s: exit status %d: %s", name, value, status, complaint)
        status, shown, _ = rwctl(t, "param", name)
        need(status == 0 and value in shown, "rwctl param %s shows %s", name, shown)

    with running(t, ({}, {}, {})):
        tries((503, 503, 503), 503)
        caller = placed(t, a)
        lost = invited(carriers[0])
        set_to("SS_GATEWAY_SWITCH_LIMIT", "1")
        refuse(lost, 503)  # of a call that began before
        refuse(invited(carriers[1]), 503)
        callee = invited(carriers[2])
        refuse(callee, 503)
        ended(caller, 503)
        t.cdr(end_reason="rejected", end_side="callee", sip_code=503,
              **served(t, 2, callee, (0, 503), (1, 503), (2, 503)))
        tries((503, 503), 503)
        tries((486,), 486)
        set_to("SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY", "off")
        tries((486, 486), 486)
        for name, value in (("SS_GATEWAY_SWITCH_LIMIT", "101"), ("SS_NO_SUCH_THING", "1")):
            status, _, complaint = rwctl(t, "param", name, value)
            need(status == 1 and name in complaint, "rwctl param %s %s: exit status %d: %s", name, value, status,
                 complaint)
        reload(t, "rwctl", t.switch.gateways)
        tries((503, 503, 486), 486)


@scenario(seconds=4, **OWN)
def longest_rest(t):
    """RW_RETRY_AFTER_MAX bounds the rest of a gateway; 0: none rests."""
    a, first, second = t.caller(), t.carrier(0), t.carrier(1)

    def rests(seconds):
        caller = placed(t, a)
        refuse(invited(first), 503, [("Retry-After", seconds)])
        callee = invited(second)
        refuse(callee, 486)
        ended(caller, 486)
        t.cdr(**dict(BUSY, **served(t, 1, callee, (0, 503), (1, 486))))
        return time.monotonic()

    with running(t, ({}, {}), {"RW_RETRY_AFTER_MAX": 0}):
        rests("3600")
        goes_to(t, a, first, 0)
        t.switch.call("parameters.set", name="RW_RETRY_AFTER_MAX", value=1)
        began = rests("3600")
        time.sleep(0.1)  # other shards hear of it in their next turn
        goes_to(t, a, second, 1)
        time.sleep(max(0.0, began + 1.2 - time.monotonic()))
        goes_to(t, a, first, 0)
        silent(a, first, second)


@scenario(seconds=3, **OWN)
def setup_as_a_whole(t):
    """RW_SETUP_MAX ends a set-up in the middle of its attempts: 480 if it rang anywhere; the next one is not tried."""
    a, carriers = t.caller(), [t.carrier(n) for n in range(3)]
    parameters = {"RW_SETUP_MAX": 2, "SS_GATEWAY_SWITCH_UNTIL_CONNECT": "on"}
    with running(t, ({"timeout_ringing": 1}, {}, {}), parameters):
        began = time.time()
        caller = placed(t, a)
        lost = invited(carriers[0])
        rings(caller, lost)
        given_up(lost)
        callee = invited(carriers[1])
        callee.reply(100)
        given_up(callee)
        waited(began, ended(caller, 480), 2)
        silent(a, *carriers)
        t.cdr(end_reason="setup_timeout", end_side="switch", sip_code=480, **served(t, 1, callee, (0, 0), (1, 0)))


# Drain

@scenario(seconds=2, **OWN)
def drain(t):
    """rwctl drain: 503 to new calls, those that are up go on; the node stops when the last has ended."""
    a, first = t.caller(), t.carrier(0)
    with running(t, ({},)) as switch:
        caller = placed(t, a)
        callee = invited(first)
        connect(caller, callee)
        ringing = placed(t, a)
        ringing_callee = invited(first)
        rings(ringing, ringing_callee)
        status, shown, complaint = rwctl(t, "drain")
        need(status == 0, "rwctl drain: exit status %d: %s", status, complaint)
        time.sleep(0.3)  # until each worker has had its turn
        ended(placed(t, a), 503)
        silent(first)
        connect(ringing, ringing_callee)
        t.hang_up(ringing, ringing_callee)
        caller.send("INFO")
        callee.answer(first.expect("INFO"), 200)
        a.expect("200 INFO")
        need(switch.wait_exit(0.3) is None, "the node stopped before the last call had ended")
        t.hang_up(caller, callee)
        need(switch.wait_exit(10) == 0, "no exit with status 0 after the last call: %s", switch.log_tail(3))
        for one in (callee, ringing_callee):
            t.cdr_answered(**served(t, 0, one, (0, 200)))
        rows = [row for row in t.rows(2) if row["end_reason"] not in ("node_shutdown", "overload")]
        need(len(rows) == 2, "CDRs: %s", rows)
        if len(t.rows(2)) == 3:  # whether the refused call has a record is the switch's to say
            t.cdr(end_side="switch", sip_code=503)


# Online check

PERIOD = 5  # the smallest


@scenario(seconds=25, **OWN)
def options_check(t):
    """options_check: a gateway that is silent for two periods is passed over, until its first answer, even a 404."""
    a, first, second = t.caller(), t.carrier(0), t.carrier(1)
    with running(t, ({"options_check": "on"}, {}), {"SS_SIP_OPTIONS_CHECK_PERIOD": PERIOD}):
        caller = placed(t, a)  # nothing is known against it yet
        callee, pings = Dialog.incoming(first, first.expect("INVITE", skip=("OPTIONS",))), []
        callee.reply(486)
        first.expect("ACK", skip=("OPTIONS",))
        ended(caller, 486)
        t.cdr(**dict(BUSY, **served(t, 0, callee, (0, 486))))
        ping = first.expect("OPTIONS", timeout=PERIOD + 2)
        need(ping.contact() and ping.get("Max-Forwards") and ping.to_tag is None, "OPTIONS: %s", ping.raw)
        t.switch.wait_log("event=gateway_down", timeout=3 * PERIOD)
        down = time.time()
        need(2 * PERIOD - 0.1 <= down - ping.received_s <= 2 * PERIOD + 2, "down after %.2f s of silence",
             down - ping.received_s)
        need(state_of(t, 0) == "down", "gateways.list says %s", state_of(t, 0))
        goes_to(t, a, second, 1)
        pings = [m for m in first.collect(0.1) if m.kind == "OPTIONS"]
        need(1 <= len(pings) <= 2, "%d OPTIONS within two periods", len(pings) + 1)
        back = first.expect("OPTIONS", timeout=PERIOD + 2)
        answer_options(first, back, 404)
        t.switch.wait_log("event=gateway_up")
        need(state_of(t, 0) == "up", "gateways.list says %s", state_of(t, 0))
        goes_to(t, a, first, 0)
        silent(second)


def answer_options(agent, request, code):
    Dialog.incoming(agent, request).answer(request, code)
