"""What a UDP B2BUA must answer to the torture messages of RFC 4475.

One row a file: the port to send from (the Vias bear no rport, so the answer goes to the sent-by port), and the answers
that are right.  ACCEPT is any final response that is no verdict on the syntax; DROP is silence.  Where the RFC leaves
a choice, all choices stand.
"""

SYNTAX = {400, 505, 513}
ACCEPT, DROP = "ACCEPT", "DROP"

RFC4475 = {
    "wsinv.dat": (5060, {481}),
    "intmeth.dat": (5060, {501, 404, 405}),
    "esc01.dat": (5060, {ACCEPT}),
    "escnull.dat": (5060, {405, 403, 501, 404}),
    "esc02.dat": (5060, {501, 405}),
    "lwsdisp.dat": (5060, {200, 404, 405}),
    "longreq.dat": (5060, {ACCEPT}),
    "dblreq.dat": (5060, {405, 403}),
    "semiuri.dat": (5060, {200, 404, 405}),
    "transports.dat": (5060, {ACCEPT}),
    "mpart01.dat": (5070, {405, 501, 404, 415, 481}),
    "unreason.dat": (5060, {DROP}),
    "noreason.dat": (5060, {DROP}),
    "badinv01.dat": (5060, {400, DROP}),
    "clerr.dat": (5060, {400}),
    "ncl.dat": (5060, {400, DROP}),
    "scalar02.dat": (5060, {400}),
    "scalarlg.dat": (5060, {DROP}),
    "quotbal.dat": (5050, {400}),
    "ltgtruri.dat": (5060, {400, ACCEPT}),
    "lwsruri.dat": (5060, {400, 481}),
    "lwsstart.dat": (5060, {400, ACCEPT}),
    "trws.dat": (5060, {400, ACCEPT}),
    "escruri.dat": (5060, {400, ACCEPT}),
    "baddate.dat": (5060, {400, ACCEPT}),
    "regbadct.dat": (5060, {400, 405, 403}),
    "badaspec.dat": (5060, {400, ACCEPT}),
    "baddn.dat": (5060, {400, DROP}),
    "badvers.dat": (5060, {505, DROP}),
    "mismatch01.dat": (5060, {400}),
    "mismatch02.dat": (5060, {501, 400}),
    "bigcode.dat": (5060, {DROP}),
    "badbranch.dat": (5060, {400, ACCEPT}),
    "insuf.dat": (5060, {400, DROP}),
    "unkscm.dat": (5060, {416}),
    "novelsc.dat": (5060, {416, 404}),
    "unksm2.dat": (5060, {405, 403, 400}),
    "bext01.dat": (5060, {420}),
    "invut.dat": (5060, {415, 488, ACCEPT}),
    "regaut01.dat": (5060, {405, 403, 401}),
    "multi01.dat": (5060, {400}),
    "mcl01.dat": (5060, {400, DROP}),
    "bcast.dat": (5060, {DROP}),
    "zeromf.dat": (5060, {200, 404, 405, 483}),
    "cparam01.dat": (5060, {405, 403}),
    "cparam02.dat": (5060, {405, 403}),
    "regescrt.dat": (5060, {405, 403}),
    "sdp01.dat": (5060, {406, 400, ACCEPT}),
    "inv2543.dat": (5060, {400, ACCEPT}),
    "test.dat": (5060, {DROP, 400}),
}

# With the missing empty line added, only the display name is wrong.
REPAIRED = {"baddn.dat": (5060, {400, ACCEPT})}

# The second file of a pair (baddn.dat: of its two forms) has the transaction key of the first: its branch is changed, or the switch would rightly
# take it for a retransmission.
SAME_KEY = {"cparam02.dat", "regescrt.dat", "novelsc.dat", "rfc4475-udp/baddn.dat"}


def right(code, answers):
    """Whether this code (None: silence) is among the answers."""
    if code is None:
        return DROP in answers
    return code in answers or (ACCEPT in answers and code not in SYNTAX)
