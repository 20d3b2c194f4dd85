#!/usr/bin/env bash
# Fetches the files of this folder again from the npm registry. To move to another version, change it here.
set -euo pipefail
cd "$(dirname "$0")"
MATHJAX=3.2.2

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

unpack() { # package version folder
  local archive
  archive=$(cd "$scratch" && npm pack --silent "$1@$2")
  mkdir -p "$scratch/$3"
  tar -xzf "$scratch/$archive" -C "$scratch/$3" --strip-components=1
}

unpack mathjax "$MATHJAX" mathjax

rm -rf mathjax
mkdir -p mathjax/output/chtml/fonts mathjax/input/tex/extensions
cp "$scratch/mathjax/LICENSE" mathjax/LICENSE
cp "$scratch/mathjax/es5/tex-mml-chtml.js" mathjax/
cp -r "$scratch/mathjax/es5/output/chtml/fonts/woff-v2" mathjax/output/chtml/fonts/
for extension in bbox boldsymbol braket cancel color mathtools; do
  cp "$scratch/mathjax/es5/input/tex/extensions/$extension.js" mathjax/input/tex/extensions/
done
