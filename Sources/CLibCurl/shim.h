/* libcurl's setters take any type as their last argument, which Swift does not import: each type is a
 * function here. */
#pragma once
#include <curl/curl.h>

typedef size_t (*ms_curl_write_callback)(char *bytes, size_t size, size_t count, void *user);
typedef int (*ms_curl_socket_callback)(CURL *easy, curl_socket_t socket, int what, void *user,
                                       void *socket_user);
typedef int (*ms_curl_timer_callback)(CURLM *multi, long timeout_ms, void *user);

static inline void ms_curl_set_long(CURL *easy, CURLoption option, long value) {
  curl_easy_setopt(easy, option, value);
}

/* libcurl copies the text. */
static inline void ms_curl_set_text(CURL *easy, CURLoption option, const char *value) {
  curl_easy_setopt(easy, option, value);
}

/* The list has to stay for as long as the transfer lasts. */
static inline void ms_curl_set_headers(CURL *easy, struct curl_slist *headers) {
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}

static inline void ms_curl_set_write(CURL *easy, ms_curl_write_callback callback, void *user) {
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, callback);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, user);
}

static inline void ms_curl_set_private(CURL *easy, void *user) {
  curl_easy_setopt(easy, CURLOPT_PRIVATE, user);
}

static inline void *ms_curl_private(CURL *easy) {
  char *user = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &user);
  return user;
}

static inline long ms_curl_status(CURL *easy) {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

/* -1: it was not announced. */
static inline long ms_curl_content_length(CURL *easy) {
  curl_off_t length = -1;
  curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  return (long)length;
}

/* Borrowed from the handle; NULL: the response said none. */
static inline const char *ms_curl_content_type(CURL *easy) {
  char *type = NULL;
  curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
  return type;
}

static inline void ms_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
  curl_multi_setopt(multi, option, value);
}

static inline void ms_curl_multi_set_callbacks(CURLM *multi, ms_curl_socket_callback socket,
                                               ms_curl_timer_callback timer, void *user) {
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, user);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, user);
}

/* The next transfer that is over, and how; NULL: none is. */
static inline CURL *ms_curl_multi_finished(CURLM *multi, CURLcode *result) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(multi, &left)))
    if (message->msg == CURLMSG_DONE) {
      *result = message->data.result;
      return message->easy_handle;
    }
  return NULL;
}
