#!/usr/bin/env bash
# Build build/trill-demo.apk without the Android SDK: Debian's packaging tools, and jars checked by hash (fetch.sh).
#
#   apt-get install openjdk-17-jdk-headless aapt zipalign apksigner zip unzip curl
#   ./build.sh            the model is made of recipes/weights by trill-export, once
#   MODEL=mine.tflite ./build.sh
#
# The same sources, model and key give the same bytes. The key is made on the first run, and is for trying out only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
ABIS="arm64-v8a armeabi-v7a x86_64"
MIN_SDK=26 TARGET_SDK=35 VERSION_CODE=1
VERSION_NAME=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' ../trill/version.py)
out=build

for tool in java javac keytool aapt2 zipalign apksigner zip unzip curl; do
  command -v $tool >/dev/null || { echo "$tool is missing: see the head of build.sh for the packages." >&2; exit 1; }
done
java_home=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
mkdir -p $out
step() { echo "$(date +%T) $*"; }

step "model"
if [ -n "${MODEL:-}" ]; then
  model=$MODEL
else
  model=$out/personal.tflite
  weights=$(printf '%s\n' ../recipes/weights/mobilenet-*.safetensors | sort -V | tail -n 1)
  if [ ! -f $model ] || [ "$weights" -nt $model ]; then
    trill_export=${TRILL_EXPORT:-../.venv/bin/trill-export}
    command -v "$trill_export" >/dev/null || {
      echo "trill-export makes the model (pip install 'trill-speech[train,export]'), or give one: MODEL=FILE" >&2
      exit 1
    }
    "$trill_export" "$weights" -o $model --overwrite --personal 16
  fi
fi

step "downloads"
r8=$(./fetch.sh build)
framework=$(./fetch.sh framework)
resources=$(./fetch.sh resources)
runtime=$(./fetch.sh app | paste -sd:)
native=$(AAR=keep ./fetch.sh app | sed -n 1p)

step "resources"
rm -rf $out/{assets,gen,classes,dex,apk}
mkdir -p $out/{assets,gen,classes/core,classes/app,dex,apk}
cp "$model" $out/assets/model.tflite
cp -p "$model" $out/packaged.tflite # what check.sh compares with
touch -d 2020-01-01T00:00:00Z $out/assets/model.tflite
aapt2 compile --dir app/src/main/res -o $out/res.zip
aapt2 link -A $out/assets -0 .tflite -I "$resources" --manifest app/src/main/AndroidManifest.xml \
  --min-sdk-version $MIN_SDK --target-sdk-version $TARGET_SDK --version-code $VERSION_CODE --version-name $VERSION_NAME \
  --java $out/gen -o $out/base.apk --auto-add-overlay $out/res.zip 2>&1 | { grep -v 'Unknown chunk type' || true; }

step "classes" # core first and alone: it must not see Android
javac -encoding UTF-8 --release 17 -Xlint:all,-options -Werror -d $out/classes/core $(find core/src/main/java -name '*.java' | LC_ALL=C sort)
javac -encoding UTF-8 --release 17 -Xlint:all,-classfile,-processing -cp "$framework:$runtime:$out/classes/core" -d $out/classes/app \
  $(find app/src/main/java $out/gen -name '*.java' | LC_ALL=C sort)

step "dex"
java -Xmx1g -cp "$r8" com.android.tools.r8.D8 --release --min-api $MIN_SDK --lib "$framework" --lib "$java_home" \
  --output $out/dex $(find $out/classes -name '*.class' | LC_ALL=C sort) ${runtime//:/ }

step "package"
for abi in $ABIS; do
  mkdir -p $out/apk/lib/$abi
  unzip -p "$native" jni/$abi/libtensorflowlite_jni.so >$out/apk/lib/$abi/libtensorflowlite_jni.so
done
cp $out/dex/classes.dex $out/apk/
cp $out/base.apk $out/unaligned.apk
find $out/apk -exec touch -d 2020-01-01T00:00:00Z {} +
(
  export TZ=UTC
  cd $out/apk
  # Libraries are mapped from the APK as they are: stored, and aligned to the largest pages there are.
  zip -q -X -0 ../unaligned.apk $(find lib -type f | LC_ALL=C sort)
  zip -q -X -9 ../unaligned.apk classes.dex
)
zipalign -f 16384 $out/unaligned.apk $out/aligned.apk

step "sign"
key=$out/debug.p12
[ -f $key ] || keytool -genkeypair -keystore $key -storetype PKCS12 -storepass android -alias debug -keyalg RSA -keysize 2048 \
  -validity 10000 -dname "CN=Debug" >/dev/null 2>&1
apksigner sign --ks $key --ks-pass pass:android --min-sdk-version $MIN_SDK --v1-signing-enabled false \
  --v2-signing-enabled true --v3-signing-enabled true --out $out/signed.apk $out/aligned.apk
mv $out/signed.apk $out/trill-demo.apk
step "$out/trill-demo.apk: $(stat -c %s $out/trill-demo.apk) bytes, SHA-256 $(sha256sum <$out/trill-demo.apk | cut -c -64)"
