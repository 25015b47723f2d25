#!/bin/sh
# Makes the development environment: contrib/venv.sh PYTHON FOLDER
#
# Installs exactly what constraints.txt pins, checked by hash, and the two
# programs into FOLDER/bin.  What is missing on the machine is installed when
# root, else named with the command that gets it.
set -eu

python=$1
venv=$2
source=$(cd "$(dirname "$0")/.." && pwd)

need() { # need PACKAGE... : Debian packages that this cannot do without
    missing=
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing$missing"
        apt-get -q update >/dev/null
        # shellcheck disable=SC2086  # a list of words
        DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing >/dev/null
    else
        echo "missing:$missing; as root: apt-get install$missing" >&2
        exit 69
    fi
}

if command -v dpkg-query >/dev/null; then
    case $python in
        # pymilter is built from source against libmilter.
        /usr/bin/*) need python3-venv python3-dev gcc libc6-dev libmilter-dev ;;
        *) need gcc libc6-dev libmilter-dev ;;
    esac
fi

command -v "$python" >/dev/null || {
    echo "there is no $python; install Python 3.11 or later, or name one: make venv PYTHON=..." >&2
    exit 69
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$python is older than Python 3.11; name another: make venv PYTHON=..." >&2
    exit 69
}

# An environment whose interpreter is gone, or that another one made, is made again.
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null || rm -rf "$venv"
[ -d "$venv" ] || "$python" -m venv "$venv"
# What pip says is shown only where it fails: its warnings are about itself.
said=$(mktemp)
trap 'rm -f "$said"' EXIT
quietly() {
    "$venv/bin/python" -m pip install --disable-pip-version-check "$@" >"$said" 2>&1 || {
        cat "$said" >&2
        echo "pip install failed: see the lines above" >&2
        exit 69
    }
}
quietly --require-hashes -r "$source/constraints.txt"
quietly --no-deps --no-build-isolation -e "$source"

# User cyrus may not write beside the source what Python compiles.
"$venv/bin/python" -m compileall -q "$source/gateway" "$source/smmapd"
# What smmapd loads at its start it finds in one file (smmapd/archive.py).
"$venv/bin/python" -I "$source/contrib/writearchive.py" "$source"

# smmapd answers one question on standard input in milliseconds; the launcher
# that pip writes would spend twice that before its first line.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
interpreter=$("$venv/bin/python" -c 'import sys; print(sys.executable)')
sed -e "s|@PYTHON@|$interpreter|" -e "s|@SOURCE@|$source|" -e "s|@SITE@|$site|" \
    "$source/contrib/launcher.in" >"$venv/bin/smmapd"
chmod 755 "$venv/bin/smmapd"
