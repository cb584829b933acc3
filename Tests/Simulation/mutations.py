#!/usr/bin/env python3
"""Breaks the rules one at a time, and sees that the simulation finds out.

Each mutation names a file of Sources/Millstream, a text that is in it once, and what stands there
instead. It is made in a copy of the tree, so that the tree itself is never touched.

  Tests/Simulation/mutations.py [WORD ...]   only those whose name holds one of the words
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / ".build-mutations"
SEEDS = os.environ.get("MILLSTREAM_SEEDS", "3000")

MUTATIONS = [
    ("holes are never held", "Dispatch/Delivery.swift",
     "guard stream.order.allows(id, after: stream.log.tip) else { return .heldBack }", ""),
    ("the holders are asked for after the read", "Dispatch/Dispatcher.swift",
     """    askHolders(ofRead: noted.reads, ofLate: noted.late)
    for stream in noted.reads { stores[stream.store]?.read(stream) }
""",
     """    for stream in noted.reads { stores[stream.store]?.read(stream) }
    askHolders(ofRead: noted.reads, ofLate: noted.late)
"""),
    ("settled though holders remain", "Stream/CommitOrder.swift",
     "if !holders.isEmpty && askedMs", "if holders.count > 1 && askedMs"),
    ("prepared transactions are not asked after", "Stream/CommitOrder.swift",
     'holders?.contains(holder) ?? true || holder.hasPrefix("-1/")',
     "holders?.contains(holder) ?? true"),
    ("a page is not cut at the known tip", "Store/MessageQueries.swift",
     "(Row(result, count - 1).integer(0) ?? .max) > knownTip", "false"),
    ("no gap is told before a page", "Dispatch/Replay.swift",
     "      tellOfGap(connection, backlog, page)\n", ""),
    ("no gap is told in the log", "Store/MessageQueries.swift",
     "    tellOfGap(before: result)\n", ""),
    ("a shared page tells of gaps that are none", "Dispatch/Replay.swift",
     "page.hasBefore || page.frames.hasID(upTo: backlog.cursor)", "page.hasBefore"),
    ("a read after a break does not ask what is left", "Store/MessageStore.swift",
     "stream.order.hold != nil || stream.wasInterrupted", "stream.order.hold != nil"),
    ("a look that was under way counts as an answer", "Dispatch/Placement.swift",
     "(stream.reader.isLooking ? 1 : 0)", "0"),
    ("a look that was under way makes a cursor foreign", "Dispatch/Answers.swift",
     "backlog.questionedAtLook, stream.looksAnswered > askedAt", "backlog.questionedAtLook, askedAt >= 0"),
    ("a reset keeps the old cursor", "Dispatch/Replay.swift",
     "    backlog.cursor = 0\n", ""),
    ("ids that went back are not noticed", "Stream/Stream.swift",
     "return !hasForeignIDs\n", "return false\n"),
    ("own bytes go into the middle of a frame", "Connection/OwnBytes.swift",
     "guard connection.pointee.phase != .closing, detachBegunFrame(of: connection) else { return }",
     "guard connection.pointee.phase != .closing else { return }"),
    ("a log is trimmed under those who stand in it", "Dispatch/Delivery.swift",
     "      moveOutOfLog(connection, stream)\n", ""),
    ("what happens during a question is forgotten", "Stream/StreamReader.swift",
     "    isStale = true\n", ""),
    ("ephemerals are given to those who joined later", "Connection/DueRun.swift",
     "entry.isEphemeral ? position < backlog.joinedAt : entry.id <= backlog.cursor",
     "!entry.isEphemeral && entry.id <= backlog.cursor"),
    ("a partial write counts as a whole one", "Connection/Writer.swift",
     "connection.pointee.position += UInt64(count)\n",
     "connection.pointee.position += UInt64(run.bytes.count)\n"),
    ("a partial write of a run is miscounted", "Connection/Writer.swift",
     "moveTo(run.range.lowerBound + count)", "moveTo(run.range.lowerBound + max(count - 1, 1))"),
    ("pages of a lost session are waited for", "Stream/Stream.swift",
     "    isLateAsked = false\n    requestedPages = []\n", "    isLateAsked = false\n"),
    ("a doubled notification is appended twice", "Dispatch/Delivery.swift",
     "id == stream.log.tip + 1 && epoch == stream.log.epoch",
     "(id == stream.log.tip + 1 || id == stream.log.tip) && epoch == stream.log.epoch"),
    ("what is late has an id", "Store/PGMQHoles.swift", "    message.id = nil\n", ""),
    ("what is late is not asked for", "Dispatch/Holes.swift",
     "    lateSeekers.append(stream)\n", ""),
    ("a reset is not told", "Dispatch/Answers.swift",
     "    writer.sendOwn(\n      ControlFrames.gap(lastSeen: lastSeen, oldest: nil, reason: \"reset\"),"
     " to: connection)\n", ""),
    ("nobody asks to be told when a socket has room", "Connection/Writer.swift",
     "    setEvents(of: connection, [.readable, .writable])\n", ""),
    ("streams are never looked at for safety", "Dispatch/Schedule.swift",
     "    lookForSafety(intervalMs)\n", ""),
    ("a new session does not read what came meanwhile", "Dispatch/Dispatcher.swift",
     "      stream.questionsLost()\n      perform(stream.reader.lookWanted(), on: stream)\n",
     "      stream.questionsLost()\n"),
    ("frames for some are sent to all", "Connection/DueRun.swift",
     "    if audience.excluded == connection.pointee.id { return false }\n", ""),
    ("backlogs are kept for ever", "Connection/Writer.swift",
     "      calls.close(connection.pointee.descriptor)\n      dropBacklog(of: connection)\n"
     "      table.free(connection)",
     "      calls.close(connection.pointee.descriptor)\n      table.free(connection)"),
    ("from now on begins above an open hole", "Dispatch/Holes.swift",
     "let outcome = stream.order.holdersFound(\n      holders, nowMs: nowMs,"
     " longestWaitMs: Dispatcher.longestFirstLookMs)",
     "let outcome = stream.order.holdersFound(\n      [], nowMs: nowMs,"
     " longestWaitMs: Dispatcher.longestFirstLookMs)"),
    ("the open holes are not looked for", "Store/PGMQHoles.swift",
     "      finding.tip = min(finding.tip, low - 1)\n", "      _ = low\n"),
]


def make_copy():
    """The library and the simulation alone: nothing else has to be built each time."""
    COPY.mkdir(exist_ok=True)
    for name in ("Sources", "Tests/Simulation"):
        shutil.copytree(ROOT / name, COPY / name, dirs_exist_ok=True)
    package = (ROOT / "Package.swift").read_text()
    kept = re.sub(r'    // The benchmark.*?(?=    \.testTarget\(\n)', "", package, flags=re.S)
    kept = re.sub(r'    \.executableTarget\(.*?\n    \),\n', "", kept, flags=re.S)
    kept = re.sub(r'    \.executable\(.*\n', "", kept)
    kept = re.sub(r'    \.testTarget\(name: .*\n', "", kept)
    (COPY / "Package.swift").write_text(re.sub(r".*argument-parser.*\n", "", kept))


def run(arguments, seconds):
    try:
        done = subprocess.run(
            arguments, cwd=COPY, capture_output=True, text=True, timeout=seconds,
            env={**os.environ, "MILLSTREAM_SEEDS": SEEDS, "MILLSTREAM_FIRST_FAILURE": "1"})
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return 1, "it never ends"


def verdict():
    """What caught it; None: nothing. A mutation that does not compile is a fault of the list."""
    code, text = run(["swift", "build", "--build-tests"], 900)
    if code:
        sys.exit("\n".join(line for line in text.splitlines() if "error" in line)[:2000])
    code, text = run(["swift", "test", "--skip-build", "--filter", "^SimulationTests"], 600)
    if code == 0:
        return None
    found = re.search(r"seed \d+, step.*|crashed in seed \d+|it never ends", text)
    return found.group() if found else "unclear: " + text[-300:]


def main():
    words = sys.argv[1:]
    make_copy()
    missed = 0
    for name, file, text, replacement in MUTATIONS:
        if words and not any(word in name for word in words):
            continue
        path = COPY / "Sources/Millstream" / file
        original = path.read_text()
        if original.count(text) != 1:
            print(f"STALE       {name}: its text is {original.count(text)} times in {file}", flush=True)
            missed += 1
            continue
        began = time.monotonic()
        path.write_text(original.replace(text, replacement))
        try:
            caught = verdict()
        finally:
            path.write_text(original)
        missed += caught is None
        print(f"{'caught' if caught else 'NOT CAUGHT':10}  {name}: {(caught or '')[:130]}"
              f" ({time.monotonic() - began:.0f} s)", flush=True)
    sys.exit(1 if missed else 0)


main()
