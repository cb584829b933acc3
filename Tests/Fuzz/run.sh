#!/bin/sh
# Fuzzes what reads bytes from outside, and what browsers read: run.sh [SECONDS [TARGET...]]
#
# SECONDS (60 by default) are shared by the targets. The sources under test are compiled straight
# into the fuzzers, with libFuzzer and AddressSanitizer from the Swift toolchain. What it finds is
# kept in .build/fuzz/TARGET (FUZZ_DIR), where the next run goes on; a crash is a non-zero exit,
# and the input that led to it is named.
set -eu

cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- RequestParser SignedNames NotificationPayload Names FrameWriter NotifiedFrame \
  Tokens Settings StreamSet Addresses Authorization Presence Controls Tail Top
work=${FUZZ_DIR:-.build/fuzz}
mkdir -p "$work"

# Everything in these folders that does no I/O; ConnectionID holds the hexadecimal digits.
sources="
  Sources/Millstream/HTTP/ASCII.swift Sources/Millstream/HTTP/Base64.swift
  Sources/Millstream/HTTP/HexadecimalBytes.swift Sources/Millstream/HTTP/PercentEncoding.swift
  Sources/Millstream/HTTP/RequestFields.swift Sources/Millstream/HTTP/RequestHead.swift
  Sources/Millstream/HTTP/RequestLine.swift Sources/Millstream/HTTP/RequestParser.swift
  Sources/Millstream/HTTP/SecretsFile.swift Sources/Millstream/HTTP/SignedEnvelope.swift
  Sources/Millstream/HTTP/SignedNames.swift Sources/Millstream/HTTP/StreamPattern.swift
  Sources/Millstream/HTTP/Timestamp.swift Sources/Millstream/Store/JSONMembers.swift
  Sources/Millstream/Store/JSONScanner.swift Sources/Millstream/Store/JSONString.swift
  Sources/Millstream/Store/JSONValue.swift Sources/Millstream/Store/NotificationPayload.swift
  Sources/Millstream/Store/QueueName.swift Sources/Millstream/Store/UTF8Sequence.swift
  Sources/Millstream/Stream/ConnectionID.swift Sources/Millstream/Stream/CursorRequest.swift
  Sources/Millstream/Stream/FrameWriter.swift Sources/Millstream/Stream/Message.swift
  Sources/Millstream/Stream/CursorVector.swift Sources/Millstream/Stream/Chunk.swift Sources/Millstream/Stream/StreamMessage.swift
  Sources/Millstream/Store/JSONElements.swift Sources/Millstream/HTTP/HTTPResponse.swift
  Sources/Millstream/Limits/ConnectionLimits.swift Sources/Millstream/Presence/MemberMetadata.swift
  Sources/Millstream/Token/Base64URL.swift Sources/Millstream/Token/CompactToken.swift
  Sources/Millstream/Token/JSONWebKeys.swift Sources/Millstream/Token/PEMKeys.swift
  Sources/Millstream/Token/RequestToken.swift Sources/Millstream/Token/TokenAlgorithm.swift
  Sources/Millstream/Token/TokenClaims.swift Sources/Millstream/Token/TokenKey.swift
  Sources/Millstream/Token/TokenKeyError.swift Sources/Millstream/Token/TokenRefusal.swift
  Sources/Millstream/Token/TokenVerifier.swift
  Sources/Millstream/HTTP/StreamSetQuery.swift Sources/millstream/Settings/TOMLCharacters.swift
  Sources/Millstream/ConfigurationError.swift Sources/Millstream/Connection/ConnectionContext.swift
  Sources/Millstream/HTTP/AuthorizationAnswer.swift Sources/Millstream/HTTP/Permission.swift
  Sources/Millstream/HTTP/SocketAddress.swift Sources/Millstream/Limits/ForwardedFor.swift
  Sources/Millstream/Limits/NetworkAddress.swift Sources/Millstream/Limits/TrustedProxy.swift
  Sources/Millstream/Presence/PresenceKey.swift Sources/Millstream/Presence/PresenceQuestion.swift
  Sources/Millstream/Store/ControlReading.swift Sources/Millstream/Stream/StoreKind.swift
  Sources/Millstream/Stream/StreamIdentity.swift Sources/millstream/Status/AdminHosts.swift
  Sources/millstream/Tail/EventPrinter.swift Sources/millstream/Tail/EventStreamParser.swift
  Sources/millstream/PrintableText.swift Sources/millstream/StandardStreams.swift
  Sources/millstream/Tail/ResponseHead.swift
  Sources/millstream/Top/Figures.swift Sources/millstream/Top/JSONTree.swift
  Sources/millstream/Top/StatusReport.swift Sources/millstream/Top/TopScreen.swift
  Sources/millstream/Settings/TOMLParser.swift Sources/millstream/Settings/TOMLSetting.swift Tests/Fuzz/BrowserParser.swift"

# Checked arithmetic and debug preconditions stay on: -O is for speed, not for silence.
compile() {
  swiftc -O -enforce-exclusivity=checked -swift-version 6 -parse-as-library -assert-config Debug \
    -use-ld=lld -sanitize=fuzzer,address -I Sources/CLibCrypto -package-name millstream "$@"
}

# What is tested is compiled once, also what is the command's: it imports the module that it is then in.
# shellcheck disable=SC2086
compile -enable-testing -wmo -module-name Millstream -emit-module-path "$work/Millstream.swiftmodule" \
  -c $sources -o "$work/Millstream.o"
for target in "$@"; do
  compile -I "$work" -module-name "$target" "Tests/Fuzz/${target}Fuzz.swift" "$work/Millstream.o" \
    -o "$work/$target.fuzzer"
done

share=$((seconds / $#))
[ "$share" -gt 0 ] || share=1
for target in "$@"; do
  mkdir -p "$work/$target"
  echo "== $target for $share s"
  "$work/$target.fuzzer" -max_total_time="$share" -max_len=20000 -len_control=20 -timeout=10 \
    -rss_limit_mb=1024 -verbosity=1 -print_final_stats=1 -dict="Tests/Fuzz/fuzz.dict" \
    -artifact_prefix="$work/$target-" "$work/$target" "Tests/Fuzz/seeds/$target" \
    >"$work/$target.log" 2>&1 || {
    tail -n 40 "$work/$target.log"
    echo "$target failed; the log is $work/$target.log"
    exit 1
  }
  grep -E "DONE|number_of_executed_units" "$work/$target.log"
done
