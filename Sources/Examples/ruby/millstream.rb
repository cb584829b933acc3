# frozen_string_literal: true

# As much of libmillstream as a Rack application needs, through Fiddle, which comes with Ruby.
# MILLSTREAM_LIBRARY names the library where the linker does not find it.

require "fiddle/import"

class Millstream
  module C
    extend Fiddle::Importer
    # With its symbols, and those of libev, for itself: Fiddle's default would let the libev that Puma's
    # nio4r carries, which knows of Ruby's lock, be taken over by the one that Millstream uses.
    dlload Fiddle::Handle.new(
      ENV.fetch("MILLSTREAM_LIBRARY", "libmillstream.so.0"), Fiddle::Handle::RTLD_NOW
    )

    # As in millstream.h; a field that is 0 or NULL stands for the default.
    Options = struct [
      "size_t size", "int loop_kind", "void *loop",
      "char *database", "char *listen_database", "unsigned int stores", "char *queue_prefix", "void *store",
      "int64_t heartbeat_ms", "int64_t idle_timeout_ms", "int64_t write_deadline_ms",
      "int64_t head_timeout_ms", "int64_t safety_poll_ms", "int64_t retry_ms",
      "size_t max_connections", "size_t log_bytes",
      "char *pgmq_prefix", "char *native_prefix", "char *host_prefix",
      "void *secrets", "size_t secret_count",
      "void *public_patterns", "size_t public_pattern_count",
      "void *allowed_origins", "size_t allowed_origin_count",
      "void *authorize", "void *authorize_user", "void *audience", "void *audience_user",
      "void *connected", "void *connected_user", "void *disconnected", "void *disconnected_user",
      "void *filter", "void *filter_user", "void *log", "void *log_user", "int log_level"
    ]
    Context = struct [
      "size_t size", "char *member", "void *labels", "size_t label_count", "void *tag", "void *release"
    ]
    Subscription = struct [
      "size_t size", "int descriptor", "int store", "char *stream", "char *signed_name",
      "char *cursor", "unsigned char is_head_sent", "void *context"
    ]

    extern "int millstream_create(void *, void *, char *, size_t)"
    extern "int millstream_start(void *)"
    extern "int millstream_subscribe(void *, void *, void *)"
    extern "int millstream_shutdown(void *, int64_t, void *, void *)"
    extern "int millstream_join(void *)"
    extern "int millstream_destroy(void *)"
    extern "char *millstream_result_text(int)"
  end

  LOOP_THREAD = 2
  PGMQ = 1
  OK = 0
  INVALID_TEXT = 2
  INVALID_CURSOR = 3
  NOT_SIGNED = 4

  # Starts a streamer, whose loop runs in a thread of its own that Ruby knows nothing of. No callbacks:
  # they would come on that thread, where no Ruby code may run.
  #
  # In a Puma cluster, make it in `on_worker_boot`: an instance is not the child's after a fork.
  def initialize(database:, secrets:)
    options = zeroed(C::Options)
    options.loop_kind = LOOP_THREAD
    options.database = pointer(database)
    options.stores = PGMQ
    options.secrets = pointers(secrets)
    options.secret_count = secrets.size
    @instance = create(options)
    C.millstream_start(@instance)
  end

  # What pgbus's `Instance#register` does: hands a hijacked socket over, and forgets it. Returns a result;
  # with OK the client is Millstream's, otherwise the socket is still the caller's.
  #
  # Ruby closes the descriptor of an IO when the IO is closed or collected, and would then close whatever
  # has got that number since. So Millstream gets a duplicate that no IO owns any more, and ours is closed.
  def register(io, signed_name:, cursor: nil, member: nil)
    copy = io.dup
    copy.autoclose = false
    result = subscribe(copy.fileno, signed_name, cursor, member)
    if result == OK
      io.close
    else
      copy.autoclose = true
      copy.close
    end
    result
  end

  def shutdown
    C.millstream_shutdown(@instance, 0, nil, nil)
    C.millstream_join(@instance)
    C.millstream_destroy(@instance)
  end

  private

  def create(options)
    instance = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
    error = Fiddle::Pointer.malloc(256, Fiddle::RUBY_FREE)
    result = C.millstream_create(options, instance, error, 256)
    raise "millstream: #{error}" unless result == OK

    instance.ptr
  end

  def subscribe(descriptor, signed_name, cursor, member)
    # What is passed has to live until the call returns: hence the variables.
    strings = [signed_name, cursor, member].map { |text| text && Fiddle::Pointer[text] }
    context = zeroed(C::Context)
    context.member = strings[2] || 0
    subscription = zeroed(C::Subscription)
    subscription.descriptor = descriptor
    subscription.store = PGMQ
    subscription.signed_name = strings[0] || 0
    subscription.cursor = strings[1] || 0
    subscription.context = context.to_ptr
    C.millstream_subscribe(@instance, subscription, nil)
  end

  def zeroed(type)
    value = type.malloc(Fiddle::RUBY_FREE)
    value.to_ptr[0, type.size] = "\0" * type.size
    value.size = type.size
    value
  end

  def pointer(text)
    (@kept ||= []) << Fiddle::Pointer[text]
    @kept.last
  end

  # A C array of strings.
  def pointers(texts)
    pointer(texts.map { |text| pointer(text).to_i }.pack("J*"))
  end
end
