/* A host that does nothing: it says which library it runs with, and what that has done to the process.
 * C99 and C++11 alike. */
#define _POSIX_C_SOURCE 200809L
#include <millstream.h>
#include <signal.h>
#include <stdio.h>

/* What a library that minds its own business leaves as it was. */
static int handled_signals(void) {
  int count = 0;
  for (int number = 1; number <= 64; ++number) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) != 0) continue;
    if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) ++count;
  }
  return count;
}

int main(void) {
  printf("header %d.%d.%d\n", MILLSTREAM_VERSION_MAJOR, MILLSTREAM_VERSION_MINOR,
         MILLSTREAM_VERSION_PATCH);
  printf("library %s\n", millstream_version());
  printf("number %ld\n", (long)millstream_version_number());
  printf("result %s\n", millstream_result_text(MILLSTREAM_FORKED));
  printf("handled signals %d\n", handled_signals());
  return 0;
}
