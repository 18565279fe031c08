#!/usr/bin/env bash
# The app's tests on this machine, after ./build.sh: Robolectric on Android 8, 14 and 15; no device, no emulator.
#
#   ./test.sh                                      all of app/src/test
#   ./test.sh FlowTest                             one class
#   PICTURES=../docs/pictures ./test.sh PicturesTest
#
# Tests of the model itself run the APK's runtime on Linux x86_64 (tools/host) and are skipped where gcc is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
out=build
[ -f $out/base.apk ] || { echo "build first: ./build.sh" >&2; exit 1; }

console=$(./fetch.sh test | grep console)
android=$(./fetch.sh framework)
libraries=$(./fetch.sh ui-test asm app | paste -sd:)
run=$(mktemp -d "$PWD/$out/test.XXXXXX") # of this run alone
trap 'rm -rf "$run"' EXIT
mkdir -p "$run"/{android,classes/com/android/tools}
for jar in $(./fetch.sh ui-android); do ln -s "$jar" "$run/android/"; done

# Robolectric reads the APK's own compiled resources and assets.
sed "s|<application|<uses-sdk android:minSdkVersion=\"26\" android:targetSdkVersion=\"35\" /><application|" \
  app/src/main/AndroidManifest.xml >"$run/AndroidManifest.xml"
cat >"$run/classes/com/android/tools/test_config.properties" <<CONFIG
android_custom_package=io.github.trillspeech.demo
android_merged_manifest=$run/AndroidManifest.xml
android_resource_apk=$PWD/$out/base.apk
android_merged_assets=$PWD/$out/assets
CONFIG

javac -encoding UTF-8 --release 17 -nowarn -proc:none -d "$run/classes" \
  -cp "$out/classes/app:$out/classes/core:$libraries:$console:$android" $(find app/src/test/java -name '*.java')

if [ "$(uname -sm)" = "Linux x86_64" ] && command -v gcc >/dev/null; then
  tools/host/build.sh $out/host
fi
# What Python says of the same model, and real voices; without Python the tests of them are skipped.
python=${PYTHON:-../.venv/bin/python}
if command -v "$python" >/dev/null; then
  [ $out/golden.json -nt $out/packaged.tflite ] || "$python" ../scripts/make_golden.py $out/packaged.tflite -o $out/golden.json
  [ -d $out/clips ] || "$python" tools/clips.py $out/clips
fi
select=(--scan-classpath "$run/classes")
[ $# = 0 ] || select=("${@/#/--select-class=io.github.trillspeech.demo.}")
LD_LIBRARY_PATH=$PWD/$out/host java -Xmx1g -Djava.library.path="$PWD/$out/host" -Dtrill.golden="$PWD/$out/golden.json" -Dtrill.clips="$PWD/$out/clips" \
  ${PICTURES:+-Dtrill.pictures="$PICTURES"} \
  -Drobolectric.offline=true -Drobolectric.dependency.dir="$run/android" \
  --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED \
  --add-opens=java.base/java.util=ALL-UNNAMED \
  -cp "$run/classes:$out/classes/app:$out/classes/core:$libraries:$console:$android" \
  org.junit.platform.console.ConsoleLauncher execute --fail-if-no-tests --disable-banner --details=tree "${select[@]}"
