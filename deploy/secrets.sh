#!/bin/sh
# Makes the tokens of the compose stack, 256 random bits each, and leaves the ones that are there.
# Compose mounts a secret with the owner and mode that it has here, and Systole runs as another user than you: so each
# file may be read by all, and the folder around them only by you.
set -eu
dir=${1:-$(dirname "$0")/secrets}
mkdir -p "$dir"
chmod 700 "$dir"
for name in heartbeat_token api_token; do
	if [ -s "$dir/$name" ]; then
		echo "kept $dir/$name"
		continue
	fi
	# Written beside and moved, so that a file is there whole or not at all.
	(umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/.$name.new")
	chmod 444 "$dir/.$name.new"
	mv "$dir/.$name.new" "$dir/$name"
	echo "made $dir/$name"
done
