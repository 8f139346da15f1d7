"""Torture messages and malformed datagrams over a real socket.  Spec 11, RFC 4475."""

import os
import re
import time

from harness import RG_PORT, Skip, scenario
from sipmsg import Message, Malformed
from switch import mapping_gateway, routing_gateway
from torture import REPAIRED, RFC4475, SAME_KEY, right
from ua import Dialog, Unmet, need

SILENCE_S = 0.6  # how long nothing must come for DROP
HERE = os.path.dirname(os.path.abspath(__file__))


class Target:
    """A switch of its own, a carrier that answers 486 to every INVITE, and a sender."""

    def __init__(self, t):
        self.t = t
        gateways = (mapping_gateway(t.name, [t.caller_host]) +
                    routing_gateway(t.name, t.callee_host, RG_PORT, [""]))
        t.switch = t.configuration.switch(t.name, gateways=gateways)
        self.switch = t.switch.start()
        self.address = t.switch.address
        self.senders = {}
        self.carrier = t.callee()

    def sender(self, port):
        if port not in self.senders:
            self.senders[port] = self.t.caller("sender", port)
        return self.senders[port]

    def close(self):
        self.switch.stop()

    def try_out(self, name, raw, port, answers):
        """Sends one datagram; the answers in words, wrong ones as Unmet."""
        sender = self.sender(port)
        sender.send(raw, self.address)
        final = self.final_answer(sender, may_be_silent=right(None, answers))
        code = final.code if final else None
        need(right(code, answers), "%s: %s instead of %s", name, final.start if final else "silence",
             " or ".join(str(a) for a in sorted(answers, key=str)))
        if final and final.method == "INVITE" and code != 400:
            self.acknowledge(sender, raw, final)
        return final

    def final_answer(self, sender, may_be_silent):
        """The final answer to what was sent; the carrier answers its INVITEs meanwhile."""
        deadline = time.monotonic() + (SILENCE_S if may_be_silent else 8)
        while time.monotonic() < deadline:
            messages = sender.collect(0.02)
            for message in self.carrier.collect(0.02):
                if message.kind == "INVITE":
                    check_forwarded(message)
                    Dialog.incoming(self.carrier, message).reply(486)
            finals = [m for m in messages if m.code is not None and m.code >= 200]
            need(len(finals) <= 1, "several answers: %s", [m.start for m in finals])
            need(all(m.code is not None for m in messages), "a request came: %s", [m.start for m in messages])
            if finals:
                return finals[0]
        return None

    def acknowledge(self, sender, raw, final):
        via = final.all("Via")[0]
        lines = [("Via", re.sub(r";(received|rport)=[^;]*", "", via)), ("From", final.get("From")),
                 ("To", final.get("To")), ("Call-ID", final.call_id), ("CSeq", "%d ACK" % final.cseq),
                 ("Max-Forwards", "70")]
        uri = raw.split(b" ")[1].decode("latin-1")
        sender.send(Message("ACK %s SIP/2.0" % uri, lines), self.address)

    def is_well(self, after):
        need(self.switch.alive(), "the switch died after %s: %s", after, self.switch.log_tail(5))
        need(self.switch.answers_options(self.t.caller_host), "no answer to OPTIONS after %s", after)

    def nothing_left(self):
        wrong = self.switch.wait_stats(["calls_active", "calls_setup"], 10)
        need(not wrong, "left over: %s", wrong)
        status = self.switch.terminate()
        need(status == 0, "exit status %s: %s", status, self.switch.log_tail(5))


def check_forwarded(invite):
    """What the parser let through must leave in good form."""
    need(re.fullmatch(r"INVITE sips?:[^ <>?]+ SIP/2\.0", invite.start), "forwarded as %r", invite.start)
    need(0 <= int(invite.get("Max-Forwards")) <= 254, "forwarded with Max-Forwards %s", invite.get("Max-Forwards"))


@scenario(mg=None, rg=None, profile=None, seconds=20)
def rfc4475(t):
    """The RFC 4475 torture messages get the answers that a UDP B2BUA owes them."""
    folder = t.configuration.options.torture
    if not os.path.isdir(os.path.join(folder, "rfc4475")):
        raise Skip("no torture messages in %s" % os.path.relpath(folder))
    target = Target(t)
    wrong = []
    try:
        cases = []
        for name, (port, answers) in RFC4475.items():
            path = os.path.join(folder, "rfc4475-udp", name)
            if name in REPAIRED or not os.path.exists(path):
                path = os.path.join(folder, "rfc4475", name)
            cases.append((name, path, port, answers))
        cases += [("rfc4475-udp/" + n, os.path.join(folder, "rfc4475-udp", n), p, a)
                  for n, (p, a) in REPAIRED.items()]
        dialogs = set()
        for name, path, port, answers in cases:
            with open(path, "rb") as file:
                raw = file.read()
            if name in SAME_KEY:
                raw = re.sub(rb"(?i)(branch=[^;\s]*)[^;\s]", rb"\1~", raw, count=1)
            try:
                final = target.try_out(name, raw, port, answers)
                check_answer(name, raw, final)
                if final and final.method == "INVITE":
                    dialogs.add(final.call_id)
            except (Unmet, Malformed) as problem:
                wrong.append(str(problem))
            target.is_well(name)
        target.nothing_left()
        rows = t.switch.rows()
        calls = [r["call_id_a"] for r in rows]
        need(len(calls) == len(set(calls)), "several CDRs of one call: %s", sorted(calls))
        need(set(calls) <= dialogs, "CDRs of what was no call: %s", set(calls) - dialogs)
        t.output += wrong
        need(not wrong, "%d of %d messages: %s", len(wrong), len(cases), wrong[0] if wrong else "")
        t.note = "%d messages" % len(cases)
        for _ in rows:
            t.cdr()
    finally:
        target.close()


def check_answer(name, raw, final):
    """Beyond the code: what the answer to a few of them must hold."""
    if final is None:
        return
    if name == "longreq.dat":
        vias = sum(len(v.split(",")) for v in final.all("Via"))
        need(vias == 34, "%s: %d of 34 Vias returned", name, vias)
    if name == "transports.dat":
        need(sum(len(v.split(",")) for v in final.all("Via")) == 5, "%s: Vias lost", name)
    if name == "bext01.dat":
        need(final.tokens("Unsupported") >= {"nothingsupportsthis", "nothingsupportsthiseither"}, "%s: Unsupported: %s",
             name, final.get("Unsupported"))
    if name == "intmeth.dat":
        to = re.search(rb"\r\nTo\s*:\s*(.*?)\r\n", raw, re.DOTALL).group(1)
        need(to in final.raw, "%s: To was changed", name)
    if final.code in (405, 501):
        need(final.has("Allow"), "%s: %d without Allow", name, final.code)


@scenario(mg=None, rg=None, profile=None, seconds=15)
def malformed(t):
    """Our own malformed datagrams: an answer where enough could be read, else silence; never harm."""
    target = Target(t)
    folder = os.path.join(HERE, "malformed")
    wrong = []
    count = 0
    try:
        with open(os.path.join(folder, "INDEX.tsv")) as index:
            rows = [line.rstrip("\n").split("\t") for line in index][1:]
        for name, answers, _what in rows:
            with open(os.path.join(folder, name), "rb") as file:
                raw = file.read()
            allowed = {int(a) if a.isdigit() else a for a in answers.split("|")}
            count += 1
            try:
                target.try_out(name, raw, 5099, allowed)
            except (Unmet, Malformed) as problem:
                wrong.append(str(problem))
            target.is_well(name)
        stats = target.switch.stats()
        need(stats["datagrams_bad"] > 0, "nothing was counted as bad")
        target.nothing_left()
        t.output += wrong
        need(not wrong, "%d of %d: %s", len(wrong), count, wrong[0] if wrong else "")
        t.note = "%d datagrams" % count
        for _ in t.switch.rows():
            t.cdr()
    finally:
        target.close()


@scenario(mg=None, rg=None, profile=None, seconds=10)
def prefixes_of_a_message(t):
    """An INVITE cut after each of its octets: never harm, never more than one call."""
    target = Target(t)
    try:
        sender = target.sender(0)
        whole = sender.request("INVITE", target.address, "15551234", body=b"v=0\r\n").encode()
        for size in range(1, len(whole)):
            sender.sock.sendto(whole[:size], target.address)
            if size % 50 == 0:
                sender.collect(0.005)
        target.is_well("prefixes")
        sender.collect(0.3)
        for message in target.carrier.collect(0.2):
            if message.kind == "INVITE":
                Dialog.incoming(target.carrier, message).reply(486)
        target.nothing_left()
        for _ in t.switch.rows():
            t.cdr()
    finally:
        target.close()
