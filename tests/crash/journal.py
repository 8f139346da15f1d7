"""The journal's files, read and spoiled while the switch is down (billing/journal.h, billing/queue.c have the layouts)."""

import collections
import glob
import os
import re
import struct

HEAD = struct.Struct("<IIQHHHHQ")  # mark, payload size, checksum, kind, lane, boot, 0, serial
MARK = 0x314C4E4A
CDR, LIVE, CHANGE, CLOSED = 1, 2, 3, 4
SEGMENT, SYNC = 7, 8
PROMISE_AT = 16  # in the payload of a SEGMENT or SYNC: all before that position was on the disk
CALL_ID = re.compile(rb"c[0-9]+@crash-[0-9]+")
REPORT = re.compile(r"event=journal_damaged segment=(\d+) offset=(\d+) bytes=(\d+)")
GARBAGE_MAX = 4096
NAME_BYTES = 32  # of a call, in front of each record about it


class Record:
    def __init__(self, segment, offset, head, payload):
        _, _, _, self.kind, self.lane, self.boot, _, self.serial = head
        self.segment, self.offset, self.payload = segment, offset, payload
        self.end = offset + (HEAD.size + len(payload) + 7) // 8 * 8


class Segment:
    def __init__(self, path):
        self.path = path
        self.number = int(os.path.basename(path).split(".")[0])
        self.size = os.path.getsize(path)
        with open(path, "rb") as file:
            self.records = list(self._read(file.read()))
        self.end = self.records[-1].end if self.records else 0
        self.live = collections.defaultdict(list)  # by the name that they begin with
        for record in self.records:
            if record.kind == LIVE:
                self.live[record.payload[:NAME_BYTES]].append(record)

    def _read(self, data):
        """Up to the first place that holds none; checksums are not looked at, so what flip() has been at is left out: it
        could say that it is of another process, or of another size."""
        offset = 0
        while offset + HEAD.size <= len(data):
            if (self.number, offset) in _spoiled:
                offset = _spoiled[self.number, offset]
                continue
            head = HEAD.unpack_from(data, offset)
            if head[0] != MARK or offset + HEAD.size + head[1] > len(data):
                return
            record = Record(self.number, offset, head, data[offset + HEAD.size:offset + HEAD.size + head[1]])
            yield record
            offset = record.end


_spoiled = {}  # where a record ends whose bytes were changed, by segment and offset
_known = {}  # Segments by path, inode, size and time: reading them all again would keep the switch down for seconds


def _segment(path):
    status = os.stat(path)
    key = path, status.st_ino, status.st_size, status.st_mtime_ns
    if key not in _known:
        _known[key] = Segment(path)
    return key, _known[key]


def segments(data_dir):
    found = dict(map(_segment, glob.glob(os.path.join(data_dir, "**", "*.journal"), recursive=True)))
    for key in [key for key in _known if key not in found and key[0].startswith(data_dir)]:
        del _known[key]
    return sorted(found.values(), key=lambda s: s.number)


# ---- damage ----

class Damage:
    """Bytes of one record were changed."""

    def __init__(self, record, calls):
        self.record = record
        self.calls = calls  # Call-IDs that the record was about

    def reported(self, lines):
        """Whether a line of the log says so: records beside each other are one place."""
        for segment, offset, size in (map(int, found.groups()) for found in map(REPORT.search, lines) if found):
            if segment == self.record.segment and offset <= self.record.offset < offset + size:
                return True
        return False

    def __str__(self):
        return "segment=%d offset=%d, a record of kind %d" % (self.record.segment, self.record.offset, self.record.kind)


def _promised(all_segments):
    """Everything before it had been on the disk: (segment, offset)."""
    best = 0
    for segment in all_segments:
        for record in segment.records:
            if record.kind in (SEGMENT, SYNC) and len(record.payload) >= PROMISE_AT + 8:
                best = max(best, struct.unpack_from("<Q", record.payload, PROMISE_AT)[0])
    return best >> 32, best & 0xFFFFFFFF


def _calls_of(record, all_segments):
    """Call-IDs of the call that a record belongs to: those that any record of the same cdr_id names."""
    found = set(CALL_ID.findall(record.payload))
    if not found and record.kind in (CHANGE, CLOSED):
        for segment in all_segments:
            for other in segment.live.get(record.payload[:NAME_BYTES], ()):
                found |= set(CALL_ID.findall(other.payload))
    return {call.decode() for call in found}


def flip(data_dir, random):
    """Changes bytes of one record that was on the disk.  None: there is no such record."""
    found = segments(data_dir)
    promised = _promised(found)
    candidates = [r for s in found for r in s.records
                  if r.kind in (CDR, LIVE, CHANGE, CLOSED) and (r.segment, r.end) <= promised]
    if not candidates:
        return None
    record = random.choice(candidates)
    damage = Damage(record, _calls_of(record, found))
    path = next(s.path for s in found if s.number == record.segment)
    _spoiled[record.segment, record.offset] = record.end
    with open(path, "r+b") as file:
        for _ in range(random.choice((1, 1, 1, 8))):
            at = record.offset + random.randrange(HEAD.size + len(record.payload))
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << random.randrange(8)]))
    return damage


# ---- the tail ----

def _queue_released(path):
    """Of a queue that a process left: (boot, lane), and the serial of the first record that it still holds."""
    with open(path, "rb") as file:
        head = file.read(192)
    if len(head) < 192:
        return None
    tail, _, at0, serial0, at1, serial1 = struct.unpack_from("<6Q", head, 64)
    boot, lane = struct.unpack_from("<HH", head, 160)
    serial = serial0 if at0 == tail else serial1 if at1 == tail else 0
    return (boot, lane), serial


def _unsynced(all_segments, queues):
    """Segment and offset from which on nothing was promised: a record that is still in a queue was not known to be on
    the disk, and the group that it belongs to came in one write.  Else the end of the last record."""
    kept = dict(filter(None, map(_queue_released, queues)))
    begun = [s for s in all_segments if s.records]
    for segment in begun:
        group = None
        for record in segment.records:
            if record.kind == SYNC:
                group = record.offset
            if kept.get((record.boot, record.lane), record.serial + 1) <= record.serial and record.kind < SEGMENT:
                return segment, record.offset if group is None else group
    return (begun[-1], begun[-1].end) if begun else (None, 0)


def tear(data_dir, queues, random):
    """Cuts the unsynced tail off at a random byte, or writes garbage from there on; 1 if there was anything to tear."""
    found = segments(data_dir)
    segment, start = _unsynced(found, queues)
    if segment is None:
        return 0
    torn = segment.end > start
    at = random.randrange(start, segment.end + 1)
    later = [s for s in found if s.number > segment.number and s.records]
    with open(segment.path, "r+b") as file:
        how = random.choice(("cut", "zeroes", "garbage"))
        if how == "cut":
            file.truncate(at)
        elif how == "zeroes":
            file.seek(at)
            file.write(bytes(max(0, segment.end - at)))
        else:
            file.seek(at)
            size = max(segment.end - at, random.randrange(1, GARBAGE_MAX))
            file.write(random.randbytes(min(size, segment.size - at)))
    for other in later:  # the same write, gone on in the next segment
        with open(other.path, "r+b") as file:
            file.write(bytes(other.end))
    return int(torn)
