"""Scenarios, what each may use, and the judgement of its CDRs.

A scenario is a function that takes a Test.  It has a mapping gateway and a routing gateway of its own, known by
loopback addresses and a dialled prefix of their own, so scenarios share one switch, run side by side, and each finds
its CDRs by the gateway's name.
"""

import json
import os
import time
import traceback

import lateness
from ua import Agent, Dialog, Unmet, need
from sipmsg import sdp
from switch import SWITCH_HOST, SWITCH_PORT, free_port, has_ipv6, mapping_gateway, routing_gateway

RG_PORT = 5060
SIX = "::1"


class Skip(Exception):
    """The scenario cannot run here; the text says why."""


class Scenario:
    """A test and what it needs."""

    def __init__(self, function, name, profile, mg, rg, carriers, direct, seconds, alone, once, on_request):
        self.function = function
        self.name = name
        self.profile = profile  # which switch it runs on (profiles.py); None: it starts its own
        self.mg = mg            # options of its mapping gateway; None: it has none.  six=True: it is at ::1
        self.rg = rg            # options of its routing gateway; None: it has none.  six=True: likewise
        self.carriers = carriers  # options of several routing gateways instead, the first one preferred (carriers_text)
        self.direct = direct    # also makes sense from user agent to user agent, without the switch
        self.seconds = seconds  # roughly how long: long ones begin first
        self.alone = alone      # nothing else runs meanwhile
        self.once = once        # in the first configuration only
        self.on_request = on_request  # only when named or with --load
        self.cdr_count = None   # CDRs that the latest run expected, if it passed
        self.what = (function.__doc__ or "").strip().split("\n")[0]
        self.index = 0


SCENARIOS = []


def add(function, name=None, profile="main", mg=(), rg=(), carriers=(), direct=False, seconds=1, alone=False,
        once=False, on_request=False):
    scenario = Scenario(function, name or function.__name__, profile, None if mg is None else dict(mg),
                        None if rg is None or carriers else dict(rg), [dict(c) for c in carriers], direct, seconds,
                        alone, once, on_request)
    assert scenario.name not in [s.name for s in SCENARIOS], scenario.name
    SCENARIOS.append(scenario)
    scenario.index = len(SCENARIOS)
    return scenario


def scenario(**options):
    def register(function):
        add(function, **options)
        return function
    return register


class Network:
    """Loopback addresses of one run: two runs on a machine do not meet unless their pids agree modulo 2,880."""

    CALLER, CALLEE, PROXY, STRANGER, CARRIERS = range(5)
    CARRIERS_MAX = 5

    def __init__(self, pid):
        self.second = 10 + pid % 240
        self.third = 20 * (pid // 240 % 12)
        self.ports6 = {}

    def _address(self, kind, index):
        page, last = divmod(index - 1, 254)
        assert page in (0, 1)
        return "127.%d.%d.%d" % (self.second, self.third + 10 * page + kind, last + 1)

    def caller(self, index):
        return self._address(self.CALLER, index)

    def callee(self, index):
        return self._address(self.CALLEE, index)

    def proxy(self, index):
        return self._address(self.PROXY, index)

    def stranger(self, index):
        return self._address(self.STRANGER, index)

    def carrier(self, index, number):
        assert number < self.CARRIERS_MAX
        return self._address(self.CARRIERS + number, index)

    def port6(self, index, who):
        """Of IPv6 loopback addresses there is one: agents differ by their ports."""
        if (index, who) not in self.ports6:
            self.ports6[index, who] = free_port(SIX)
        return self.ports6[index, who]


def gateways_text(scenarios, network):
    """The gateway sections of the configuration for these scenarios."""
    parts = []
    for s in scenarios:
        if s.mg is not None:
            options = dict(s.mg)
            extra = options.pop("also", ())
            addresses = [network.caller(s.index)] + [a(network, s.index) if callable(a) else a for a in extra]
            if options.pop("six", False) and has_ipv6():
                addresses[0] = "[%s]:%d" % (SIX, network.port6(s.index, "caller"))
            parts.append(mapping_gateway(s.name, addresses, **by_name(options, s.name)))
        if s.rg is not None:
            options = dict(s.rg)
            host, port = network.callee(s.index), RG_PORT
            if options.pop("is_switch", False):
                host, port = SWITCH_HOST, SWITCH_PORT
            if options.pop("six", False) and has_ipv6():
                host, port = SIX, network.port6(s.index, "callee")
            parts.append(routing_gateway(s.name, host, port, [prefix(s.index)], **options))
        parts += carriers_text(s.name, s.index, s.carriers, network)
    return "\n".join(parts)


def carriers_text(name, index, carriers, network):
    """A section for each of several routing gateways.  Beside the keys of the section: `addresses`, how many it has,
    `prefixes`, what its prefixes have behind the scenario's own, and `six`, whether it is at ::1.  Their priorities
    are 1, 2, 3..., unless said.
    None stands for a gateway that is not there."""
    parts = []
    for number, options in enumerate(carriers):
        if options is not None:
            options = dict({"priority": number + 1}, **options)
            ports = [carrier_port(a) for a in range(options.pop("addresses", 1))]
            prefixes = [prefix(index) + p for p in options.pop("prefixes", [""])]
            host = network.carrier(index, number)
            if options.pop("six", False) and has_ipv6():
                host, ports = SIX, [network.port6(index, number)]
            parts.append(routing_gateway(carrier_name(name, number), host, ports, prefixes, **options))
    return parts


def carrier_name(scenario, number):
    return "%s-%d" % (scenario, number + 1)


def carrier_port(address):
    return RG_PORT + 2 * address


def by_name(options, scenario):
    """allow and deny as the file has them; scenarios write the numbers of their carriers."""
    return {key: [carrier_name(scenario, n) for n in value] if key in ("allow", "deny") else value
            for key, value in options.items()}


def prefix(index):
    return "7%03d" % index


class Test:
    """What one run of a scenario works with."""

    def __init__(self, scenario, switch, network, directory, direct=False, configuration=None):
        self.scenario = scenario
        self.switch = switch
        self.network = network
        self.directory = os.path.join(directory, scenario.name)
        self.direct = direct
        self.configuration = configuration
        self.name = scenario.name
        self.index = scenario.index
        self.caller_host = network.caller(self.index)
        self.callee_host = network.callee(self.index)
        self.caller_port = 0
        self.callee_port = RG_PORT  # where the callee's agent is; its gateway may be a proxy
        # Sides that are at ::1.
        self.six = {side for side, options in (("caller", scenario.mg), ("callee", scenario.rg))
                    if options and options.get("six")}
        self.six |= {number for number, options in enumerate(scenario.carriers) if options and options.get("six")}
        self.number = prefix(self.index) + "5551234"
        self.agents = []
        self.expected = []
        self.note = ""    # printed with an "ok"
        self.output = []  # lines printed when the scenario failed
        os.makedirs(self.directory, exist_ok=True)
        # Where callers send: the switch, or straight to the callee.
        self.to = (self.callee_host, RG_PORT) if direct else switch and switch.address
        if self.six and has_ipv6():
            self._move_to_six()

    def _move_to_six(self):
        if "caller" in self.six:
            self.caller_host, self.caller_port = SIX, self.network.port6(self.index, "caller")
            self.to = (SIX, self.switch.port6)
        if "callee" in self.six:
            self.callee_host, self.callee_port = SIX, self.network.port6(self.index, "callee")

    # Agents

    def agent(self, host, port=0, name="agent"):
        agent = Agent(host, port, name)
        self.agents.append(agent)
        return agent

    def caller(self, name="caller", port=0):
        return self.agent(self.caller_host, port or self.caller_port, name)

    def callee(self, name="callee"):
        return self.agent(self.callee_host, self.callee_port, name)

    def carrier(self, number, address=0):
        """The user agent of one of several routing gateways."""
        name = "carrier%d" % (number + 1) + (".%d" % (address + 1) if address else "")
        if number in self.six:
            return self.agent(SIX, self.network.port6(self.index, number), name)
        return self.agent(self.network.carrier(self.index, number), carrier_port(address), name)

    # Frequent beginnings and ends

    def ringing(self, body=None, headers=()):
        """A call that rings at the callee: (caller's dialog, callee's dialog)."""
        a, b = self.caller(), self.callee()
        caller = a.invite(self.to, self.number, sdp() if body is None else body, headers)
        callee = Dialog.incoming(b, b.expect("INVITE"))
        callee.reply(180)
        a.expect("180 INVITE")
        return caller, callee

    def answered(self, acknowledge=True, headers=(), body=None, answer=None, answer_headers=()):
        """An answered call; with acknowledge=False the caller's ACK is still to come."""
        caller, callee = self.ringing(body, headers)
        callee.reply(200, sdp(port=50000) if answer is None else answer, answer_headers)
        caller.confirm(caller.agent.expect("200 INVITE"))
        if acknowledge:
            caller.ack()
        callee.ack_received = callee.agent.expect("ACK")
        return caller, callee

    def hang_up(self, first, second):
        """BYE from `first`; `second` gets one and answers, `first` gets 200."""
        first.send("BYE")
        second.answer(second.agent.expect("BYE"), 200)
        first.agent.expect("200 BYE")

    def cdr(self, **fields):
        """Says that the scenario leaves a CDR, and what is in it; in the order of the INVITEs.  A field may be a set
        or range of allowed values."""
        self.expected.append(fields)

    def cdr_answered(self, side="caller", **fields):
        self.cdr(**dict(dict(end_reason="normal", end_side=side, sip_code=200, answered=True), **fields))

    # Judgement

    def run(self):
        """"ok", or ("FAIL" | "skip", why)."""
        started_us = time.time() * 1e6
        lateness.here.test = self
        try:
            if self.six and not has_ipv6():
                raise Skip("this machine has no IPv6 address ::1 on lo")
            self.scenario.function(self)
            if self.switch is not None:
                self.check_cdrs(started_us)
            return "ok", ""
        except Skip as reason:
            return "skip", str(reason)
        except Exception as error:  # whatever happened, the other scenarios go on
            if not isinstance(error, Unmet):
                self.output += traceback.format_exc().splitlines()
            self.output += self.trace()
            return "FAIL", str(error) or repr(error)
        finally:
            for agent in self.agents:
                agent.close()

    def trace(self):
        for agent in self.agents:
            try:
                agent.read_rest()
            except Exception:  # closed, or no message, or no agent at all
                pass
        entries = sorted(e for agent in self.agents for e in agent.trace)
        return ["%.3f %s  %s  (%s)" % (e[0] % 1000, e[1], e[2], e[3]) for e in entries]

    def check_cdrs(self, started_us):
        rows = self.rows(len(self.expected))
        if len(rows) != len(self.expected):
            raise Unmet("%d CDRs instead of %d: %s" % (len(rows), len(self.expected), [
                (r["end_reason"], r["end_side"], r["sip_code"]) for r in rows]))
        for row, fields in zip(rows, self.expected):
            try:
                check_row(row, fields, self.name, started_us)
            except Unmet as wrong:
                self.output.append("CDR: %s" % json.dumps(row))
                raise Unmet("CDR: %s" % wrong)

    def rows(self, count):
        return self.switch.wait_rows(count, "mapping_gateway = ?", (self.name,))


def check_row(row, fields, gateway, started_us):
    """One CDR against what the scenario expects, and against itself.  Spec 9.  tried: [(gateway, code)] of its
    attempts."""
    fields = dict(fields)
    answered = fields.pop("answered", False)
    tried = fields.pop("tried", None)
    fields.setdefault("mapping_gateway", gateway)
    fields.setdefault("node", "interop")
    for key, wanted in fields.items():
        need(key in row, "no column %s", key)
        allowed = wanted if isinstance(wanted, (set, range)) else {wanted}
        need(row[key] in allowed, "%s is %r, not %s", key, row[key],
             wanted if isinstance(wanted, range) else " or ".join(map(repr, sorted(allowed, key=str))))
    for key, value in row.items():
        need(value is not None, "%s is NULL", key)
    now_us = time.time() * 1e6
    need(started_us - 1000 <= row["start_us"] <= now_us, "start_us is not within the test")
    need(row["start_us"] <= row["end_us"] <= now_us, "end_us is before start_us or in the future")
    need(len(row["cdr_id"]) == 32, "cdr_id has another length")
    if answered:
        need(row["start_us"] <= row["connect_us"] <= row["end_us"], "connect_us is not between start_us and end_us")
        need(abs(row["end_us"] - row["connect_us"] - 1000 * row["hold_ms"]) <= 2000, "hold_ms is not end - connect")
    else:
        need(row["connect_us"] == 0 and row["hold_ms"] == 0, "not answered, but connect_us %d, hold_ms %d",
             row["connect_us"], row["hold_ms"])
    attempts = json.loads(row["attempts"])
    need(all(set(a) >= {"gateway", "code", "ms"} for a in attempts), "attempts: %s", row["attempts"])
    need(tried is None or [(a["gateway"], a["code"]) for a in attempts] == tried, "attempts are %s, not %s",
         row["attempts"], tried)
