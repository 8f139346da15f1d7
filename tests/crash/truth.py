"""What the CDRs say, held against what the peers know.  Times: CLOCK_MONOTONIC of one machine, microseconds."""

import collections

HOLD_US = 20000  # how far hold_ms may be from the truth
NEGLECT_US = 2500000  # of 12 s; the refresh is due when half of them are over
CLOSE_US = 60000  # so close to a death nobody can say on which side of it something happened
STARVED_US = 200000  # a thread that waited for a core is seen to have waited some time afterwards
SHOWN = 5  # failures of a kind that are printed


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, failures, total=None):
        """failures: sentences."""
        failures = list(failures)
        share = "" if total is None else " (%d of %d)" % (len(failures), total) if failures else " (%d)" % total
        print("%s %s%s" % ("FAIL" if failures else "ok", name, share), flush=True)
        for failure in failures[:SHOWN]:
            print("    # " + failure)
        if len(failures) > SHOWN:
            print("    # ... %d more" % (len(failures) - SHOWN))
        if failures:
            self.failed += 1
        else:
            self.passed += 1


class Comparison:
    """truth: by Call-ID; rows: of the cdr table; node: what happened to it when; forgiven: Call-IDs of records that were
    destroyed on purpose."""

    def __init__(self, truth, rows, node, forgiven=(), close=False):
        self.truth = truth
        self.rows = rows
        self.deaths = node.deaths
        self.outages = node.outages
        self.starvation = node.starvation
        self.starved = self.neglected = 0
        self.forgiven = set(forgiven)
        self.close = close
        self.by_call = collections.defaultdict(list)
        for row in rows:
            self.by_call[row["call_id_a"]].append(row)
        self.answered = {call: t for call, t in truth.items() if t["seen"]}

    # ---- what may be different, and why ----

    def _near_machine_death(self, at_us):
        """It may have been on its way to the disk when the machine died."""
        return any(d.machine and -CLOSE_US < d.at_us - at_us < CLOSE_US for d in self.deaths)

    def _may_be_missing(self, call, t):
        return call in self.forgiven or any(map(self._near_machine_death, (t["seen"], t["first_200"])))

    def _was_neglected(self, t):
        """So much of its time the switch was down that refreshes could not come: each start takes them up within 5 s."""
        end = max([bye[1] for bye in self._byes(t)] + [t["a_bye_in"], t["b_bye_in"]])
        down = sum(max(0, min(to, end) - max(begin, t["first_200"])) for begin, to in self.outages)
        return down > NEGLECT_US

    def _was_starved(self, t, row):
        """When its BYE came the switch got no core to look at the time."""
        end = t["first_200"] + row["hold_ms"] * 1000
        nearest = min((bye[0] for bye in self._byes(t)), key=lambda at: abs(at - end))
        return self.starvation.touches(min(nearest, end) - STARVED_US, max(nearest, end) + STARVED_US)

    def _byes(self, t):
        return t["a_byes"] + t["b_byes"]

    def _may_end_otherwise(self, call, t):
        """Its end was heard, and forgotten with the machine."""
        return call in self.forgiven or any(self._near_machine_death(bye[0]) for bye in self._byes(t))

    # ---- checks ----

    def missing(self):
        for call, t in self.answered.items():
            if not self.by_call[call] and not self._may_be_missing(call, t):
                yield "%s: no CDR; answered %s" % (call, self._when(t["seen"]))

    def doubled(self):
        for call, rows in self.by_call.items():
            if len(rows) > 1:
                yield "%s: %d CDRs: %s" % (call, len(rows), ", ".join(
                    "%s %s hold_ms=%d recovered=%d" % (r["cdr_id"], r["end_reason"], r["hold_ms"], r["recovered"])
                    for r in rows))

    def unknown(self):
        for call, rows in self.by_call.items():
            if call not in self.truth:
                yield "%s: %s, of a call that nobody placed" % (rows[0]["cdr_id"], call)

    def _pairs(self):
        """Answered calls with their one CDR."""
        for call, t in self.answered.items():
            if len(self.by_call[call]) == 1:
                yield call, t, self.by_call[call][0]

    def not_connected(self):
        for call, t, row in self._pairs():
            crossed = t["cancelled"] and row["end_reason"] == "cancelled"
            if not row["connect_us"] and not crossed and not self._may_be_missing(call, t):
                yield "%s: answered %s, CDR says %s" % (call, self._when(t["seen"]), row["end_reason"])

    def hold(self):
        """The end is one of the BYEs that a peer sent: it is not known which of them was the first to be heard."""
        for call, t, row in self._pairs():
            if row["end_reason"] != "normal" or not row["connect_us"] or self._may_end_otherwise(call, t):
                continue
            hold = row["hold_ms"] * 1000
            off = min((max(before - t["last_200"] - hold, hold - (after - t["first_200"]), 0)
                       for before, after in self._byes(t)), default=None)
            if off is None:
                yield "%s: normal, hold_ms=%d, and nobody hung up" % (call, row["hold_ms"])
            elif off > HOLD_US and self._was_starved(t, row):
                self.starved += 1
            elif off > HOLD_US:
                yield "%s: hold_ms=%d is %.1f ms off; BYEs %s" % (call, row["hold_ms"], off / 1000, self._show(t))

    def reasons(self):
        """Whatever else than a peer's BYE ended a call must be explained."""
        for call, t, row in self._pairs():
            reason = row["end_reason"]
            if reason == "normal" or not row["connect_us"] or self._may_end_otherwise(call, t):
                continue
            if self.close and reason == "node_crash" and row["recovered"]:
                continue
            # A peer that hung up while the switch was down knows of no dialog when it is asked before its BYE is
            # heard.
            if reason == "dialog_lost" and self._byes(t):
                continue
            if reason == "session_timeout" and self._was_neglected(t):
                self.neglected += 1
                continue
            yield "%s: %s, hold_ms=%d, recovered=%d; BYEs %s" % (
                call, reason, row["hold_ms"], row["recovered"], self._show(t))

    def recovered(self):
        for call, t, row in self._pairs():
            if not row["connect_us"] or call in self.forgiven:
                continue
            first, last, hold = t["first_200"], t["last_200"], row["hold_ms"] * 1000
            through = any(last + CLOSE_US < d.at_us < first + hold - CLOSE_US for d in self.deaths)
            near = any(first - CLOSE_US < d.at_us < last + hold + CLOSE_US for d in self.deaths)
            if through and not row["recovered"] or row["recovered"] and not near and row["end_reason"] == "normal":
                yield "%s: recovered=%d, %s" % (call, row["recovered"], "carried through a death" if through
                                                else "no death in its time")

    def peers(self):
        """What happened to the peers that a switch which never died would have spared them."""
        for call, t in self.answered.items():
            if call in self.forgiven or self._may_be_missing(call, t) or self._may_end_otherwise(call, t):
                continue
            if self._was_neglected(t):
                continue
            for side, other in (("a", "b"), ("b", "a")):
                flags = t[side + "_flags"]
                if flags:
                    yield "%s: side %s: %s; answered %s" % (call, side, " ".join(flags), self._when(t["seen"]))
                if t[side + "_lost"] and not t[other + "_byes"] and not self.close:
                    yield "%s: side %s: %d to its refresh, and nobody had hung up; answered %s" % (
                        call, side, t[side + "_lost"], self._when(t["seen"]))
                if t[side + "_bye_status"] == 408:
                    yield "%s: side %s: no answer to its BYE %s" % (call, side, self._when(t[side + "_byes"][0][0]))

    def unsettled(self):
        for call, t in self.truth.items():
            if not t["settled"]:
                yield "%s: not over for its peers" % call

    def _show(self, t):
        return ", ".join(self._when(bye[0]) for bye in self._byes(t)) or "none"

    def _when(self, at_us):
        """A time, by the death that is nearest."""
        nearest = min((d.at_us for d in self.deaths), key=lambda d: abs(d - at_us), default=None)
        if nearest is None:
            return "at %.3f s" % (at_us / 1e6)
        return "%.1f ms %s a death" % (abs(at_us - nearest) / 1000, "before" if at_us < nearest else "after")

    def run(self, checks):
        total = len(self.answered)
        checks.check("every call answered on the wire has a CDR", self.missing(), total)
        checks.check("no call has two", self.doubled(), len(self.rows))
        checks.check("no CDR without a call", self.unknown(), len(self.rows))
        checks.check("an answered call is connected in its CDR", self.not_connected(), total)
        checks.check("hold_ms within %d ms of a peer's BYE" % (HOLD_US // 1000), self.hold(), total)
        checks.check("calls end as their peers wish", self.reasons(), total)
        checks.check("recovered says who was carried through a death", self.recovered(), total)
        checks.check("peers hear BYE and answers as if nothing had been", self.peers(), total)
        checks.check("no call without end", self.unsettled(), len(self.truth))

    def summary(self):
        reasons = collections.Counter(row["end_reason"] for row in self.rows)
        carried = sum(1 for row in self.rows if row["recovered"])
        refused = collections.Counter(t["refusal"] for t in self.truth.values() if t["refusal"])
        statuses = collections.Counter(t[side + "_bye_status"] for t in self.truth.values() for side in "ab"
                                       if t[side + "_byes"])
        return ["%d calls placed, %d answered, %d CDRs, %d of them carried through a death, %d forgiven" % (
                    len(self.truth), len(self.answered), len(self.rows), carried, len(self.forgiven)),
                "not held to 20 ms, for the machine was too busy: %d; session ended while the switch was down too long: %d" % (
                    self.starved, self.neglected),
                "end_reason: " + _counts(reasons),
                "INVITEs refused with: " + _counts(refused) + "; BYEs answered with: " + _counts(statuses),
                "refreshes of the switch answered: %d, of peers: %d" % tuple(
                    sum(t["a_" + name] + t["b_" + name] for t in self.truth.values())
                    for name in ("refreshes_in", "refreshes_out"))]


def _counts(counter):
    return ", ".join("%s %d" % item for item in counter.most_common()) or "none"
