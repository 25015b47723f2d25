#!/bin/sh
# A small authority for TLS between gateways, with openssl(1) alone.
#
#   ca.sh DIR init                     makes the authority: DIR/ca.crt for every gateway,
#                                      DIR/ca.key for nobody else
#   ca.sh DIR sign NAME SAN...         a certificate and its key, DIR/NAME.crt and .key, for
#                                      these names: DNS:mx1.example.org IP:192.0.2.1
#   ca.sh DIR revoke NAME              puts it on the list of revoked certificates
#   ca.sh DIR crl                      writes the list again, DIR/ca.crl: it expires after 30 days
#
# Keep DIR on a machine that serves nobody.  A server needs the name that `store`
# has for it; a client the one in `client_names`.  Sign again before YEAR is over,
# and write the list every week (cron).
set -eu

YEAR=397 LIST=30 AUTHORITY=3650

fail() {
    echo "ca.sh: $1" >&2
    exit "$2"
}

[ $# -ge 2 ] || fail "usage: ca.sh DIR init | sign NAME SAN... | revoke NAME | crl" 64
dir=$1 what=$2
shift 2
umask 077
[ "$what" = init ] || [ -f "$dir/ca.key" ] || fail "$dir has no authority: ca.sh $dir init" 66

new_key() {
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1" 2>/dev/null ||
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"
}

authority() {
    openssl ca -config "$dir/ca.cnf" -cert "$dir/ca.crt" -keyfile "$dir/ca.key" "$@"
}

write_list() {
    authority -gencrl -crldays "$LIST" -out "$dir/ca.crl.new"
    chmod 644 "$dir/ca.crl.new"
    mv "$dir/ca.crl.new" "$dir/ca.crl"
}

case $what in
init)
    [ ! -e "$dir/ca.key" ] || fail "$dir has an authority already" 73
    mkdir -p "$dir"
    printf '[ca]\ndefault_ca=this\n[this]\ndatabase=%s/index\ndefault_md=sha256\n' "$dir" >"$dir/ca.cnf"
    : >"$dir/index"
    new_key "$dir/ca.key"
    openssl req -x509 -new -key "$dir/ca.key" -days "$AUTHORITY" -subj "/CN=smmapd gateways" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$dir/ca.crt"
    chmod 644 "$dir/ca.crt"
    write_list
    ;;
sign)
    [ $# -ge 2 ] || fail "sign needs a name for the files, and DNS:NAME or IP:ADDRESS" 64
    name=$1
    shift
    names=$(printf ',%s' "$@")
    new_key "$dir/$name.key.new"
    openssl req -new -key "$dir/$name.key.new" -subj "/CN=$name" -out "$dir/$name.csr"
    printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n' \
        "${names#,}" >"$dir/$name.ext"
    openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial \
        -days "$YEAR" -extfile "$dir/$name.ext" -out "$dir/$name.crt.new" 2>/dev/null
    chmod 644 "$dir/$name.crt.new"
    mv "$dir/$name.key.new" "$dir/$name.key"
    mv "$dir/$name.crt.new" "$dir/$name.crt"
    rm "$dir/$name.csr" "$dir/$name.ext"
    ;;
revoke)
    [ $# = 1 ] || fail "revoke needs the name of a certificate" 64
    [ -f "$dir/$1.crt" ] || fail "there is no $dir/$1.crt" 66
    authority -revoke "$dir/$1.crt"
    write_list
    ;;
crl) write_list ;;
*) fail "$what: init, sign, revoke or crl" 64 ;;
esac
