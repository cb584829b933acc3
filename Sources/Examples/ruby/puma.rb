# frozen_string_literal: true

bind ENV.fetch("BIND", "tcp://127.0.0.1:9292")
threads 1, 4
# Exits with 0 when it is told to stop.
raise_exception_on_sigterm false
