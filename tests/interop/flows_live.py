"""A running switch that changes: reload, parameters.set, drain.  Spec 2, 3, 5.  Each scenario has a switch of its own."""

import os
import signal
import socket
import subprocess
import threading
import time

from flows_node import own_switch, rwctl
from harness import RG_PORT, scenario
from sipmsg import sdp
from sipp import run_pair
from switch import mapping_gateway, routing_gateway
from ua import Unmet, need

OTHER = "8880"  # a prefix that own_switch() does not route
TIMER = [("Supported", "timer")]


def live(function):
    """The switch ends with its scenario, whatever happens, and in good order: a sanitizer has its say in the status."""
    def run(t):
        own_switch(t)
        try:
            function(t)
        finally:
            status = t.switch.stop()
        need(status == 0, "exit status %s: %s", status, t.switch.log_tail(30))
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return scenario(mg=None, rg=None, profile=None, seconds=3)(run)


def write(t, gateways, **parameters):
    t.switch.gateways = gateways
    t.switch.parameters = dict(t.switch.parameters, **parameters)
    with open(t.switch.config, "w") as out:
        out.write(t.switch.configuration())


def mapping(t, name=None):
    return mapping_gateway(name or t.name, [t.caller_host])


def routing(t, prefix=None, name=None):
    return routing_gateway(name or t.name, t.callee_host, RG_PORT, [prefix or t.number[:4]])


def generation(t):
    return t.switch.call("node.info")["generation"]


def hang_up_by_signal(t):
    """SIGHUP, and the wait for what the log says of it."""
    def count():
        return t.switch.log_tail(1000).count("event=reload")
    before = count()
    t.switch.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while count() == before:
        need(time.monotonic() < deadline, "the log says nothing of the reload")
        time.sleep(0.02)


def refused(t, number, code):
    """A call that the switch refuses with this code."""
    agent = t.caller("refused")
    caller = agent.invite(t.to, number, sdp())
    caller.ack_failure(agent.expect("%d INVITE" % code))


def info_goes_through(first, second):
    first.send("INFO")
    second.answer(second.agent.expect("INFO"), 200)
    first.agent.expect("200 INFO")


@live
def reload_takes_the_gateways_of_a_live_call(t):
    """SIGHUP with both gateways of a live call gone: it goes on, ends normally, and its CDR names them."""
    caller, callee = t.answered()
    write(t, mapping(t, "newcomer") + routing(t, OTHER, "other"))
    hang_up_by_signal(t)
    names = {g["name"] for g in t.switch.call("gateways.list")}
    need(names == {"newcomer", "other"}, "gateways: %s", names)
    info_goes_through(caller, callee)
    info_goes_through(callee, caller)
    rows = t.switch.calls(gateway=t.name)
    need(len(rows) == 1 and rows[0]["routing_gateway"] == t.name, "calls.list: %s", rows)
    refused(t, t.number, 404)
    t.hang_up(callee, caller)
    t.cdr_answered("callee", routing_gateway=t.name)


@live
def reload_takes_the_gateway_of_a_ringing_call(t):
    """The routing gateway of a call that rings is gone: the call is answered all the same."""
    caller, callee = t.ringing()
    write(t, mapping(t) + routing(t, OTHER, "other"))
    t.switch.call("config.reload")
    callee.reply(200, sdp(port=50000))
    caller.confirm(caller.agent.expect("200 INVITE")).ack()
    callee.agent.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered(routing_gateway=t.name)


@live
def reload_brings_a_gateway_and_takes_one(t):
    """rwctl reload: the new gateway gets the next call, the one that is gone none."""
    refused(t, OTHER + "123", 404)
    t.cdr(end_reason="no_route", sip_code=404, end_side="switch")
    write(t, mapping(t) + routing(t, OTHER, "newcomer"))
    shown, status = rwctl(t, "reload", json_output=False)
    need(status == 0 and "1 mapping gateways, 1 routing gateways, 1 prefixes" in shown, "rwctl reload: %s", shown)
    refused(t, t.number, 404)
    t.cdr(end_reason="no_route", sip_code=404, end_side="switch")
    t.number = OTHER + "123"
    caller, callee = t.answered()
    t.hang_up(caller, callee)
    t.cdr_answered(routing_gateway="newcomer")


@live
def reload_refuses_each_kind_of_wrong_file(t):
    """A wrong file is refused with file, line and reason, and the switch goes on with what it has."""
    good = mapping(t) + routing(t)
    head = t.switch.configuration().count("\n") - good.count("\n")
    overlapping = mapping(t) + mapping(t, "second") + routing(t)
    cases = [
        ("unknown key", good + "capasity = 1\n", "capasity"),
        ("bad address", good + routing_gateway("x", "300.1.1.1", 5060, ["9"]), "300.1.1.1"),
        ("overlapping gateways", overlapping, t.caller_host),
        ("value out of range", good + "parameters { RW_SIP_T1 = 1 }\n", "RW_SIP_T1"),
        ("missing file", good + routing_gateway("x", "127.0.0.9", 5060, ["9"], prefix_file="none.txt"), "none.txt"),
        ("unreadable", good + routing_gateway("x", "127.0.0.9", 5060, ["9"], prefix_file="data"), "data"),
        ("no end", good + "parameters {\n", ""),
    ]
    before = generation(t)
    for name, gateways, words in cases:
        write(t, gateways)
        try:
            t.switch.call("config.reload")
            raise Unmet("%s: taken" % name)
        except Unmet as error:
            text = str(error)
        place = "ringwheel.conf:"
        need("-32006" in text and place in text and words in text, "%s: %s", name, text)
        line = int(text.split(place)[1].split(":")[0])
        need(head < line <= head + gateways.count("\n") + 1, "%s: line %d of %d: %s", name, line, head, text)
        need(generation(t) == before, "%s: another configuration is in force", name)
    write(t, good)
    with open(t.switch.config, "a") as out:
        out.write("prefault = on\n")
    done = subprocess.run([t.configuration.options.rwctl, "-s", t.switch.socket_path, "reload"], capture_output=True,
                          text=True, timeout=20)
    need(done.returncode == 1 and "prefault: only a restart" in done.stderr, "restart: %s", done.stderr)
    os.unlink(t.switch.config)
    hang_up_by_signal(t)
    need("event=reload_refused" in t.switch.log_tail(1), "no file: %s", t.switch.log_tail(1))
    need(generation(t) == before, "another configuration is in force")
    caller, callee = t.answered()
    t.hang_up(caller, callee)
    t.cdr_answered()


def granted(dialog):
    return dialog.response.get("Session-Expires").split(";")[0]


@live
def parameter_is_set_for_the_next_call(t):
    """rwctl param: calls that start afterwards see it, one that is up does not; a reload brings the file's value."""
    old, old_callee = t.answered(headers=TIMER)
    need(granted(old) == "600", "granted %s", granted(old))
    shown, status = rwctl(t, "param", "SS_SIP_SESSION_TTL", "900", json_output=False)
    need(status == 0 and shown.split() == ["NAME", "VALUE", "WAS", "SS_SIP_SESSION_TTL", "900", "600"], "%s", shown)
    need(t.switch.call("parameters.get", name="SS_SIP_SESSION_TTL")["value"] == 900, "not shown")
    old.send("UPDATE", headers=TIMER + [("Session-Expires", "1800")])
    answer = old.agent.expect("200 UPDATE")
    need(answer.get("Session-Expires").startswith("600"), "the old call: %s", answer.get("Session-Expires"))
    t.hang_up(old, old_callee)
    old_callee.agent.close()
    new, new_callee = t.answered(headers=TIMER)
    need(granted(new) == "900", "granted %s", granted(new))
    t.hang_up(new, new_callee)
    new_callee.agent.close()
    shown, status = rwctl(t, "param", "SS_SIP_SESSION_TTL", "1")
    need(status == 1, "out of range: exit status %d", status)
    t.switch.call("config.reload")
    last, last_callee = t.answered(headers=TIMER)
    need(granted(last) == "600", "granted %s after the reload", granted(last))
    t.hang_up(last, last_callee)
    for _ in range(3):
        t.cdr_answered()


def tos_of_answer(t):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        sock.bind((t.caller_host, 0))
        sock.settimeout(5)
        agent = t.caller("tos")
        request = agent.request("OPTIONS", t.to)
        sock.sendto(request.encode(), t.to)
        extra = sock.recvmsg(65536, 64)[1]
    return next(data[0] for _, kind, data in extra if kind == socket.IP_TOS)


@live
def qos_changes_on_open_sockets(t):
    """SS_QOS_SIGNAL by parameters.set and by reload: the TOS byte of what is sent from then on."""
    caller, callee = t.answered()
    need(tos_of_answer(t) == 0xa0, "TOS 0x%x at first", tos_of_answer(t))
    t.switch.call("parameters.set", name="SS_QOS_SIGNAL", value="0x68")
    need(tos_of_answer(t) == 0x68, "TOS 0x%x after parameters.set", tos_of_answer(t))
    write(t, mapping(t) + routing(t), SS_QOS_SIGNAL="0x20")
    t.switch.call("config.reload")
    need(tos_of_answer(t) == 0x20, "TOS 0x%x after the reload", tos_of_answer(t))
    info_goes_through(caller, callee)
    t.hang_up(caller, callee)
    t.cdr_answered()


@live
def drain_waits_for_the_last_call(t):
    """rwctl drain: 503 to new calls, the live one goes on, and with its end the node stops."""
    caller, callee = t.answered()
    shown, status = rwctl(t, "drain", json_output=False)
    need(status == 0 and "the 1 that it has" in shown, "rwctl drain: %s", shown)
    need(t.switch.call("node.info")["draining"], "node.info does not say it")
    refused(t, t.number, 503)
    info_goes_through(callee, caller)
    need(t.switch.alive(), "it did not wait")
    t.hang_up(caller, callee)
    status = t.switch.process.wait(10)
    need(status == 0, "exit status %s", status)
    t.cdr_answered()


@live
def drain_ends_by_its_timeout(t):
    """node.drain with a timeout, which the second one sets anew: what is still up then is ended as by SIGTERM."""
    caller, callee = t.answered()
    t.switch.call("node.drain", timeout_s=600)
    left = t.switch.call("node.drain", timeout_s=1)
    need(left["timeout_s"] == 1 and left["calls"] == 1, "%s", left)
    for dialog in (caller, callee):
        dialog.answer(dialog.agent.expect("BYE"), 200)
    status = t.switch.process.wait(10)
    need(status == 0, "exit status %s", status)
    t.cdr_answered("switch", end_reason="node_shutdown")


@live
def drain_without_calls_is_a_stop(t):
    """A node without calls stops at once."""
    t.switch.call("node.drain")
    status = t.switch.process.wait(10)
    need(status == 0, "exit status %s", status)


@live
def a_slow_load_holds_up_nobody(t):
    """Three million prefixes take a while: calls and control go on meanwhile."""
    with open(os.path.join(t.switch.directory, "slow.txt"), "w") as out:
        out.write("\n".join(["9%07d" % n for n in range(3000000)] + [t.number[:4]]))
    write(t, mapping(t) + routing_gateway(t.name, t.callee_host, RG_PORT, ["9"], prefix_file="slow.txt"))
    before = generation(t)
    waiting = threading.Thread(target=t.switch.ask, args=("config.reload", {}, 90))
    waiting.start()
    caller, callee = t.answered()
    need(generation(t) == before, "adopted without its prefixes")
    t.hang_up(caller, callee)
    callee.agent.close()
    waiting.join(90)
    need(generation(t) > before, "not adopted")
    caller, callee = t.answered()
    t.hang_up(caller, callee)
    t.cdr_answered()
    t.cdr_answered()


@live
def many_reloads_under_calls(t):
    """400 calls, and a reload, a SIGHUP or a parameter every few milliseconds: no call fails."""
    over = threading.Event()
    counts = {"changes": 0}
    faults = []

    def change():
        turn = 0
        try:
            while not over.is_set():
                turn += 1
                write(t, mapping(t) + routing(t) + "".join(
                    routing_gateway("g%d" % i, "127.0.0.9", 5060, ["9%d" % i]) for i in range(turn % 7)))
                t.switch.call("config.reload")
                t.switch.call("parameters.set", name="SS_SIP_SESSION_TTL", value=600 + turn % 9)
                t.switch.process.send_signal(signal.SIGHUP)
                counts["changes"] += 3
        except Exception as fault:
            faults.append(fault)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        run_pair(t, "load", calls=400, rate=80, timeout=40, trace=False)
    finally:
        over.set()
        changer.join(20)
    need(not faults, "%s", faults)
    stats = t.switch.stats()
    need(stats["calls_answered"] == 400 and stats["calls_failed"] == 0, "answered %d, failed %d",
         stats["calls_answered"], stats["calls_failed"])
    t.note = "%d changes" % counts["changes"]
    for _ in range(400):
        t.cdr_answered()
