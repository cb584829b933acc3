# frozen_string_literal: true

bind ENV.fetch("BIND", "tcp://127.0.0.1:9292")
threads 1, 4
# Exits with 0 when it is told to stop.
raise_exception_on_sigterm false
# By default Puma waits half a minute for whoever has just connected and said nothing yet, and only then
# Millstream's clients hear of the end.
force_shutdown_after 3
