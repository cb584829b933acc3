/* Each case is a function that returns, or ends the program. */
#ifndef EMBEDDING_CASES_H
#define EMBEDDING_CASES_H

#include "world.h"

/* arguments.c */
void case_null(void);
void case_sizes(void);
void case_values(void);
void case_extremes(void);

/* descriptors.c */
void case_bad_descriptors(void);
void case_blocking_descriptor(void);
void case_descriptor_twice(void);
void case_duplicate_descriptor(void);
void case_descriptor_closed_behind(void);
void case_number_used_again(void);
void case_full(void);
void case_clients_vanish(void);
void case_context_released(void);

/* contexts.c */
void case_metadata(void);
void case_expires(void);
void case_refusals(void);

/* callbacks.c */
void case_calls_from_callbacks(void);
void case_shutdown_from_callbacks(void);
void case_destroy_in_stopped(void);
void case_close_in_each(void);
void case_close_tells(void);
void case_destroy_in_host_timer(void);

/* questions.c */
void case_store_answered_twice(void);
void case_store_never_answered(void);
void case_store_answered_after_shutdown(void);
void case_store_answered_after_destroy(void);
void case_store_disorder(void);
void case_authorize_twice(void);
void case_authorize_never(void);
void case_authorize_after_client(void);
void case_authorize_after_shutdown(void);
void case_authorize_after_destroy(void);

/* drains.c */
void case_drain(void);
void case_drain_of_nobody(void);
void case_drain_twice(void);
void case_drain_cut_short(void);

/* lives.c */
void case_before_start(void);
void case_after_shutdown(void);
void case_shutdown_twice(void);
void case_loop_destroyed_first(void);
void case_fork(void);
void case_wrong_thread(void);
void case_two_on_one_loop(void);
void case_ten_threads(void);
void case_ten_loops(void);

/* cycles.c; `count` is how often, the database NULL or a connection string. */
void case_cycles(int count, const char *database);

#endif
