"""yourapp/management/commands/heartbeat.py: `manage.py heartbeat`. Django and the standard library only."""

import json
import os
import time
import urllib.error
import urllib.request

from django.core.management.base import BaseCommand, CommandError


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token elsewhere."""

    def redirect_request(self, *args):
        return None


class Command(BaseCommand):
    help = "Has Systole run what is due now, and fails if a run fails."

    def add_arguments(self, parser):
        parser.add_argument("--gateway", default=os.environ.get("GATEWAY_URL", "http://127.0.0.1:8080"))
        parser.add_argument("--group", default="default")
        parser.add_argument("--token-file", default=os.environ.get("HEARTBEAT_TOKEN_FILE", "/etc/systole/token"))
        parser.add_argument("--wait", type=int, default=30, help="seconds; 0 to wait for nothing")

    def handle(self, *args, **options):
        with open(options["token_file"], encoding="ascii") as file:
            token = file.read().strip()
        query = f"?wait={options['wait']}s" if options["wait"] else ""
        request = urllib.request.Request(
            f"{options['gateway']}/heartbeat/{options['group']}{query}",
            data=json.dumps({"source": "django"}).encode(),
            headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"},
            method="POST",
        )
        answer = self.send(request, options["wait"] + 10)
        self.stdout.write(json.dumps(answer))
        if answer.get("failed"):
            raise CommandError(f"{answer['failed']} runs failed")

    def send(self, request, timeout):
        opener = urllib.request.build_opener(NoRedirect)
        for attempt in range(1, 4):
            try:
                with opener.open(request, timeout=timeout) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                problem = f"the gateway answered {error.code}: {error.read(1000).decode(errors='replace')}"
                if error.code not in (429, 503):
                    raise CommandError(problem) from None
            except OSError as error:
                problem = f"the gateway cannot be reached: {error}"
            if attempt < 3:
                time.sleep(attempt)  # a beat is idempotent: to send it again is harmless
        raise CommandError(problem)
