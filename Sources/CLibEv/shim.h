/* libev's watcher set-up is macros, which Swift does not import: each is a function here. */
#pragma once
#include <ev.h>

typedef void (*ms_io_callback)(struct ev_loop *loop, ev_io *watcher, int events);
typedef void (*ms_timer_callback)(struct ev_loop *loop, ev_timer *watcher, int events);
typedef void (*ms_async_callback)(struct ev_loop *loop, ev_async *watcher, int events);
typedef void (*ms_signal_callback)(struct ev_loop *loop, ev_signal *watcher, int events);
typedef void (*ms_prepare_callback)(struct ev_loop *loop, ev_prepare *watcher, int events);
typedef void (*ms_check_callback)(struct ev_loop *loop, ev_check *watcher, int events);
typedef void (*ms_cleanup_callback)(struct ev_loop *loop, ev_cleanup *watcher, int events);
typedef void (*ms_idle_callback)(struct ev_loop *loop, ev_idle *watcher, int events);

static inline void ms_io_init(ev_io *w, ms_io_callback callback, int fd, int events) {
  ev_io_init(w, callback, fd, events);
}

/* Changes what a stopped watcher asks for, without telling libev that the descriptor is new. */
static inline void ms_io_modify(ev_io *w, int events) { ev_io_modify(w, events); }

static inline void ms_timer_init(ev_timer *w, ms_timer_callback callback, double after_s,
                                 double repeat_s) {
  ev_timer_init(w, callback, after_s, repeat_s);
}

static inline void ms_timer_set_repeat(ev_timer *w, double repeat_s) { w->repeat = repeat_s; }

static inline void ms_async_init(ev_async *w, ms_async_callback callback) {
  ev_async_init(w, callback);
}

static inline void ms_signal_init(ev_signal *w, ms_signal_callback callback, int signal_number) {
  ev_signal_init(w, callback, signal_number);
}

static inline void ms_prepare_init(ev_prepare *w, ms_prepare_callback callback) {
  ev_prepare_init(w, callback);
}

static inline void ms_cleanup_init(ev_cleanup *w, ms_cleanup_callback callback) {
  ev_cleanup_init(w, callback);
}

static inline void ms_check_init(ev_check *w, ms_check_callback callback) {
  ev_check_init(w, callback);
}

static inline void ms_idle_init(ev_idle *w, ms_idle_callback callback) {
  ev_idle_init(w, callback);
}

static inline int ms_io_is_active(const ev_io *w) { return ev_is_active(w); }
static inline int ms_timer_is_active(const ev_timer *w) { return ev_is_active(w); }
static inline int ms_idle_is_active(const ev_idle *w) { return ev_is_active(w); }
