# frozen_string_literal: true

# A Rack application that answers for itself, except under pgbus's path: there it takes the socket out of
# Puma's hands (Rack's full hijack) and gives it to Millstream. No Puma thread waits for a browser.
#
#     apt install ruby ruby-rack puma
#     DATABASE_URL=postgresql://localhost/app MILLSTREAM_SECRET=s3cret puma -C puma.rb config.ru

require "rack"
require_relative "millstream"

streamer = Millstream.new(
  database: ENV.fetch("DATABASE_URL"), secrets: [ENV.fetch("MILLSTREAM_SECRET")]
)
at_exit { streamer.shutdown }

# What a refusal looks like on the wire: the socket is ours, so Puma does not answer for us.
refusals = {
  Millstream::NOT_SIGNED => "404 Not Found", Millstream::INVALID_TEXT => "404 Not Found",
  Millstream::INVALID_CURSOR => "400 Bad Request"
}
refusals.default = "503 Service Unavailable\r\nretry-after: 2"

streams = lambda do |env|
  query = Rack::Utils.parse_query(env["QUERY_STRING"])
  cursor = env["HTTP_LAST_EVENT_ID"]
  cursor = query["since"] if cursor.nil? || cursor.strip.empty?
  io = env["rack.hijack"].call
  result = streamer.register(
    io, signed_name: Rack::Utils.unescape_path(env["PATH_INFO"].delete_prefix("/")), cursor: cursor
  )
  unless result == Millstream::OK
    io.write("HTTP/1.1 #{refusals[result]}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    io.close
  end
  # Puma looks at nothing of this once the socket was hijacked.
  [200, {}, []]
end

page = lambda do |env|
  # For the tests: whoever still held a socket of Millstream's would close it now.
  GC.start if env["PATH_INFO"] == "/collect"
  [200, { "content-type" => "text/plain" }, ["a page of the application\n"]]
end

run Rack::URLMap.new("/pgbus/streams" => streams, "/" => page)
