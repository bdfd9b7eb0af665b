# terraform apply -var gateway=https://systole.example -var project=my-project -var region=europe-west3
variable "gateway" { type = string }
variable "project" { type = string }
variable "region" { type = string }

resource "google_service_account" "heartbeat" {
  project      = var.project
  account_id   = "systole-heartbeat"
  display_name = "Sends heartbeats to Systole; may do nothing else"
}

resource "google_cloud_scheduler_job" "heartbeat" {
  project          = var.project
  region           = var.region
  name             = "systole-heartbeat"
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "15s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "5s"
    max_backoff_duration = "20s"
  }

  http_target {
    http_method = "POST"
    uri         = "${var.gateway}/heartbeat"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ source = "cloud-scheduler" }))

    oidc_token {
      service_account_email = google_service_account.heartbeat.email
      audience              = var.gateway
    }
  }
}
