#!/usr/bin/env python3
"""Breaks the rules one at a time, and sees that the simulation finds out.

Each mutation names a file of Sources/Millstream, a text that is in it once, and what stands there
instead: whole lines, or an expression. All of them are made in one copy of the tree, each behind a
condition, so that there is one build; the tree itself is never touched. It is built with optimization, as
the seeds then take a fifth of the time.

  Tests/Simulation/mutations.py [WORD ...]   only those whose name holds one of the words

MILLSTREAM_SEEDS: how many seeds each of them gets, at most.
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
     "stream.order.allows(id, after: stream.log.tip)",
     "true"),
    ("settled though holders remain", "Stream/CommitOrder.swift",
     "!holders.isEmpty && max(askedMs - sinceMs, 0) < longestWaitMs",
     "holders.count > 1 && max(askedMs - sinceMs, 0) < longestWaitMs"),
    ("prepared transactions are not asked after", "Stream/CommitOrder.swift",
     "holders?.contains(holder) ?? true || holder.hasPrefix(\"-1/\")",
     "holders?.contains(holder) ?? true"),
    ("a page is not cut at the known tip", "Store/PageRead.swift",
     "rows.id(count - 1) > knownTip",
     "false"),
    ("no gap is told before a page", "Dispatch/Replay.swift",
     "    tellOfGap(connection, backlog, page)\n",
     ""),
    ("no gap is told in the log", "Store/LogRead.swift",
     "    tellOfGap(before: rows)\n",
     ""),
    ("a shared page tells of gaps that are none", "Dispatch/Replay.swift",
     "page.hasBefore || page.frames.hasID(upTo: backlog.cursor)",
     "page.hasBefore"),
    ("a read after a break does not ask what is left", "Store/PostgresStore.swift",
     "stream.order.hold != nil || stream.wasInterrupted",
     "stream.order.hold != nil"),
    ("what is held back is left with the last client", "Dispatch/Schedule.swift",
     "stream.isKept",
     "stream.subscriberCount > 0"),
    ("who waits is let in with the first refusal", "Dispatch/Answers.swift",
     "!stream.wasRefused",
     "false"),
    ("a closed stream goes on among others", "Connection/Dismissal.swift",
     "    carrier.remove(lane)\n    end(lane.connection, reason)\n",
     ""),
    ("a closed stream that holds a page keeps it", "Dispatch/Placement.swift",
     "backlog.lane != nil",
     "false"),
    ("a closed stream leaves a frame half sent", "Connection/Dismissal.swift",
     "    detachBegunFrame(of: carrier.connection)\n",
     ""),
    ("a stream that was closed alone is forgotten", "Connection/Carrier.swift",
     "    if let position = lane.position { ended.append((lane.key, position)) }\n",
     ""),
    ("who is closed is told in the middle of a frame", "Connection/Dismissal.swift",
     "    detachBegunFrame(of: connection)\n",
     ""),
    ("a look that was under way counts as an answer", "Dispatch/Placement.swift",
     "stream.reader.isLooking ? 1 : 0",
     "0"),
    ("a look that was under way makes a cursor foreign", "Dispatch/Answers.swift",
     "stream.looksAnswered > askedAt",
     "askedAt >= 0"),
    ("a reset keeps the old cursor", "Dispatch/Replay.swift",
     "    backlog.cursor = 0\n",
     ""),
    ("ids that went back are not noticed", "Stream/Stream.swift",
     "    return !hasForeignIDs\n",
     "    return false\n"),
    ("own bytes go into the middle of a frame", "Connection/Writer+OwnBytes.swift",
     "    detachBegunFrame(of: connection)\n",
     ""),
    ("a log is trimmed under those who stand in it", "Dispatch/Delivery.swift",
     "    for connection in standing(in: stream, before: start) { moveOutOfLog(connection, stream) }\n",
     "    _ = start\n"),
    ("what happens during a question is forgotten", "Stream/StreamReader.swift",
     "    isStale = true\n",
     ""),
    ("ephemerals are given to those who joined later", "Connection/DueRun.swift",
     "position < backlog.ephemeralsFrom",
     "false"),
    ("a partial write counts as more than it was", "Connection/Writer.swift",
     "      connection.pointee.position += UInt64(count)\n",
     "      connection.pointee.position += UInt64(count) + 1\n"),
    ("a partial write of a run is miscounted", "Connection/Writer.swift",
     "      moveTo(run.range.lowerBound + count)\n",
     "      moveTo(run.range.lowerBound + max(count - 1, 1))\n"),
    ("a doubled notification is appended twice", "Dispatch/Delivery.swift",
     "id == stream.log.tip + 1 && epoch == stream.log.epoch",
     "(id == stream.log.tip + 1 || id == stream.log.tip) && epoch == stream.log.epoch"),
    ("what is late has an id", "Store/PGMQHoles.swift",
     "    message.id = nil\n",
     ""),
    ("what is late is not asked for", "Dispatch/Holes.swift",
     "    lateSeekers.append(stream)\n",
     ""),
    ("a reset is not told to those who are behind", "Dispatch/Answers.swift",
     "    writer.sendOwn(Dispatcher.resetFrame(lastSeen: lastSeen), to: connection)\n",
     ""),
    ("a reset is not told in the log", "Dispatch/Answers.swift",
     "    stream.log.appendReset(Dispatcher.resetFrame(lastSeen: lastSeen))\n",
     ""),
    ("whoever leaves the log before a reset is not told of it", "Dispatch/Delivery.swift",
     "      writer.sendOwn(reset.frame, to: connection)\n",
     "      _ = reset\n"),
    ("nobody asks to be told when a socket has room", "Connection/Writer+Readiness.swift",
     "    setEvents(of: connection, [.readable, .writable])\n",
     ""),
    ("streams are never looked at for safety", "Dispatch/Schedule.swift",
     "    lookForSafety(intervalMs)\n",
     ""),
    ("a new session does not read what came meanwhile", "Dispatch/Dispatcher.swift",
     "      remindOfLate(stream)\n"
     "      perform(stream.reader.lookWanted(), on: stream)\n",
     "      remindOfLate(stream)\n"),
    ("frames for some are sent to all", "Connection/DueRun.swift",
     "audience.isNobody || audience.excluded == connection.pointee.id",
     "audience.isNobody"),
    ("backlogs are kept for ever", "Connection/Writer.swift",
     "      leaving(connection)\n"
     "      closeSocket(of: connection)\n"
     "      dropBacklog(of: connection)\n",
     "      leaving(connection)\n"
     "      closeSocket(of: connection)\n"),
    ("from now on begins above an open hole", "Dispatch/Holes.swift",
     "stream.order.holdersFound(\n"
     "      holders, askedMs: nowMs, answeredMs: nowMs, longestWaitMs: Dispatcher.longestFirstLookMs)",
     "stream.order.holdersFound(\n"
     "      [], askedMs: nowMs, answeredMs: nowMs, longestWaitMs: Dispatcher.longestFirstLookMs)"),
    ("the open holes are not looked for", "Store/PGMQHoles.swift",
     "      finding.tip = min(finding.tip, low - 1)\n",
     "      _ = low\n"),
    ("what comes after the read counts as settled", "Stream/CommitOrder.swift",
     "    settledThrough = max(settledThrough, held.through)\n",
     "    settledThrough = max(settledThrough, held.through + 1_000)\n"),
    ("what is late is given twice to those who join", "Connection/DueRun.swift",
     "position < backlog.joinedAt",
     "false"),
    ("a refused page is waited for", "Dispatch/Answers.swift",
     "    if let page { stream.requestedPages.remove(page) } else { stream.reader.failed() }\n",
     "    if page == nil { stream.reader.failed() }\n"),
    ("a heartbeat goes into the middle of a frame", "Connection/Writer+OwnBytes.swift",
     "    guard !connection.pointee.isBlocked else { return }\n",
     ""),
    ("whoever leaves the log keeps no rest of its frame", "Dispatch/Delivery.swift",
     "    writer.detachBegunFrame(of: connection)\n",
     ""),
    ("whoever begins anew keeps no rest of its frame", "Dispatch/Replay.swift",
     "    writer.detachBegunFrame(of: connection)\n",
     ""),
    ("a kept page is not cleared with its stream", "Dispatch/Answers.swift",
     "    pageShelf.drop(of: stream)\n",
     ""),
    ("hub: a loop's streams are not marked", "Loops/RemoteListener.swift",
     "    link.streams.add(name)\n",
     ""),
    ("hub: what was dropped is not looked for", "Loops/ListenerHub.swift",
     "(heard.isEmpty ? [] : [.listening(heard)])",
     "[]"),
    ("hub: a loop is not told that its channels are back", "Loops/RemoteListener.swift",
     "    if !current.isEmpty { listening(current) }\n",
     ""),
    ("lanes: the cursor of a lane is not moved", "Connection/LaneWriter.swift",
     "entry.kind == .stored",
     "false"),
    ("lanes: the cursor is moved too early", "Connection/LaneWriter.swift",
     "entry.id",
     "chunk.entries.last?.id ?? entry.id"),
    ("lanes: the epoch is left out of the cursor", "Connection/LaneWriter.swift",
     "stream.log.epoch",
     "nil"),
    ("lanes: a lane with more to send is not served again", "Connection/LaneWriter.swift",
     "      if copy(from: lane, to: backlog) { note(lane) }\n",
     "      _ = copy(from: lane, to: backlog)\n"),
    ("lanes: a lane is not noted while its carrier waits", "Connection/LaneWriter.swift",
     "    if let lane = backlog.lane { note(lane) }\n",
     "    if let lane = backlog.lane, !lane.carrier.connection.pointee.isBlocked { note(lane) }\n"),
    ("lanes: others go into the middle of a large frame", "Connection/LaneWriter.swift",
     "    if let lane = carrier.begun { return sendRest(of: lane) }\n",
     "    if let lane = carrier.begun, carrier.due.isEmpty { return sendRest(of: lane) }\n"),
    ("lanes: the beginning of a large frame comes twice", "Connection/LaneWriter.swift",
     "offset + rest.startIndex + LaneWriter.beginningBytes",
     "offset + rest.startIndex + LaneWriter.beginningBytes - 1"),
    ("lanes: own bytes go into the middle of a large frame", "Connection/LaneWriter.swift",
     "backlog.lane == nil || backlog.lane === lane",
     "backlog.lane === lane"),
    ("lanes: a reset does not move the cursor when it is told in the log", "Connection/LaneWriter.swift",
     "      lane.beganAnew()\n",
     ""),
    ("lanes: a reset does not move the cursor when it is told apart", "Dispatch/Answers.swift",
     "    writer.backlog(of: connection)?.lane?.beganAnew()\n",
     ""),
    ("lanes: whoever leaves the log before a reset keeps its cursor", "Dispatch/Delivery.swift",
     "      backlog.lane?.beganAnew()\n",
     ""),
    ("lanes: something goes before the opening", "Connection/LaneWriter.swift",
     "    guard lane.carrier.isOpen else { return }\n",
     ""),
    ("lanes: it opens before all is known", "Connection/Carrier.swift",
     "openedCount == lanes.count",
     "openedCount > 0"),
    ("lanes: it opens before its patterns were listed", "Connection/Carrier.swift",
     "unlistedCount == 0",
     "true"),
    ("lanes: the place of one is not known when it opens", "Dispatch/Carriers.swift",
     "    lane.begins(at: backlog, in: stream)\n",
     ""),
    ("lanes: where from now on is does not get into the cursor", "Dispatch/Placement.swift",
     "      backlog.lane?.begins(at: backlog, in: stream)\n",
     ""),
    ("lanes: a stream that begins anew while they wait is from now on", "Dispatch/Placement.swift",
     "      backlog.hasReceived = stream.reader.isKnown\n",
     ""),
    ("lanes: two have a page", "Connection/Carrier.swift",
     "carrier.isOpen && carrier.pageHolder == nil",
     "carrier.isOpen"),
    ("lanes: whoever has sent its page lets nobody else have one", "Dispatch/Carriers.swift",
     "    lane.carrier.pageHolder = nil\n",
     ""),
    ("lanes: nobody comes by those who wait for a page", "Dispatch/Carriers.swift",
     "      queueTurn(other.connection)\n",
     "      _ = other\n"),
    ("lanes: a log is trimmed under a lane of a slow client", "Dispatch/Delivery.swift",
     "      found += carrier.lanes.map(\\.connection).filter(stands)\n",
     "      _ = carrier\n"),
    ("lanes: they stay when their carrier goes", "Connection/Writer.swift",
     "    for lane in backlog?.carrier?.close() ?? [] { end(lane.connection, reason) }\n",
     "    _ = backlog\n"),
    ("patterns: what is new is not followed", "Dispatch/Patterns.swift",
     "          join(follower, name, key)\n",
     "          _ = key\n"),
    ("patterns: what is new begins from now on", "Dispatch/Patterns.swift",
     "patterns.request(for: name, key, of: carrier)",
     "follower.isListed ? .none : patterns.request(for: name, key, of: carrier)"),
    ("patterns: of two that fit, the one that was asked for first decides", "Dispatch/PatternTable.swift",
     "request != .none",
     "true"),
    ("patterns: what came while the client was away is left out", "Dispatch/PatternTable.swift",
     "isListed || isResumed",
     "isListed"),
    ("patterns: the cursor does not count", "Dispatch/PatternTable.swift",
     "      if let position = cursor?[key] { return .after(id: position.id, epoch: position.epoch) }\n",
     ""),
    ("patterns: what is heard before the list has come is forgotten", "Dispatch/PatternTable.swift",
     "      heard.insert(name)\n",
     "      _ = name\n"),
    ("patterns: a list that was lost is not asked for again", "Dispatch/Dispatcher.swift",
     "    lateSeekers = []\n    listPatternsAgain()\n",
     "    lateSeekers = []\n"),
    ("patterns: the cursor does not tell of them", "Connection/Carrier.swift",
     "      encoder.append(pattern.key, CursorVector.Position(id: 0, epoch: nil), to: &bytes)\n",
     "      _ = pattern\n"),
    ("patterns: they are followed after their end", "Dispatch/Patterns.swift",
     "    patterns.remove(carrier)\n",
     ""),
    ("patterns: what has brought a stream here is not for it", "Dispatch/Patterns.swift",
     "    lane.hearsFrom = stream.log.end\n",
     ""),
]


def make_copy():
    """The library and the simulation alone: nothing else has to be built."""
    COPY.mkdir(exist_ok=True)
    for name in ("Sources", "Tests/Simulation"):
        refresh(ROOT / name, COPY / name)
    package = (ROOT / "Package.swift").read_text()
    kept = re.sub(r'    // The benchmark.*?(?=    \.testTarget\(\n)', "", package, flags=re.S)
    kept = re.sub(r'    \.executableTarget\(.*?\n    \),\n', "", kept, flags=re.S)
    kept = re.sub(r'    \.executable\(.*\n', "", kept)
    kept = re.sub(r'    \.testTarget\(name: .*\n', "", kept)
    (COPY / "Package.swift").write_text(re.sub(r".*argument-parser.*\n", "", kept))


def refresh(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def mutate():
    """Makes all of them at once. Returns what is wrong with those that do not apply."""
    places, stale = {}, {}
    for number, (_, file, text, replacement) in enumerate(MUTATIONS, 1):
        count = (COPY / "Sources/Millstream" / file).read_text().count(text)
        if count == 1:
            places.setdefault(file, []).append((text, conditional(number, text, replacement)))
        else:
            stale[number] = f"its text is {count} times in {file}"
    for file, changes in places.items():
        path = COPY / "Sources/Millstream" / file
        original = path.read_text()
        # From the end on, so that what is made of one is not searched for the next.
        for text, changed in sorted(changes, key=lambda change: -original.index(change[0])):
            at = original.index(text)
            original = original[:at] + changed + original[at + len(text):]
        path.write_text(original)
    (COPY / "Sources/Millstream/Mutation.swift").write_text("""\
        import Glibc

        private let activeMutation = getenv("MILLSTREAM_MUTATION").map { atoi($0) } ?? 0

        @inline(never) func isMutated(_ number: Int32) -> Bool { number == activeMutation }
        """)
    return stale


def conditional(number, text, replacement):
    if text.endswith("\n"):
        return f"if isMutated({number}) {{\n{replacement}}} else {{\n{text}}}\n"
    return f"(isMutated({number}) ? ({replacement}) : ({text}))"


def run(arguments, seconds, mutation=0):
    """The whole group goes where it takes too long: the tests are a child of `swift test`."""
    variables = {"MILLSTREAM_SEEDS": SEEDS, "MILLSTREAM_FIRST_FAILURE": "1",
                 "MILLSTREAM_MUTATION": str(mutation), "SWIFT_DETERMINISTIC_HASHING": "1"}
    process = subprocess.Popen(
        arguments, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **variables}, start_new_session=True)
    try:
        return process.communicate(timeout=seconds)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return "it never ends", 1


def verdict(number):
    """What catches it; None: nothing."""
    text, code = run(
        ["swift", "test", "--skip-build", "--filter", "^SimulationTests"], 600, number)
    if code == 0:
        return None
    found = re.search(r"seed \d+, step.*|crashed in seed \d+|it never ends", text)
    return found.group() if found else "unclear: " + text[-300:]


def build():
    text, code = run(["swift", "build", "--build-tests", "-Xswiftc", "-O"], 1800)
    if code:
        errors = dict.fromkeys(line for line in text.splitlines() if ": error: " in line)
        sys.exit("\n".join(errors))
    if verdict(0):
        sys.exit("the simulation fails without any mutation")


def main():
    words = sys.argv[1:]
    make_copy()
    stale = mutate()
    build()
    missed = 0
    for number, (name, *_) in enumerate(MUTATIONS, 1):
        if words and not any(word in name for word in words):
            continue
        began = time.monotonic()
        if number in stale:
            result, caught = "STALE", stale[number]
        else:
            caught = verdict(number)
            result = "caught" if caught else "NOT CAUGHT"
        missed += result != "caught"
        print(f"{result:10}  {name}: {(caught or '')[:130]}"
              f" ({time.monotonic() - began:.0f} s)", flush=True)
    sys.exit(1 if missed else 0)


main()
