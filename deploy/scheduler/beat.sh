#!/bin/sh
# Sends one heartbeat. The token goes to curl through a pipe, so that it is in no argument list.
# A heartbeat is idempotent: sending it again after a lost answer is harmless.
set -eu
token=$(cat "${HEARTBEAT_TOKEN_FILE:-/run/secrets/heartbeat_token}")
printf 'header = "Authorization: Bearer %s"\n' "$token" |
	curl --config - --request POST --silent --show-error --fail-with-body --write-out '\n' \
		--max-time 10 --retry 3 --retry-connrefused --retry-max-time 40 \
		"${GATEWAY_URL:-http://127.0.0.1:8080}/heartbeat${HEARTBEAT_GROUP:+/$HEARTBEAT_GROUP}"
