#!/bin/sh
# Makes a private CA and certificates of it, to try TLS with, and leaves what is there: one for each server, with the names
# it is called by, and one for each role.
#
#   deploy/certs.sh [folder [folder on the servers]]     default: certs beside this script, and /etc/nats/tls
#
# They last a year, and nothing renews them. In production take certificates from cert-manager or from a CA of your own that
# renews them, under the same names of files, and never keep a CA's key where servers or roles can read it.
#
# As with secrets.sh, each file but ca.key may be read by all, since Compose mounts it with the owner and mode that it has here,
# and the folder around them only by you. Elsewhere give keys to the users of the servers alone.
set -eu
umask 077
dir=${1:-$(dirname "$0")/certs}
there=${2:-/etc/nats/tls}
days=365
mkdir -p "$dir"
chmod 700 "$dir"

# quiet shows what openssl says only if it fails.
quiet() {
	if ! said=$("$@" 2>&1); then
		echo "$said" >&2
		exit 1
	fi
}

new_key() { rm -f "$1" && quiet openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

if [ ! -s "$dir/ca.crt" ]; then
	new_key "$dir/ca.key"
	quiet openssl req -x509 -new -key "$dir/ca.key" -sha256 -days "$days" -subj "/CN=Systole try-out CA" \
		-addext "basicConstraints=critical,CA:true" -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$dir/ca.crt"
	echo "made $dir/ca.crt"
fi

# certificate name usage alternative-names
certificate() {
	if [ -s "$dir/$1.crt" ]; then
		echo "kept $dir/$1.crt"
		return
	fi
	new_key "$dir/$1.key"
	quiet openssl req -new -key "$dir/$1.key" -subj "/CN=$1" -out "$dir/$1.csr"
	printf 'basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$2" "$3" >"$dir/$1.ext"
	quiet openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -sha256 -days "$days" \
		-extfile "$dir/$1.ext" -out "$dir/$1.crt"
	rm -f "$dir/$1.csr" "$dir/$1.ext"
	echo "made $dir/$1.crt"
}

# Servers are clients of each other in a cluster.
local="DNS:localhost,IP:127.0.0.1,IP:::1"
certificate nats serverAuth,clientAuth "DNS:nats,DNS:nats-1,DNS:nats-2,DNS:nats-3,$local"
certificate redis serverAuth,clientAuth "DNS:redis,DNS:redis-1,DNS:redis-2,DNS:redis-3,DNS:sentinel-1,DNS:sentinel-2,DNS:sentinel-3,$local"
certificate worker clientAuth "DNS:worker"
for role in gateway console; do certificate "$role" serverAuth,clientAuth "DNS:$role,$local"; done

# What tls.conf of NATS includes.
rm -f "$dir/certificates.conf"
printf 'nats_certificate: "%s/nats.crt"\nnats_key: "%s/nats.key"\nnats_ca: "%s/ca.crt"\n' "$there" "$there" "$there" >"$dir/certificates.conf"

for file in "$dir"/*.crt "$dir"/*.key "$dir/certificates.conf"; do
	[ "$file" = "$dir/ca.key" ] || chmod 444 "$file"
done
