#!/usr/bin/env bash
# The runtime of the APK on Linux x86_64, for tests: Android's own x86_64 library with the seven symbols that glibc lacks.
# It says nothing of arm64 kernels or of how Android loads it. build.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$1
mkdir -p "$out"
aar=$(AAR=keep "$here/../../fetch.sh" app | sed -n 1p)
unzip -p "$aar" jni/x86_64/libtensorflowlite_jni.so >"$out/android.so"
python3 "$here/unversion.py" "$out/android.so" "$out/libtensorflowlite_jni.so"
rm "$out/android.so"
gcc -O2 -Wall -shared -fPIC -Wl,-soname,liblog.so -o "$out/liblog.so" "$here/shim.c"
# The names under which the library asks for the rest.
link() { gcc -x c /dev/null -x none -shared -nostdlib -Wl,-soname,"$1" -o "$out/$1" -Wl,--no-as-needed "${@:2}"; }
link libc.so "$out/liblog.so"
link libm.so -l:libm.so.6
link libdl.so
