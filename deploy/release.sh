#!/bin/sh
# Makes what a release consists of, in dist/: wheel and source, Debian packages for amd64 and arm64, the Home Assistant
# app, what is in each (CycloneDX), and SHA256SUMS. `make release` calls it with a Python that has pip and build.
#
#   sh deploy/release.sh [OUTPUT_DIRECTORY] [ARCHITECTURES]        default: dist "amd64 arm64"
#
# Images are built from the same sources: docker build -f deploy/compose/Dockerfile [--build-arg LEARNER=yes] .
set -eu
umask 022

HERE=$(cd "$(dirname "$0")" && pwd)
OUT=${1:-$HERE/../dist}
ARCHITECTURES=${2:-amd64 arm64}
export PYTHON="${PYTHON:-python3}"
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1767225600}"

mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
rm -f "$OUT"/gaugecast*  "$OUT/SHA256SUMS"
"$PYTHON" -m build --outdir "$OUT" "$HERE/.." >/dev/null
WHEEL=$(ls "$OUT"/gaugecast-*.whl)
VERSION=$(basename "$WHEEL" | cut -d- -f2)

PAGES=$(mktemp -d)
export PAGES
sh "$HERE/debian/pages.sh" "$WHEEL" "$PAGES"
for arch in $ARCHITECTURES; do
    sh "$HERE/debian/build.sh" "$WHEEL" "$OUT" "$arch" >/dev/null
    place=$(mktemp -d)
    dpkg-deb --extract "$OUT/gaugecast_${VERSION}_$arch.deb" "$place"
    cp "$place/usr/share/doc/gaugecast/sbom.cdx.json" "$OUT/gaugecast_${VERSION}_$arch.cdx.json"
    rm -rf "$place"
done
rm -rf "$PAGES"

app=$(mktemp -d)
cp -r "$HERE/home-assistant/." "$app/"
cp "$WHEEL" "$HERE/requirements-edge.txt" "$app/gaugecast/"
sed -i "s/^version: .*/version: \"$VERSION\"/" "$app/gaugecast/config.yaml"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$app" \
    -czf "$OUT/gaugecast-$VERSION-home-assistant.tar.gz" .
rm -rf "$app"

(cd "$OUT" && sha256sum gaugecast* > SHA256SUMS)
ls -l "$OUT"
