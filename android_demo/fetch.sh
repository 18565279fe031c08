#!/usr/bin/env bash
# Download and check what dependencies.txt names, once, and print the paths: ./fetch.sh PURPOSE...
# An .aar with classes counts as the jar inside it, unless AAR=keep. TRILL_MAVEN: other repositories, by blanks.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TRILL_ANDROID_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/trill-android}
repositories=${TRILL_MAVEN:-https://repo.maven.apache.org/maven2 https://maven.google.com}

fetch() { # coordinate, SHA-256 -> path; a file is believed by its hash alone
  local group artifact version extension classifier name path part url
  IFS=: read -r group artifact version extension classifier <<<"$1"
  name=$artifact-$version${classifier:+-$classifier}.$extension
  path=$cache/$2/$name
  if ! echo "$2  $path" | sha256sum --status -c 2>/dev/null; then
    mkdir -p "$cache/$2"
    rm -f "$path" "$path.jar"
    part=$(mktemp "$cache/$2/part.XXXXXX")
    for url in $repositories; do
      if curl -sfL --retry 3 --max-time 900 -o "$part" "$url/${group//.//}/$artifact/$version/$name" &&
        echo "$2  $part" | sha256sum --status -c; then
        mv "$part" "$path"
        break
      fi
    done
    rm -f "$part"
    [ -f "$path" ] || {
      echo "$1 must have the SHA-256 $2; no repository gave such a file: $repositories. Set TRILL_MAVEN." >&2
      exit 1
    }
  fi
  if [ "$extension" = aar ] && [ "${AAR:-}" != keep ]; then
    [ -f "$path.jar" ] || { unzip -p "$path" classes.jar >"$path.jar.part" && mv "$path.jar.part" "$path.jar"; }
    path=$path.jar
  fi
  echo "$path"
}

[ $# -gt 0 ] || { echo "usage: $0 PURPOSE..., the first column of dependencies.txt" >&2; exit 2; }
for purpose in "$@"; do
  grep -q "^$purpose " "$here/dependencies.txt" || { echo "no row of dependencies.txt is for '$purpose'" >&2; exit 2; }
  while read -r _ coordinate sha256; do
    fetch "$coordinate" "$sha256"
  done < <(grep "^$purpose " "$here/dependencies.txt")
done
