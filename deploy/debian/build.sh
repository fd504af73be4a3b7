#!/bin/sh
# Makes a .deb of a wheel, for Debian 12 (Python 3.11), without TensorFlow; of any machine with pip and dpkg-deb:
#
#   sh deploy/debian/build.sh WHEEL OUTPUT_DIRECTORY [amd64 | arm64]
#
# What is in it: a virtual environment in /opt/gaugecast/current, the units, user and file modes, /usr/bin/gaugecast, man
# pages, completion for bash, zsh and fish, documentation, a list of all packages in it, and
# /etc/gaugecast/gaugecast.toml, which dpkg keeps as you changed it. pip's own settings hold. PAGES=DIRECTORY takes man
# pages and completion from there, where pages.sh has put them.
# Debian's directory modes and a fixed time make the same wheels into the same package.
set -eu
umask 022

[ $# -ge 2 ] || { sed -n '2,/^set -eu/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 2; } >&2
WHEEL=$1 OUT=$2 ARCH=${3:-$(dpkg --print-architecture)}
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python3}
VERSION=$(basename "$WHEEL" .whl | cut -d- -f2)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1767225600}"
case $ARCH in
    amd64) MACHINE=x86_64 ;;
    arm64) MACHINE=aarch64 ;;
    *) echo "build.sh: expected amd64 or arm64, got $ARCH" >&2; exit 2 ;;
esac

ROOT=$(mktemp -d) HERE_NOW=$(mktemp -d)
chmod 755 "$ROOT"
trap 'rm -rf "$ROOT" "$HERE_NOW"' EXIT
VENV=$ROOT/opt/gaugecast/current
SITE=$VENV/lib/python3.11/site-packages

# -- the virtual environment, laid out by hand: so that it can be made for a machine that is not this one
mkdir -p "$SITE" "$VENV/bin"
install_into_site() {
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-compile --only-binary=:all: \
        --implementation cp --python-version 3.11 --target "$SITE" --upgrade \
        --platform "manylinux_2_28_$MACHINE" --platform "manylinux_2_17_$MACHINE" --platform "manylinux2014_$MACHINE" "$@"
}
install_into_site -r "$HERE/../requirements-edge.txt" -r "$HERE/../requirements-console.txt"
install_into_site --no-deps "$WHEEL"
rm -rf "$SITE/bin"
find "$SITE" -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} +
ln -s /usr/bin/python3.11 "$VENV/bin/python"
ln -s python "$VENV/bin/python3"
printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n' > "$VENV/pyvenv.cfg"
cat > "$VENV/bin/gaugecast" <<'SCRIPT'
#!/opt/gaugecast/current/bin/python
import sys

from gaugecast.cli import main

sys.exit(main())
SCRIPT
chmod 755 "$VENV/bin/gaugecast"

# -- what lies around it
install -D -m 644 -t "$ROOT/lib/systemd/system" "$HERE"/../systemd/*.service
install -D -m 644 "$HERE/../systemd/gaugecast.sysusers" "$ROOT/usr/lib/sysusers.d/gaugecast.conf"
install -D -m 644 "$HERE/../systemd/gaugecast.tmpfiles" "$ROOT/usr/lib/tmpfiles.d/gaugecast.conf"
install -D -m 644 "$HERE/gaugecast.toml" "$ROOT/etc/gaugecast/gaugecast.toml"
install -D -m 644 -t "$ROOT/usr/share/doc/gaugecast" "$HERE"/../../docs/*.md "$HERE"/../../CHANGELOG.md
install -D -m 644 "$HERE/copyright" "$ROOT/usr/share/doc/gaugecast/copyright"
for folder in prometheus grafana mosquitto; do cp -r "$HERE/../$folder" "$ROOT/usr/share/doc/gaugecast/"; done
find "$ROOT/usr/share/doc/gaugecast" -name __pycache__ -prune -exec rm -rf {} +
"$PYTHON" "$HERE/../sbom.py" "$SITE" "$ROOT/usr/share/doc/gaugecast/sbom.cdx.json"
mkdir -p "$VENV/share/doc"
ln -s /usr/share/doc/gaugecast "$VENV/share/doc/gaugecast"  # where the units say that it is
mkdir -p "$ROOT/usr/bin"
ln -s /opt/gaugecast/current/bin/gaugecast "$ROOT/usr/bin/gaugecast"
# Man pages and completion, which the package itself tells: for that once more, as this machine can run it.
if [ -z "${PAGES:-}" ]; then
    PAGES=$HERE_NOW/pages
    sh "$HERE/pages.sh" "$WHEEL" "$PAGES"
fi
cp -r "$PAGES/." "$ROOT/usr/share/"

# -- what dpkg is told
mkdir -p "$ROOT/DEBIAN"
SIZE=$(du -sk --exclude=DEBIAN "$ROOT" | cut -f1)
sed "s/@VERSION@/$VERSION/; s/@ARCH@/$ARCH/; s/@SIZE@/$SIZE/" "$HERE/control" > "$ROOT/DEBIAN/control"
echo /etc/gaugecast/gaugecast.toml > "$ROOT/DEBIAN/conffiles"
install -m 755 "$HERE/preinst" "$HERE/postinst" "$HERE/prerm" "$HERE/postrm" "$ROOT/DEBIAN/"
(cd "$ROOT" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) > "$ROOT/DEBIAN/md5sums"
find "$ROOT" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$OUT"
dpkg-deb --root-owner-group -Zxz -z3 --build "$ROOT" "$OUT/gaugecast_${VERSION}_$ARCH.deb" >/dev/null
echo "$OUT/gaugecast_${VERSION}_$ARCH.deb"
