"""Many live calls, one death: how soon are they served again?"""

import time

from generator import Generator
from node import Node, now_us
from rounds import wind_up
from truth import Checks, Comparison

PLACING_S = 600.0
ANSWERS_S = 60.0


def bring_up(generator, count):
    deadline = time.monotonic() + PLACING_S
    up = 0
    while time.monotonic() < deadline:
        placed, settled, up = generator.count()
        if placed >= count and up + settled >= count:
            break
        time.sleep(0.5)
    return up


def wait_answers(generator):
    """Until all that were asked after have answered: asked, answered, refused, first_us, last_us."""
    deadline = time.monotonic() + ANSWERS_S
    while True:
        result = tuple(map(int, generator.tell("probed")))
        asked, answered = result[:2]
        if (asked > 1 and answered == asked) or time.monotonic() > deadline:
            return result
        time.sleep(0.05)


def run(options):
    checks = Checks()
    node, generator = Node(options), None
    node.launch()
    try:
        generator = Generator(options, node, calls=options.live, plain=True, hold="36000:36000",
                              rate=max(options.rate, 1000.0))
        if not node.wait_serving():
            checks.check("the switch starts", [node.log_tail(3)])
            return checks
        up = bring_up(generator, options.live)
        enough = up >= options.live * 0.999  # a busy machine loses datagrams
        checks.check("%d calls are up" % options.live, [] if enough else ["%d are" % up])
        time.sleep(1)
        if options.keep_calls:
            ended = node.stop_keeping_calls()
        else:
            ended = node.kill()
        checks.check("it ends", [] if ended else [node.log_tail(3)])
        generator.tell("probe %d" % options.probe)
        node.launch()
        asked, answered, refused, first_us, last_us = wait_answers(generator)
        exec_us, answered_us = node.starts[-1], now_us()
        first_s, last_s = (first_us - exec_us) / 1e6, (last_us - exec_us) / 1e6
        print("%d live calls: the first answer %.3f s after exec, %d of %d after %.3f s, %d refused (looked at %.1f s)" % (
            up, first_s, answered, asked, last_s, refused, (answered_us - exec_us) / 1e6))
        checks.check("served again within %.1f s" % options.limit_s,
                     [] if 0 < first_s <= options.limit_s else ["%.3f s" % first_s])
        checks.check("%d random calls answered within %.1f s" % (asked, options.limit_s),
                     [] if answered == asked and not refused and last_s <= options.limit_s else
                     ["%d of %d answered, %d refused, %.3f s" % (answered, asked, refused, last_s)])
        generator.tell("hangup %.1f" % max(5.0, up / 2000.0))
        truth, rows = wind_up(node, generator, checks, 120.0 + up / 1000.0)
    finally:
        node.stop()
        if generator:
            generator.discard()
    comparison = Comparison(truth, rows, node, (), options.close)
    comparison.run(checks)
    for line in comparison.summary():
        print(line)
    return checks
