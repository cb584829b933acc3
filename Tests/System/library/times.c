/* Says what becomes of options with one negative time each. */
#include <millstream.h>
#include <stdio.h>

static void position(void *user, millstream_question *question, const char *stream) {
  (void)user, (void)stream;
  millstream_answer_absent(question);
}

static void read_after(
    void *user, millstream_question *question, const char *stream, int64_t after, size_t limit) {
  (void)user, (void)stream, (void)after, (void)limit;
  millstream_answer_end(question, false);
}

static void create_with(size_t offset, const char *name) {
  millstream *streamer = NULL;
  char error[128];
  millstream_store store = millstream_store_init();
  millstream_options options = millstream_options_init();
  millstream_result result;
  const int64_t time = -1;
  store.position = position;
  store.read = read_after;
  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  options.store = &store;
  memcpy((char *)&options + offset, &time, sizeof time);
  result = millstream_create(&options, &streamer, error, sizeof error);
  printf("%s: %d %s\n", name, (int)result, error);
  millstream_destroy(streamer);
}

#define CREATE_WITH(time) create_with(offsetof(millstream_options, time), #time)

int main(void) {
  CREATE_WITH(heartbeat_ms);
  CREATE_WITH(write_deadline_ms);
  CREATE_WITH(head_timeout_ms);
  CREATE_WITH(retry_ms);
  CREATE_WITH(idle_timeout_ms);
  CREATE_WITH(safety_poll_ms);
  CREATE_WITH(presence_grace_ms);
  CREATE_WITH(hole_wait_ms);
  return 0;
}
