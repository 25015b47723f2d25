#!/bin/bash
# packages.sh - brings the servers that the benchmark compares with onto a Debian 12 machine.
#
#   packages.sh check   [PEER...]   say exactly what is missing; exit 1 if anything is
#   packages.sh install [PEER...]   bring what is missing, then check
#   packages.sh where PEER          print the folder a peer lives in
#
# Peers: mta-sts (postfix-mta-sts-resolver with uvloop, from PyPI, in a virtual
# environment of its own) and policyd (Debian's policyd-rate-limit, only unpacked, as its
# package would start it).  Cyrus, compiler and Dovecot are the rigs' matter
# (tests/rigs/packages.sh).  Without a peer all are meant.
#
# Promises: everything goes into the benchmark's cache folder (SMMAPD_BENCH_CACHE,
# default /var/tmp/smmapd-bench), except python3-yaml and python3-venv, which apt-get
# installs as root; nothing is started; a second run changes nothing and needs no network.
#
# Exit codes: 0 everything is there, 1 something is missing, 2 wrong usage.
set -euo pipefail

readonly CACHE=${SMMAPD_BENCH_CACHE:-/var/tmp/smmapd-bench}
readonly PEERS="mta-sts policyd"
readonly PYTHON=/usr/bin/python3
# What the figures in README were measured with.
readonly MTA_STS="postfix-mta-sts-resolver[uvloop]==1.5.1"

declare -Ar INSTALLED=([mta-sts]="python3-venv" [policyd]="python3-yaml")
declare -Ar PROGRAM=(
    [mta-sts]="bin/mta-sts-daemon"
    [policyd]="usr/bin/policyd-rate-limit"
)

say() { printf 'packages.sh: %s\n' "$*" >&2; }

not_installed() {
    local wanted
    for wanted in "$@"; do
        dpkg-query -W -f '${Status}' "$wanted" 2>/dev/null | grep -q 'ok installed' || echo "$wanted"
    done
}

check() {
    local peer absent missing=""
    for peer in "$@"; do
        # shellcheck disable=SC2086
        absent=$(not_installed ${INSTALLED[$peer]})
        if [[ -n $absent || ! -e $CACHE/$peer/${PROGRAM[$peer]} ]]; then
            say "missing for $peer: ${absent:+Debian packages $absent, }$CACHE/$peer"
            missing+=" $peer"
        fi
    done
    [[ -z $missing ]] && return 0
    say "to get it, as root: $0 install$missing"
    return 1
}

# apt-get with the given words; where it fails, once more with fresh package lists.
apt() {
    apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2 && return 0
    apt-get -q update >&2 && apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2
}

install_mta_sts() {
    "$PYTHON" -m venv "$1"
    "$1/bin/pip" install -q --disable-pip-version-check "$MTA_STS" >&2
}

install_policyd() {
    mkdir "$1"
    (cd "$1" && apt -o APT::Sandbox::User=root download policyd-rate-limit)
    dpkg -x "$1"/*.deb "$1"
    rm -f "$1"/*.deb
}

install() {
    local peer absent
    check "$@" 2>/dev/null && return 0
    mkdir -p "$CACHE"
    exec 9>"$CACHE/.lock"
    flock 9
    for peer in "$@"; do
        # shellcheck disable=SC2086
        absent=$(not_installed ${INSTALLED[$peer]})
        if [[ -n $absent && $EUID == 0 ]]; then
            # shellcheck disable=SC2086
            DEBIAN_FRONTEND=noninteractive apt install -y --no-install-recommends --no-remove $absent
        fi
        [[ -e $CACHE/$peer/${PROGRAM[$peer]} ]] && continue
        say "fetching $peer"
        rm -rf "${CACHE:?}/$peer"
        # A virtual environment holds its own path, so it is made in place.
        "install_${peer//-/_}" "$CACHE/$peer" || {
            rm -rf "${CACHE:?}/$peer"
            say "$peer could not be fetched (the reason is above)"
        }
    done
    check "$@"
}

main() {
    (($# > 0)) || { sed -n '4,6s/^# *//p' "$0" >&2; exit 2; }
    local verb=$1 peer
    shift
    # shellcheck disable=SC2086
    (($# > 0)) || set -- $PEERS
    for peer in "$@"; do
        [[ -n ${PROGRAM[$peer]:-} ]] || { say "peers: $PEERS"; exit 2; }
    done
    case $verb in
        where) printf '%s\n' "$CACHE/$1" ;;
        check | install) "$verb" "$@" ;;
        *) sed -n '4,6s/^# *//p' "$0" >&2; exit 2 ;;
    esac
}

main "$@"
