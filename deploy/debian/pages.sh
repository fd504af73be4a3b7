#!/bin/sh
# Writes man pages and completion of a wheel into a directory laid out as /usr/share: sh deploy/debian/pages.sh WHEEL DIRECTORY
# They are the same for every machine, so a release makes them once. pip's own settings hold.
set -eu
umask 022

PYTHON=${PYTHON:-python3}
HERE=$(cd "$(dirname "$0")" && pwd)
PLACE=$(mktemp -d)
trap 'rm -rf "$PLACE"' EXIT
install_here() {
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-compile --target "$PLACE" "$@"
}
install_here -r "$HERE/../requirements-edge.txt"
install_here --no-deps "$1"
mkdir -p "$2"
PYTHONPATH=$PLACE PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -m gaugecast.cli.manual "$2" >/dev/null
