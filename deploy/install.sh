#!/bin/sh
# Installs gaugecast as a systemd service, upgrades it, removes it. To be run as root, from the unpacked sources or
# with the wheel beside it:
#
#   sh deploy/install.sh install  [--wheel FILE] [--learner]   user, /opt/gaugecast, units, configuration to fill in
#   sh deploy/install.sh upgrade  [--wheel FILE] [--learner]   a new version beside the old one, then a restart; goes
#                                                              back if the new one refuses the configuration or
#                                                              does not get ready. State and configuration stay.
#   sh deploy/install.sh remove   [--purge]                    units, user's files in /opt, /usr/lib; with --purge
#                                                              also configuration, secrets, ledger and the user
#
# --wheel FILE   the package; default: the newest gaugecast-*.whl here, in ../dist or in ./
# --learner      with TensorFlow (some 2 GB), for the learner's unit and for imported models that NumPy cannot step; at a
#                terminal `install` asks. Once there, an upgrade keeps it.
#
# pip's own settings hold, so PIP_NO_INDEX=1 PIP_FIND_LINKS=/media/wheels installs without a network.
# What it writes: /opt/gaugecast, /usr/local/bin/gaugecast, /etc/gaugecast, /etc/systemd/system/gaugecast*.service,
# /usr/lib/sysusers.d/gaugecast.conf, /usr/lib/tmpfiles.d/gaugecast.conf, manual pages and completion in
# /usr/local/share; the daemon writes /var/lib/gaugecast.
set -eu
umask 022

HERE=$(cd "$(dirname "$0")" && pwd)
OPT=/opt/gaugecast
CONF=/etc/gaugecast
STATE=/var/lib/gaugecast
UNITS=/etc/systemd/system
SYSUSERS=/usr/lib/sysusers.d/gaugecast.conf
TMPFILES=/usr/lib/tmpfiles.d/gaugecast.conf
COMMAND=/usr/local/bin/gaugecast
SHARE=/usr/local/share
READY_S=${READY_S:-60}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set -eu/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit "$1"; }

# Whether systemd runs this machine; in an image that is being built it does not, and enabling must do.
booted() { [ -d /run/systemd/system ]; }
active() { booted && systemctl is-active --quiet "$1"; }

find_wheel() {
    # shellcheck disable=SC2012  # names of ours, without blanks
    [ -n "$WHEEL" ] || WHEEL=$(ls -t "$HERE"/gaugecast-*.whl "$HERE"/../dist/gaugecast-*.whl ./gaugecast-*.whl 2>/dev/null | head -n 1)
    [ -n "$WHEEL" ] || fail "expected a wheel: give --wheel FILE, or make one with 'python3 -m build -w'"
    [ -f "$WHEEL" ] || fail "expected a wheel at $WHEEL, there is none"
}

check_machine() {
    [ "$(id -u)" = 0 ] || fail "expected to be root (sudo sh $0 $ACTION)"
    command -v systemctl >/dev/null || fail "expected systemd; elsewhere: pip install the wheel, and 'gaugecast run'"
    PYTHON=${PYTHON:-}
    for candidate in $PYTHON python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            PYTHON=$candidate
            return
        fi
    done
    fail "expected Python 3.11 to 3.13 with venv (Debian: apt install python3-venv)"
}

# A venv of its own for every version; `current` names the one in use, so that going back is one link.
make_version() {
    mkdir -p "$OPT/versions"
    NEW=$OPT/versions/$(basename "$WHEEL" .whl | cut -d- -f2)-$(date +%Y%m%d%H%M%S)-$$
    trap 'rm -rf "$NEW"' EXIT
    trap 'exit 130' INT TERM
    "$PYTHON" -m venv "$NEW"
    if [ "$LEARNER" = yes ]; then
        "$NEW/bin/pip" install --quiet --disable-pip-version-check "$WHEEL[console]"
    else
        "$NEW/bin/pip" install --quiet --disable-pip-version-check -r "$HERE/requirements-edge.txt" \
            -r "$HERE/requirements-console.txt"
        "$NEW/bin/pip" install --quiet --disable-pip-version-check --no-deps "$WHEEL"
    fi
    mkdir -p "$NEW/share/doc/gaugecast"
    cp "$HERE"/../docs/*.md "$NEW/share/doc/gaugecast/" 2>/dev/null || true
    "$NEW/bin/gaugecast" version >/dev/null || fail "the new version does not start; nothing was changed"
}

use_version() {
    ln -s "$1" "$OPT/current.new"
    mv -T "$OPT/current.new" "$OPT/current"
    trap - EXIT
}

drop_other_versions() {
    for version in "$OPT"/versions/*; do
        [ "$version" = "$(readlink -f "$OPT/current")" ] || rm -rf "$version"
    done
}

copy_files() {
    install -m 644 "$HERE"/systemd/*.service "$UNITS/"
    install -D -m 644 "$HERE/systemd/gaugecast.sysusers" "$SYSUSERS"
    install -D -m 644 "$HERE/systemd/gaugecast.tmpfiles" "$TMPFILES"
    systemd-sysusers "$SYSUSERS"
    ln -sfn "$OPT/current/bin/gaugecast" "$COMMAND"
    write_pages || say "manual pages and completion were not written"
    if booted; then systemctl daemon-reload; fi
}

# Manual pages, and completion for bash, fish and zsh, which looks elsewhere below /usr/local than below /usr.
write_pages() {
    PYTHONDONTWRITEBYTECODE=1 "$OPT/current/bin/python" -m gaugecast.cli.manual "$SHARE" >/dev/null &&
        install -D -m 644 "$SHARE/zsh/vendor-completions/_gaugecast" "$SHARE/zsh/site-functions/_gaugecast" &&
        rm "$SHARE/zsh/vendor-completions/_gaugecast"
}

remove_pages() {
    rm -f "$SHARE/man/man1/gaugecast.1.gz" "$SHARE/man/man5/gaugecast.toml.5.gz" \
        "$SHARE/bash-completion/completions/gaugecast" "$SHARE/fish/vendor_completions.d/gaugecast.fish" \
        "$SHARE/zsh/site-functions/_gaugecast" "$SHARE/zsh/vendor-completions/_gaugecast"
}

write_config() {
    mkdir -p "$CONF"
    if [ ! -e "$CONF/gaugecast.toml" ]; then
        "$OPT/current/bin/gaugecast" init "$CONF/gaugecast.toml" >/dev/null
        # Without a learner the default says, wherever it is asked, that nothing is learned and why.
        if [ "$LEARNER" = yes ]; then sed -i 's/^#mode = "auto" /mode = "unit"  /' "$CONF/gaugecast.toml"; fi
    fi
    systemd-tmpfiles --create "$TMPFILES"
}

offer_learner() {
    if [ "$LEARNER" = auto ]; then
        LEARNER=no
        if [ -t 0 ]; then
            printf 'Install the learner, too? It makes models of your own sensors, and takes TensorFlow, some 2 GB. [y/N] '
            read -r answer
            case $answer in [yY]*) LEARNER=yes ;; esac
        fi
    fi
}

do_install() {
    [ ! -e "$OPT/current" ] || fail "gaugecast is installed already; 'upgrade' replaces it and keeps its state"
    find_wheel
    offer_learner
    make_version
    use_version "$NEW"
    copy_files
    write_config
    if [ "$LEARNER" = yes ]; then systemctl enable --quiet gaugecast-learner; fi
    say "gaugecast $("$COMMAND" version) is installed. Next:"
    say "  1. $CONF/gaugecast.toml: the broker in [mqtt], your sensors in [fleet.NAME]; a password into $CONF/mqtt-password"
    say "  2. CREDENTIALS_DIRECTORY=$CONF gaugecast check --online -c $CONF/gaugecast.toml"
    say "  3. systemctl enable --now gaugecast"
    if [ "$LEARNER" = no ]; then say "Nothing is learned: TensorFlow is not installed. To learn: sh $0 upgrade --learner"; fi
}

# Whether the unit is active with the new version within READY_S; Type=notify makes `restart` wait for READY=1.
restart_and_wait() {
    timeout "$READY_S" systemctl restart gaugecast && active gaugecast
}

do_upgrade() {
    [ -e "$OPT/current" ] || fail "expected an installed gaugecast in $OPT; 'install' makes one"
    find_wheel
    OLD=$(readlink -f "$OPT/current")
    if [ "$LEARNER" = auto ]; then
        LEARNER=no
        if "$OLD/bin/python" -c 'import importlib.util as u; raise SystemExit(u.find_spec("tensorflow") is None)'; then LEARNER=yes; fi
    fi
    make_version
    "$NEW/bin/gaugecast" check -c "$CONF/gaugecast.toml" >/dev/null ||
        fail "the new version refuses $CONF/gaugecast.toml, see above; the old one goes on running"
    use_version "$NEW"
    copy_files
    systemd-tmpfiles --create "$TMPFILES"
    if active gaugecast && ! restart_and_wait; then
        use_version "$OLD"
        rm -rf "$NEW"
        systemctl restart gaugecast || true
        fail "the new version did not get ready in $READY_S s: back to the old one. journalctl -u gaugecast says why"
    fi
    if booted; then systemctl try-restart "gaugecast@*" "gaugecast-learner@*"; fi
    drop_other_versions
    if [ "$LEARNER" = yes ]; then
        systemctl enable --quiet gaugecast-learner
        if active gaugecast; then systemctl restart gaugecast-learner; fi
    fi
    say "gaugecast $("$COMMAND" version) is in use; state and configuration are as they were."
}

do_remove() {
    if [ "$PURGE" = ask ]; then
        PURGE=no
        if [ -t 0 ]; then
            printf 'Delete the ledger (%s) and the configuration (%s), too? [y/N] ' "$STATE" "$CONF"
            read -r answer
            case $answer in [yY]*) PURGE=yes ;; esac
        fi
    fi
    for unit in gaugecast-console gaugecast-learner gaugecast gaugecast-learner@ gaugecast@; do
        case $unit in
            *@) running=$unit\*; rm -rf "$UNITS/$unit"*.service.d ;;
            *) running=$unit ;;
        esac
        if booted; then systemctl stop "$running" 2>/dev/null || true; fi
        systemctl disable --quiet "$unit" 2>/dev/null || true
        rm -rf "$UNITS/$unit.service" "$UNITS/$unit.service.d"
    done
    if booted; then systemctl daemon-reload; fi
    rm -rf "$OPT"
    rm -f "$COMMAND" "$SYSUSERS" "$TMPFILES"
    remove_pages
    if [ "$PURGE" = yes ]; then
        rm -rf "$STATE" "$CONF"
        if getent passwd gaugecast >/dev/null; then userdel gaugecast; fi
        say "gaugecast is removed, and nothing of it is left."
    else
        say "gaugecast is removed. Left: $STATE, $CONF and the user gaugecast; 'remove --purge' takes them, too."
    fi
}

ACTION=${1:-}
WHEEL="" LEARNER=auto PURGE=ask
[ $# -eq 0 ] || shift
while [ $# -gt 0 ]; do
    case $1 in
        --wheel) [ $# -ge 2 ] || usage 2 >&2; WHEEL=$2; shift ;;
        --learner) LEARNER=yes ;;
        --purge) PURGE=yes ;;
        --keep) PURGE=no ;;
        *) usage 2 >&2 ;;
    esac
    shift
done
case $ACTION in
    install | upgrade | remove) check_machine; "do_$ACTION" ;;
    -h | --help | help) usage 0 ;;
    *) usage 2 >&2 ;;
esac
