# lib/tasks/systole.rake: `bin/rails systole:heartbeat`, or `rake systole:heartbeat` in any Ruby project. Standard library only.
require "json"
require "net/http"
require "uri"

namespace :systole do
  desc "Run what is due now, and fail if a run fails"
  task :heartbeat do
    group = ENV.fetch("HEARTBEAT_GROUP", "default")
    wait = ENV.fetch("HEARTBEAT_WAIT", "30")
    uri = URI("#{ENV.fetch("GATEWAY_URL")}/heartbeat/#{group}?wait=#{wait}s")
    token = File.read(ENV.fetch("HEARTBEAT_TOKEN_FILE", "/etc/systole/token")).strip

    request = Net::HTTP::Post.new(uri, "Authorization" => "Bearer #{token}", "Content-Type" => "application/json")
    request.body = JSON.generate(source: "rake", note: ENV.fetch("KAMAL_VERSION", ""))
    attempts = 0
    begin
      attempts += 1
      response = Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == "https", open_timeout: 5, read_timeout: wait.to_i + 10) do |http|
        http.request(request)
      end
      raise IOError, "the gateway answered #{response.code}" if ["429", "503"].include?(response.code)
    rescue SystemCallError, IOError, Timeout::Error => error
      abort "heartbeat: #{error.message}" if attempts == 3
      sleep attempts # a beat is idempotent: to send it again is harmless
      retry
    end

    answer = JSON.parse(response.body)
    abort "heartbeat: #{response.code} #{answer["detail"]}" unless response.is_a?(Net::HTTPSuccess)
    puts response.body
    abort "heartbeat: #{answer["failed"]} runs failed" if answer["failed"].to_i > 0
  end
end
