-- Requests of the load generator wrk, taken in turn from the file that REQUESTS names, a line each.
--
-- A line is a path to GET, or a path, a tab and a JSON body to POST. Ends with one line of JSON: requests, seconds,
-- errors and latencies in milliseconds.

local requests, next_request = {}, 0

function init()
  for line in io.lines(os.getenv("REQUESTS")) do
    local path, body = line:match("^(%S+)\t(.*)$")
    if body then
      requests[#requests + 1] = wrk.format("POST", path, { ["Content-Type"] = "application/json" }, body)
    else
      requests[#requests + 1] = wrk.format("GET", line)
    end
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p90": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3))
end
