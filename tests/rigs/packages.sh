#!/bin/bash
# packages.sh - brings the real programs that the tests drive onto a Debian 12 or 13 machine.
#
#   packages.sh check   [GROUP...]   say exactly what is missing; exit 1 if anything is
#   packages.sh install [GROUP...]   bring what is missing, then check
#   packages.sh where NAME           print the folder an unpacked package set lives in
#   packages.sh names RELEASE [GROUP...]   print what Debian 12 or 13 installs for the groups
#
# Groups are the rows of GROUPS_INSTALLED and GROUPS_UNPACKED below; without one
# the DEFAULT_GROUPS are meant.  A group that is installed comes by apt-get and
# needs root.  A group that is unpacked conflicts with an installed one: its
# packages are only downloaded and unpacked into the cache folder, and their
# maintainer scripts never run.
#
# Promises: nothing that this script installs is started (policy-rc.d says no
# for the time of the installation, and an existing policy comes back after it);
# nothing is removed or replaced; an existing /etc/postfix is left as it is; a
# second run changes nothing and needs no network; runs at the same time wait
# for each other.
#
# Exit codes: 0 everything is there, 1 something is missing, 2 wrong usage,
# 3 an installation failed.
#
# Environment: SMMAPD_TESTS_CACHE, the cache folder
# (default ${XDG_CACHE_HOME:-$HOME/.cache}/smmapd-tests).
set -euo pipefail

readonly DEFAULT_GROUPS="build cyrus murder sql dovecot postfix sendmail deb package systemd chromium prometheus faketime apparmor"

declare -Ar GROUPS_INSTALLED=(
    [build]="gcc libc6-dev make python3-venv python3-dev libmilter-dev groff-base zsh curl"
    [cyrus]="cyrus-imapd cyrus-admin cyrus-clients sasl2-bin util-linux procps"
    # Its tables of other types, and a rewriter of forwarded mail's senders.
    [postfix]="postfix postfix-ldap postfix-lmdb postfix-pcre postfix-pgsql postsrsd"
    # What the unpacked sendmail links with; none of it is a mail server.
    [sendmail]="libdb5.3 libldap-2.5-0 liblockfile1 libnsl2 libsasl2-2 libssl3 libwrap0 netbase util-linux"
    # The status page is looked at in a real browser; its font has what a page of words needs.
    [chromium]="chromium chromium-driver fonts-dejavu-core"
    # What builds the Debian package, as contrib/debian/control says.
    [deb]="build-essential dpkg-dev debhelper dh-apparmor dh-python pybuild-plugin-pyproject python3-all python3-setuptools python3-gevent python3-prometheus-client python3-xxhash"
    [package]="debootstrap lintian util-linux"
    [systemd]="systemd strace util-linux"
    # What the unpacked prometheus and promtool link with.
    [prometheus]="libc6"
    # What libfaketime, which lets a program see another time of day, links with.
    [faketime]="libc6"
    # What the unpacked apparmor_parser links with.
    [apparmor]="libc6"
    [murder]="cyrus-murder cyrus-imapd cyrus-admin cyrus-clients sasl2-bin iproute2"
    [dovecot]="libapparmor1 libexttextcat-2.0-0 liblua5.4-0 libsodium23 libstemmer0d libunwind8 libwrap0"
    # libpq5 is what psycopg calls.
    [sql]="postgresql mariadb-server libpq5"
)
declare -Ar GROUPS_UNPACKED=(
    [sendmail]="sendmail-bin sendmail-base sendmail-cf"
    [dovecot]="dovecot-core dovecot-lmtpd"
    [prometheus]="prometheus"
    [faketime]="libfaketime"
    [apparmor]="apparmor"
)

# What Debian 13 has in packages of their own.
declare -Ar MORE_UNPACKED_13=(
    [prometheus]="promtool"
    [dovecot]="dovecot-sieve"
)

# What Debian 13 calls some of them.
declare -Ar NAMES_13=(
    [libdb5.3]=libdb5.3t64
    [libldap-2.5-0]=libldap2
    [libssl3]=libssl3t64
)

readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_KEPT=/usr/sbin/policy-rc.d.smmapd-tests
readonly LOCK_WAIT_S=1800 # a whole installation over a slow line
readonly CACHE=${SMMAPD_TESTS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/smmapd-tests}
readonly APT=(apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)

say() { printf 'packages.sh: %s\n' "$*" >&2; }

usage() {
    sed -n '4,7s/^# *//p' "$0" >&2
    say "groups: ${!GROUPS_INSTALLED[*]}"
    exit 2
}

# This machine's release, 12 or 13; of what is not Debian the older one's names are tried.
release() {
    # shellcheck disable=SC1091 # not ours
    (. /etc/os-release 2>/dev/null && [[ ${VERSION_ID:-} == 13 ]] && echo 13) || echo 12
}

# Prints the packages of the groups as the release calls them: of RELEASE GROUP...
installed_for() {
    local names=() name group release=$1
    shift
    for group in "$@"; do
        for name in ${GROUPS_INSTALLED[$group]}; do
            [[ $release == 13 ]] && name=${NAMES_13[$name]:-$name}
            names+=("$name")
        done
    done
    printf '%s\n' "${names[@]}"
}

# Prints the packages that are unpacked for a group.
unpacked_for() {
    local more=""
    [[ $RELEASE == 13 ]] && more=${MORE_UNPACKED_13[$1]:-}
    printf '%s' "${GROUPS_UNPACKED[$1]}${more:+ $more}"
}

# Prints those of the given packages that dpkg does not list as installed.
not_installed() {
    local have wanted
    have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true)"
    for wanted in "$@"; do
        [[ $have == *" installed:$wanted "* ]] || printf '%s\n' "$wanted"
    done
}

# Is the unpacked set NAME in the cache, complete, and made of the packages named today?
unpacked() {
    [[ -r $CACHE/$1/.complete && $(<"$CACHE/$1/.complete") == "$(unpacked_for "$1")" ]]
}

check() {
    local group missing="" absent=()
    for group in "$@"; do
        mapfile -t absent < <(installed_for "$RELEASE" "$group")
        mapfile -t absent < <(not_installed "${absent[@]}")
        if ((${#absent[@]})); then
            say "missing for $group: Debian packages ${absent[*]}"
            missing+=" $group"
        fi
        if [[ -n ${GROUPS_UNPACKED[$group]:-} ]] && ! unpacked "$group"; then
            say "missing for $group: $(unpacked_for "$group"), unpacked in $CACHE/$group"
            [[ " $missing " == *" $group "* ]] || missing+=" $group"
        fi
    done
    [[ -z $missing ]] && return 0
    say "to get it, as root: $0 install$missing"
    return 1
}

restore_policy() {
    if [[ -e $POLICY_KEPT ]]; then
        mv -f "$POLICY_KEPT" "$POLICY"
    elif [[ -e $POLICY ]] && grep -qs '^# placed by smmapd tests$' "$POLICY"; then
        rm -f "$POLICY"
    fi
}

# Places a policy that forbids every start; what stood there before is kept beside it.
forbid_starts() {
    restore_policy # a run that was killed may have left its own
    trap restore_policy EXIT
    [[ -e $POLICY ]] && mv -f "$POLICY" "$POLICY_KEPT"
    printf '#!/bin/sh\n# placed by smmapd tests\nexit 101\n' >"$POLICY.new"
    chmod 755 "$POLICY.new"
    mv -f "$POLICY.new" "$POLICY"
}

# apt-get with the given words; where it fails, once more with fresh package lists.
apt() {
    "${APT[@]}" "$@" && return 0
    say "apt-get $1 failed; updating the package lists and trying once more"
    "${APT[@]}" update && "${APT[@]}" "$@"
}

install_packages() {
    local wanted
    mapfile -t wanted < <(not_installed "$@")
    ((${#wanted[@]})) || return 0
    if ((EUID != 0)); then
        say "not root: cannot install ${wanted[*]}"
        return 0 # check names them again, with the command
    fi
    say "installing ${wanted[*]}"
    forbid_starts
    export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
    if [[ " ${wanted[*]} " == *" postfix "* && ! -e /etc/postfix ]]; then
        # No main.cf: the tests run private instances only.
        echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
    fi
    # --no-remove: another mail server on this machine is a reason to stop, not to go.
    apt install -y --no-install-recommends --no-remove \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "${wanted[@]}" >&2 || {
        say "apt-get could not install ${wanted[*]} (its reason is above)"
        exit 3
    }
    restore_policy
    trap - EXIT
}

unpack() {
    local name=$1 work file packages
    unpacked "$name" && return 0
    packages=$(unpacked_for "$name")
    say "unpacking $packages into $CACHE/$name"
    work=$(mktemp -d "$CACHE/.$name.XXXXXX")
    # shellcheck disable=SC2086
    (cd "$work" && apt -o APT::Sandbox::User=root download $packages) >&2 || {
        rm -rf "$work"
        say "apt-get could not download $packages (its reason is above)"
        exit 3
    }
    for file in "$work"/*.deb; do
        dpkg -x "$file" "$work/root"
        rm -f "$file"
    done
    chmod 755 "$work" "$work/root"
    printf '%s' "$packages" >"$work/.complete"
    rm -rf "${CACHE:?}/$name"
    mv "$work" "$CACHE/$name"
}

install() {
    local group all=()
    check "$@" 2>/dev/null && return 0
    mapfile -t all < <(installed_for "$RELEASE" "$@")
    mkdir -p "$CACHE"
    exec 9>"$CACHE/.lock"
    flock -w "$LOCK_WAIT_S" 9 || {
        say "another run holds $CACHE/.lock for more than $LOCK_WAIT_S s"
        exit 3
    }
    # The daemons and shells of maintainer scripts must not inherit the lock: 9>&-.
    install_packages "${all[@]}" 9>&-
    for group in "$@"; do
        [[ -z ${GROUPS_UNPACKED[$group]:-} ]] || unpack "$group" 9>&-
    done
    check "$@"
}

RELEASE=$(release)
readonly RELEASE

main() {
    (($# > 0)) || usage
    local verb=$1 group
    shift
    if [[ $verb == where ]]; then
        (($# == 1)) && [[ -n ${GROUPS_UNPACKED[$1]:-} ]] || usage
        printf '%s\n' "$CACHE/$1/root"
        return 0
    fi
    if [[ $verb == names ]]; then
        [[ ${1:-} == 12 || ${1:-} == 13 ]] || usage
        # shellcheck disable=SC2086
        (($# > 1)) || set -- "$1" $DEFAULT_GROUPS
        for group in "${@:2}"; do
            [[ -n ${GROUPS_INSTALLED[$group]:-} ]] || usage
        done
        installed_for "$@" | sort -u
        return 0
    fi
    [[ $verb == check || $verb == install ]] || usage
    # shellcheck disable=SC2086
    (($# > 0)) || set -- $DEFAULT_GROUPS
    for group in "$@"; do
        [[ -n ${GROUPS_INSTALLED[$group]:-} ]] || usage
    done
    command -v dpkg-query >/dev/null || {
        say "this is not a Debian machine (no dpkg-query); the tests of real programs need Debian 12 or 13"
        exit 1
    }
    "$verb" "$@"
}

main "$@"
