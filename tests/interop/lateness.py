"""How late the switch may be where a scenario looks at the clock: on 2 shared cores a thread waits its turn, and
instrumented by a sanitizer each turn takes several times as long."""

allowed_s = 0.05
instrumented = False

INSTRUMENTED_S = 0.25
MARKS = (b"__asan_init", b"__tsan_init")


def set_for(binary):
    """Whether it is instrumented."""
    global allowed_s, instrumented
    with open(binary, "rb") as file:
        text = file.read()
    instrumented = any(mark in text for mark in MARKS)
    if instrumented:
        allowed_s = INSTRUMENTED_S
    return instrumented
