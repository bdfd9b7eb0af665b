#!/bin/sh
# beat.sh sends a signed request to a gateway: a heartbeat, or a run-now with its parameters.
#
#   SYSTOLE_KEY_NAME=cron SYSTOLE_KEY_FILE=/etc/systole/key beat.sh https://systole.example/heartbeat [JSON]
#
# It needs openssl, curl and od. The key is in no program's arguments: printf is the shell's own.
set -eu

url=$1 body=${2-}
key=$(cat "$SYSTOLE_KEY_FILE")

# HMAC-SHA256 (RFC 2104) of standard input, in base64. openssl takes a key as an argument only, where others can see it.
if [ ${#key} -le 64 ]; then hex=$(printf %s "$key" | od -An -v -tx1)
else hex=$(printf %s "$key" | openssl dgst -sha256 -binary | od -An -v -tx1); fi
pad() {
	left=64
	for byte in $hex; do printf "\\$(printf %03o $((0x$byte ^ $1)))"; left=$((left - 1)); done
	while [ $left -gt 0 ]; do printf "\\$(printf %03o "$1")"; left=$((left - 1)); done
}
sha256() { openssl dgst -sha256 -binary; }
hmac() { { pad 92; { pad 54; cat; } | sha256; } | sha256 | openssl base64 -A; }

# What is signed (RFC 9421): method, path and query as they are sent, and the digest of a body.
rest=${url#*://}
path=/${rest#*/} query='?'
case $path in *\?*) query="?${path#*\?}" path=${path%%\?*} ;; esac
covered='"@method" "@path" "@query"'
base=$(printf '"@method": POST\n"@path": %s\n"@query": %s' "$path" "$query")
set -- -fsS -X POST --retry 3
if [ -n "$body" ]; then
	digest="sha-256=:$(printf %s "$body" | sha256 | openssl base64 -A):"
	covered="$covered \"content-digest\""
	base=$(printf '%s\n"content-digest": %s' "$base" "$digest")
	set -- "$@" -H 'Content-Type: application/json' -H "Content-Digest: $digest" --data-raw "$body"
fi
params="($covered);created=$(date +%s);keyid=\"$SYSTOLE_KEY_NAME\";alg=\"hmac-sha256\";nonce=\"$(openssl rand -hex 8)\""
signature=$(printf '%s\n"@signature-params": %s' "$base" "$params" | hmac)

# A retry of curl is the same request, which the gateway knows again: it counts once.
printf 'Signature-Input: sig=%s\nSignature: sig=:%s:\n' "$params" "$signature" | curl "$@" -H @- "$url"
