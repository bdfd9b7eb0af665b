package main

// consoleExamples has a line for each operation of the admin API. A token goes into the header: -H "Authorization: Bearer …".
const consoleExamples = `  systole console --config systole.yaml
  curl http://127.0.0.1:8081/api/v1/health
  curl http://127.0.0.1:8081/api/v1/status
  curl 'http://127.0.0.1:8081/api/v1/beats?group=default&limit=10'
  curl http://127.0.0.1:8081/api/v1/flows
  curl http://127.0.0.1:8081/api/v1/flows/orders-sync
  curl 'http://127.0.0.1:8081/api/v1/flows/orders-sync/slots?limit=10'
  curl 'http://127.0.0.1:8081/api/v1/runs?flow=orders-sync&status=failed'
  curl http://127.0.0.1:8081/api/v1/runs/orders-sync~1795388654370168
  curl http://127.0.0.1:8081/api/v1/runs/orders-sync~1795388654370168/logs
  curl http://127.0.0.1:8081/api/v1/dead
  curl --json '{"params":{"day":"2026-11-22"}}' http://127.0.0.1:8081/api/v1/flows/orders-sync/runs
  curl --json '{"reason":"wrong day"}' http://127.0.0.1:8081/api/v1/runs/report~1795388654370168/cancel
  curl -X POST http://127.0.0.1:8081/api/v1/runs/orders-sync~1795388654370168/retry
  curl --json '{"reason":"maintenance"}' http://127.0.0.1:8081/api/v1/flows/orders-sync/pause
  curl -X POST http://127.0.0.1:8081/api/v1/flows/orders-sync/resume
  curl -X POST http://127.0.0.1:8081/api/v1/dead/broken~1795388654370168/retry
  curl -X DELETE http://127.0.0.1:8081/api/v1/dead/broken~1795388654370168
  curl -X DELETE 'http://127.0.0.1:8081/api/v1/dead?all=true'
  curl --json '{"name":"nightly","cron":"0 2 * * *","exec":{"command":["./nightly.sh"]}}' http://127.0.0.1:8081/api/v1/flows
  curl -X PUT --json '{"name":"nightly","cron":"0 3 * * *","exec":{"command":["./nightly.sh"]}}' http://127.0.0.1:8081/api/v1/flows/nightly
  curl --json '{"source":"flows/","dry_run":true,"flows":[{"name":"nightly","function":{"name":"noop"}}]}' http://127.0.0.1:8081/api/v1/flows:apply
  curl 'http://127.0.0.1:8081/api/v1/flows:applied?source=flows/'
  curl -X DELETE http://127.0.0.1:8081/api/v1/flows/orders-sync
  curl http://127.0.0.1:8081/api/openapi.json
  curl http://127.0.0.1:8081/api/flow.schema.json`

// gatewayExamples has a line for each thing that may be asked of the gateway, and of the listener of every role's health.
const gatewayExamples = `  SYSTOLE_GATEWAY__LISTEN=0.0.0.0:8080 systole gateway --config systole.yaml
  curl -X POST http://127.0.0.1:8080/heartbeat
  curl 'http://127.0.0.1:8080/heartbeat?wait=30s'
  curl --json '{"source":"cron","note":"nightly"}' -H 'Idempotency-Key: 2026-11-22' http://127.0.0.1:8080/heartbeat/reports
  curl http://127.0.0.1:8080/heartbeat/reports
  curl --json '{"day":"2026-11-22"}' http://127.0.0.1:8080/run/default/orders-sync
  curl http://127.0.0.1:9090/healthz
  curl http://127.0.0.1:9090/readyz
  curl http://127.0.0.1:9090/metrics`
