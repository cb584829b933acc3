/* What begins a stream of zlib's is a macro, which Swift does not import. */
#pragma once
#include <zlib.h>

/* Packs as well as it can, with gzip's head and end: 16 more than the largest window's 15 bits. */
static inline int ms_gzip_init(z_stream *stream) {
  return deflateInit2(stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, MAX_MEM_LEVEL,
                      Z_DEFAULT_STRATEGY);
}
