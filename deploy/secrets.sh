#!/bin/sh
# Makes the tokens and passwords of a deployment, 256 random bits each, and leaves the ones that are there; then the files
# with them that NATS and Redis read.
#
#   deploy/secrets.sh [folder]     default: secrets beside this script
#
# With REDIS_MASTER="host port" the Sentinels watch that master instead of redis-1 6379.
#
# A secret of your own is left as well, if it has letters, digits and . _ ~ + / = - alone: others mean something in those files.
#
# Compose mounts a secret with the owner and mode that it has here, and Systole runs as another user than you: so each
# file may be read by all, and the folder around them only by you.
set -eu
here=$(dirname "$0")
dir=${1:-$here/secrets}

tokens="heartbeat_token api_token"
nats_users="gateway worker console scheduler billing operator monitor"
redis_users="worker console monitor replica sentinel operator"

# put writes standard input to a file, beside it first, so that the file is there whole or not at all. Secrets go through
# pipes and printf, which is the shell's own: others could read the arguments of a program.
put() {
	# An engine that was started before makes an empty folder of a file that it is to mount and does not find.
	[ ! -d "$dir/$1" ] || rmdir "$dir/$1"
	(umask 077 && cat >"$dir/.$1.new")
	chmod 444 "$dir/.$1.new"
	mv -f "$dir/.$1.new" "$dir/$1"
}

make_secret() {
	if [ -f "$dir/$1" ] && [ -s "$dir/$1" ]; then
		echo "kept $dir/$1"
	else
		od -An -N32 -tx1 /dev/urandom | tr -d ' \n' | put "$1"
		echo "made $dir/$1"
	fi
	case $(secret "$1") in
	'' | *[!a-zA-Z0-9._~+/=-]*)
		echo "error: $dir/$1 is empty, or has other characters than letters, digits and . _ ~ + / = -" >&2
		exit 1
		;;
	esac
}

# secret tells one as Systole reads it: without the line's end.
secret() { printf %s "$(cat "$dir/$1")"; }

sha256() {
	if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

mkdir -p "$dir"
chmod 700 "$dir"
for name in $tokens; do make_secret "$name"; done
for user in $nats_users; do make_secret "nats_${user}_password"; done
for user in $redis_users; do make_secret "redis_${user}_password"; done

for user in $nats_users; do
	printf 'nats_%s: "%s"\n' "$user" "$(secret "nats_${user}_password")"
done | put nats_passwords.conf

# fill writes a template of deploy/redis with what stands for @…@, lines that end in \ joined, and without comments.
fill() {
	{
		for user in $redis_users; do
			printf 's|@redis_%s@|%s|\n' "$user" "$(secret "redis_${user}_password" | sha256)"
		done
		printf 's|@redis_sentinel_password@|%s|\ns|@redis_master@|%s|\n' "$(secret redis_sentinel_password)" "${REDIS_MASTER:-redis-1 6379}"
	} | sed -f - -e '/^#/d' -e '/^$/d' -e ':join' -e '/\\$/{' -e N -e 's/ *\\\n */ /' -e 'b join' -e '}' "$here/redis/$1.template" | put "redis_$1"
}

fill users.acl
fill sentinel.acl
fill sentinel.conf
printf 'masteruser replica\nmasterauth %s\n' "$(secret redis_replica_password)" | put redis_replication-auth.conf
echo "made $dir/nats_passwords.conf and $dir/redis_*: load them with a restart"
