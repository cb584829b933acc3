/* What hostile hosts do, one case a run: each has to get the documented result, and must neither crash
 * nor leave a descriptor open.
 *
 *     hostile list
 *     hostile CASE
 *     hostile cycles COUNT [DATABASE] */
#include "cases.h"

static const struct {
  const char *name;
  void (*run)(void);
} cases[] = {
    {"null", case_null},
    {"sizes", case_sizes},
    {"values", case_values},
    {"extremes", case_extremes},
    {"bad-descriptors", case_bad_descriptors},
    {"blocking-descriptor", case_blocking_descriptor},
    {"descriptor-twice", case_descriptor_twice},
    {"duplicate-descriptor", case_duplicate_descriptor},
    {"descriptor-closed-behind", case_descriptor_closed_behind},
    {"number-used-again", case_number_used_again},
    {"full", case_full},
    {"clients-vanish", case_clients_vanish},
    {"context-released", case_context_released},
    {"metadata", case_metadata},
    {"expires", case_expires},
    {"refusals", case_refusals},
    {"calls-from-callbacks", case_calls_from_callbacks},
    {"shutdown-from-callbacks", case_shutdown_from_callbacks},
    {"destroy-in-stopped", case_destroy_in_stopped},
    {"close-in-each", case_close_in_each},
    {"close-tells", case_close_tells},
    {"destroy-in-host-timer", case_destroy_in_host_timer},
    {"store-answered-twice", case_store_answered_twice},
    {"store-never-answered", case_store_never_answered},
    {"store-answered-after-shutdown", case_store_answered_after_shutdown},
    {"store-answered-after-destroy", case_store_answered_after_destroy},
    {"store-disorder", case_store_disorder},
    {"authorize-twice", case_authorize_twice},
    {"authorize-never", case_authorize_never},
    {"authorize-after-client", case_authorize_after_client},
    {"authorize-after-shutdown", case_authorize_after_shutdown},
    {"authorize-after-destroy", case_authorize_after_destroy},
    {"drain", case_drain},
    {"drain-of-nobody", case_drain_of_nobody},
    {"drain-twice", case_drain_twice},
    {"drain-cut-short", case_drain_cut_short},
    {"before-start", case_before_start},
    {"after-shutdown", case_after_shutdown},
    {"shutdown-twice", case_shutdown_twice},
    {"loop-destroyed-first", case_loop_destroyed_first},
    {"fork", case_fork},
    {"wrong-thread", case_wrong_thread},
    {"two-on-one-loop", case_two_on_one_loop},
    {"ten-threads", case_ten_threads},
    {"ten-loops", case_ten_loops},
};

enum { CASES = sizeof cases / sizeof *cases };

/* A life before the one that counts: what the library opens once and keeps is no leak. */
static void warm_up(void) {
  world world = {0};
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  turns(&world, 3);
  world_end(&world);
}

int main(int count, char **arguments) {
  const char *wanted = count > 1 ? arguments[1] : "";
  int before;
  if (strcmp(wanted, "list") == 0) {
    for (int index = 0; index < CASES; index++) puts(cases[index].name);
    return 0;
  }
  /* As it is in a program that never thought of it. */
  signal(SIGPIPE, SIG_DFL);
  warm_up();
  before = open_descriptors();
  if (strcmp(wanted, "cycles") == 0 && count > 2) {
    case_cycles(atoi(arguments[2]), count > 3 ? arguments[3] : NULL);
  } else {
    int index = 0;
    while (index < CASES && strcmp(cases[index].name, wanted) != 0) index++;
    if (index == CASES) give_up(__FILE__, __LINE__, "no such case");
    cases[index].run();
  }
  if (open_descriptors() != before) {
    fprintf(stderr, "%d descriptors before, %d after\n", before, open_descriptors());
    return 1;
  }
  return 0;
}
