"""The torture collection and what a UDP B2BUA must answer to it.

tests/torture/answers.tsv has a row a file: the port to send from (the Vias bear no rport, so the answer goes to the
sent-by port), and the answers that are right.  ACCEPT is any final response that is no verdict on the syntax; DROP is
silence; ANY is anything, as long as no harm is done.  Where the RFC leaves a choice, all choices stand.
"""

import os
import re

SYNTAX = {400, 505, 513}
ACCEPT, DROP, ANY = "ACCEPT", "DROP", "ANY"
LISTED = ("rfc4475", "rfc4475-udp", "rfc5118-wire")
SEEDS = ("rfc5118", "seeds/sofia", "seeds/kamailio", "seeds/pjsip/fuzz-sip", "seeds/pjsip/fuzz-sip-dialog",
         "seeds/pjsip/fuzz-sdp", "seeds/pjsip/fuzz-uri")

# The second file of a pair has the transaction key of the first: its branch is changed, or the switch would rightly
# take it for a retransmission.
SAME_KEY = {"rfc4475/cparam02.dat", "rfc4475/regescrt.dat", "rfc4475/novelsc.dat", "rfc4475-udp/novelsc.dat"}


def right(code, answers):
    """Whether this code (None: silence) is among the answers."""
    if ANY in answers:
        return True
    if code is None:
        return DROP in answers
    return code in answers or (ACCEPT in answers and code not in SYNTAX)


def expectations():
    """{"rfc4475/wsinv.dat": (5060, {481})}"""
    table = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "torture", "answers.tsv")
    result = {}
    with open(table) as rows:
        for row in list(rows)[1:]:
            folder, name, port, answers = row.rstrip("\n").split("\t")
            result["%s/%s" % (folder, name)] = (int(port), {int(a) if a.isdigit() else a for a in answers.split("|")})
    return result


def listed():
    """(name, port, answers) of the RFCs' own messages."""
    return [(name, port, answers) for name, (port, answers) in expectations().items()
            if name.rpartition("/")[0] in LISTED]


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def jsip(folder):
    """(name, bytes, answers) by the collection's index: what JAIN-SIP takes is no syntax error, what it refuses is."""
    own = expectations()
    with open(os.path.join(folder, "seeds", "jsip", "INDEX.tsv"), encoding="utf-8", errors="replace") as index:
        rows = [line.split("\t") for line in list(index)[1:]]
    for file, _size, refused in (row[:3] for row in rows):
        name = "seeds/jsip/" + file
        raw = read(folder, name)
        if name in own:
            answers = own[name][1]
        elif re.match(rb"(?i)[\r\n]*(SIP/|ACK )", raw):
            answers = {DROP}
        else:
            answers = SYNTAX | {DROP} if refused == "yes" else {ACCEPT}
        yield name, raw, answers


def seeds(folder):
    """(name, bytes, answers) of those of which nothing is known, as they are and with CRLF line ends."""
    for collection in SEEDS:
        for file in sorted(os.listdir(os.path.join(folder, collection))):
            if file.endswith(".tsv"):
                continue
            raw = read(folder, "%s/%s" % (collection, file))
            yield "%s/%s" % (collection, file), raw, {ANY}
            yield "%s/%s with CRLF" % (collection, file), re.sub(rb"(?<!\r)\n", b"\r\n", raw), {ANY}


def with_own_call_id(raw, suffix):
    """Many messages of a collection are of one call flow, and share its Call-ID."""
    return re.sub(rb"(?im)^((?:call-id|i)[ \t]*:[ \t]*[^\s]+)", rb"\1" + suffix.encode(), raw, count=1)


def port_of(raw):
    """Where the answer goes."""
    via = re.search(rb"(?im)^(?:via|v)[ \t]*:[ \t]*SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*\w+[ \t]+"
                    rb"(?:\[[^\]]*\]|[^\s:;,\[]+)[ \t]*(?::[ \t]*(\d+))?", raw)
    port = int(via.group(1)) if via and via.group(1) else 5060
    return port if 0 < port < 65536 else 5060
