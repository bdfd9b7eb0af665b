#!/usr/bin/env python3
"""Publishes one heartbeat to NATS and waits until JetStream has stored it.

It needs Python 3 and nothing else: the few lines of NATS' text protocol that it takes are below. A program that talks to
NATS anyway takes its own client (nats-py: await js.publish("systole.beat.default", b"")).

    NATS_URL=nats://127.0.0.1:4222 ./heartbeat.py [group]

A user and password, or a token, come from the variables NATS_USER and NATS_PASSWORD, or NATS_TOKEN; where the user may receive
only on inboxes of its own, NATS_INBOX_PREFIX names them.
"""

import json
import os
import secrets
import socket
import ssl
import sys
from urllib.parse import urlsplit

TIMEOUT = 10  # seconds, for each step


def connect(url):
    """Opens a connection and says who we are."""
    where = urlsplit(url)
    conn = socket.create_connection((where.hostname, where.port or 4222), TIMEOUT)
    reader = conn.makefile("rb")
    info = json.loads(reader.readline().removeprefix(b"INFO "))
    if info.get("tls_required") or where.scheme == "tls":
        conn = ssl.create_default_context().wrap_socket(conn, server_hostname=where.hostname)
        reader = conn.makefile("rb")
    hello = {"verbose": False, "headers": True, "no_responders": True, "lang": "python", "version": "1", "name": "heartbeat"}
    for field, variable in (("user", "NATS_USER"), ("pass", "NATS_PASSWORD"), ("auth_token", "NATS_TOKEN")):
        if os.environ.get(variable):
            hello[field] = os.environ[variable]
    conn.sendall(b"CONNECT " + json.dumps(hello).encode() + b"\r\n")
    return conn, reader


def publish(url, subject, payload):
    """Publishes a message and gives JetStream's acknowledgement."""
    conn, reader = connect(url)
    inbox = os.environ.get("NATS_INBOX_PREFIX", "_INBOX") + "." + secrets.token_hex(11)
    with conn:
        conn.sendall(
            f"SUB {inbox} 1\r\nPUB {subject} {inbox} {len(payload)}\r\n".encode() + payload + b"\r\n"
        )
        while line := reader.readline():
            if line.startswith(b"PING"):
                conn.sendall(b"PONG\r\n")
            elif line.startswith(b"-ERR"):
                raise RuntimeError("NATS says " + line[5:].strip().decode())
            elif line.startswith(b"HMSG"):  # a header without a body: nobody listens on the subject
                raise RuntimeError(f"no stream takes {subject}: has a worker or the gateway run yet?")
            elif line.startswith(b"MSG"):
                answer = json.loads(reader.read(int(line.split()[-1])))
                if "error" in answer:
                    raise RuntimeError("JetStream says " + answer["error"]["description"])
                return answer
    raise RuntimeError("the server closed the connection")


if __name__ == "__main__":
    group = sys.argv[1] if len(sys.argv) > 1 else "default"
    try:
        ack = publish(
            os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), "systole.beat." + group, b'{"source":"heartbeat.py"}'
        )
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"heartbeat: {error}")
    print(f"stored in {ack['stream']} as {ack['seq']}")
