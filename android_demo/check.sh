#!/usr/bin/env bash
# What must hold of build/trill-demo.apk before it goes on a phone. Says every rule, and fails at the first broken one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
apk=${1:-build/trill-demo.apk}
fail() { echo "FAILED: $*" >&2; exit 1; }

apksigner verify --min-sdk-version 26 "$apk" || fail "$apk is not signed soundly. Build it again."
echo "signed: v2 and v3"

zipalign -c 16384 "$apk" || fail "an entry that is mapped must start at a multiple of 16 KB. Build again with zipalign."
echo "aligned: to 16 KB in the archive"

badging=$(aapt dump badging "$apk" 2>/dev/null)
permissions=$(sed -n "s/^uses-permission[^:]*: name='\([^']*\)'.*/\1/p" <<<"$badging")
[ "$permissions" = android.permission.RECORD_AUDIO ] || fail "the only permission is RECORD_AUDIO, got: $permissions"
echo "permissions: RECORD_AUDIO alone; none for the network"

abis=$(sed -n "s/^native-code: //p" <<<"$badging")
[ "$abis" = "'arm64-v8a' 'armeabi-v7a' 'x86_64'" ] || fail "three processors are served, got: $abis"
grep -q "^sdkVersion:'26'" <<<"$badging" && grep -q "^targetSdkVersion:'35'" <<<"$badging" || fail "API 26 to 35, got others"
echo "processors: $abis; API 26, target 35"

listed=$(unzip -v "$apk" assets/model.tflite)
grep -q ' Stored ' <<<"$listed" || fail "the model must lie uncompressed, to be mapped"
made=$(sha256sum <build/packaged.tflite) packaged=$(unzip -p "$apk" assets/model.tflite | sha256sum)
[ "$made" = "$packaged" ] || fail "the model in the APK must be the one that was made: $made, got $packaged"
echo "model: stored, SHA-256 ${made%% *}"

java -cp "$(./fetch.sh check asm | grep '\.jar$' | paste -sd:)" tools/ApiCheck.java \
  "$(./fetch.sh check | grep '\.signature$')" build/classes/core build/classes/app ||
  fail "a call is missing on API 26: guard it, or do without"
echo "calls: all there on API 26"
