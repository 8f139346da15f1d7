"""The switches that scenarios run on: one process each, with its own parameters."""

PROFILES = {
    # The parameters as an operator has them, but T1 = 200 ms, so that what lasts 64*T1 is over in 13 s.
    "main": dict(parameters={"RW_SIP_T1": 200, "SERVER_BILLING_RECORD_ILLEGAL_CALL": "off"}, drained_s=30),
    # 64*T1 in 1.3 s, and strangers get no answer.
    "quick": dict(parameters={"RW_SIP_T1": 20, "SS_REPLY_UNAUTHORIZED": "off",
                              "SS_SIP_RESEND_INTERVAL": '"0.05,0.1,0.2,0.4"'}, drained_s=12),
    # A call goes on to the next gateway after ringing and after early media too.
    "failover": dict(parameters={"RW_SIP_T1": 100, "SS_GATEWAY_SWITCH_UNTIL_CONNECT": "on",
                                 "SS_SIP_STOP_SWITCH_AFTER_SDP": "off"}, drained_s=20),
    # Session timers in seconds instead of minutes.
    "timers": dict(parameters={"RW_SIP_T1": 100, "RW_SIP_MIN_SE": 2, "SS_SIP_SESSION_TTL": 4,
                               "SS_SIP_NO_TIMER_REINVITE_INTERVAL": 5}, drained_s=30),
    # A last refresh at the end of the window, 2 s for its answer, and windows of four parts.
    "timers_grace": dict(parameters={"RW_SIP_T1": 100, "RW_SIP_MIN_SE": 2, "SS_SIP_SESSION_TTL": 4,
                                     "SS_SIP_SESSION_UPDATE_SEGMENT": 4,
                                     "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP": 2}, drained_s=30),
    # OPTIONS on legs without timers, and no call beyond 6 s.
    "timers_probe": dict(parameters={"RW_SIP_T1": 100, "RW_SIP_MIN_SE": 2, "SS_SIP_SESSION_TTL": 4,
                                     "RW_NO_TIMER_PROBE_INTERVAL": 1, "RW_MAX_CALL_DURATION": 6,
                                     "SS_SIP_NO_TIMER_REINVITE_INTERVAL": 0}, drained_s=30),
    # Fees of four decimals.
    "billing": dict(parameters={"RW_SIP_T1": 100, "RW_SIP_MIN_SE": 4, "SS_SIP_SESSION_TTL": 6,
                                "SERVER_BILLING_FEE_PRECISION": 4}, drained_s=30),
    # Connections beside datagrams; idle ones go soon.
    "tcp": dict(parameters={"RW_SIP_T1": 100, "RW_SIP_MIN_SE": 2, "SS_SIP_SESSION_TTL": 4}, drained_s=30,
                more=dict(with_tcp=True, keys={"max_connections": 600, "max_connections_per_source": 120})),
}
