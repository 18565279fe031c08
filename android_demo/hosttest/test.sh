#!/usr/bin/env bash
# Test core/ on this computer, in plain Java: JUnit 5, and the real model files in TFLite's C library.
#
#   apt-get install openjdk-17-jdk-headless unzip curl
#   hosttest/test.sh                              all
#   hosttest/test.sh --include-classname '.*Store.*'   options of JUnit's console
#
# Python with trill-speech[train,export] makes what is compared with: the repository's .venv, or PYTHON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${OUT:-build/hosttest}
python=${PYTHON:-../.venv/bin/python}
vectors=$out/vectors
model=build/personal.tflite
tests=hosttest/src/test/java

junit=$(./fetch.sh test | paste -sd:)
tflite=$(./fetch.sh host | paste -sd:)

weights=$(printf '%s\n' ../recipes/weights/mobilenet-*.safetensors | sort -V | tail -n 1)
if [ ! -f $model ] || [ "$weights" -nt $model ]; then
  mkdir -p build
  "$python" -m export.cli convert "$weights" -o $model --overwrite --personal 16
fi
if ! cmp -s $model "$vectors/personal.tflite" || [ ! hosttest/make_vectors.py -ot "$vectors/vectors.json" ]; then
  "$python" hosttest/make_vectors.py $model "$vectors"
fi

rm -rf "$out"/{core,test}
mkdir -p "$out"/{core,test}
javac -encoding UTF-8 --release 17 -Xlint:all -Werror -d "$out/core" $(find core/src/main/java -name '*.java')
# -path: the manifest of a jar names files that are not there.
javac -encoding UTF-8 --release 17 -Xlint:all,-classfile,-path,-processing -Werror -d "$out/test" \
  -cp "$out/core:$junit:$tflite" $(find $tests -name '*.java')
java -Xmx1g -Dfile.encoding=UTF-8 -Dtrill.core="$out/core" -Dtrill.vectors="$vectors" \
  -cp "$out/core:$out/test:$junit:$tflite" org.junit.platform.console.ConsoleLauncher execute \
  --scan-class-path="$out/test" --disable-banner --fail-if-no-tests --details=summary "$@"
