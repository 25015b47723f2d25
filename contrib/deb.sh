#!/bin/sh
# Builds the Debian package: contrib/deb.sh OUTPUT
#
# Takes the clone as it stands now without what git ignores, builds in OUTPUT/source,
# and leaves OUTPUT/smmapd-gateway_VERSION_all.deb.
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
output=$(cd "$1" && pwd)

command -v dpkg-buildpackage >/dev/null || {
    echo "deb.sh: dpkg-buildpackage is missing: apt-get install dpkg-dev" >&2
    exit 69
}
rm -rf "$output/source" "$output"/smmapd*
mkdir "$output/source"
# --ignore-failed-read: a file that is deleted and not yet committed.
git -C "$source" -c safe.directory="$source" ls-files -z --cached --others --exclude-standard -- \
    CHANGELOG.md LICENSE README.md SECURITY.md contrib docs gateway man pyproject.toml smmapd |
    tar -C "$source" --null --files-from=- --ignore-failed-read -c |
    tar -C "$output/source" -x
cp -R "$output/source/contrib/debian" "$output/source/debian"
# The builder of the package maintains it: DEBFULLNAME and DEBEMAIL, as for dch(1), or this user.
maintainer="${DEBFULLNAME:-The smmapd developers} <${DEBEMAIL:-$(id -un)@$(hostname -f 2>/dev/null || hostname)}>"
sed -i "s/@MAINTAINER@/$maintainer/" "$output/source/debian/control" \
    "$output/source/debian/changelog" "$output/source/debian/NEWS" "$output/source/debian/copyright"
cd "$output/source"
# Debian's own Python, whatever stands before it in PATH.
PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage -us -uc -b
