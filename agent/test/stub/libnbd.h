/* libnbd.h as far as send.c and request.c need it, for unit-send.c, which plays the server. */
#ifndef STUB_LIBNBD_H
#define STUB_LIBNBD_H

#include <stddef.h>
#include <stdint.h>

#define LIBNBD_CMD_FLAG_FUA 1u
#define LIBNBD_CMD_FLAG_NO_HOLE 2u

struct nbd_handle;

typedef struct {
  int (*callback) (void *user_data, int *error);
  void *user_data;
  void (*free) (void *user_data);
} nbd_completion_callback;

int64_t nbd_aio_pread (struct nbd_handle *h, void *buffer, size_t length, uint64_t offset, nbd_completion_callback done,
                       uint32_t flags);
int64_t nbd_aio_pwrite (struct nbd_handle *h, const void *buffer, size_t length, uint64_t offset,
                        nbd_completion_callback done, uint32_t flags);
int64_t nbd_aio_trim (struct nbd_handle *h, uint64_t length, uint64_t offset, nbd_completion_callback done, uint32_t flags);
int64_t nbd_aio_zero (struct nbd_handle *h, uint64_t length, uint64_t offset, nbd_completion_callback done, uint32_t flags);
int64_t nbd_aio_flush (struct nbd_handle *h, nbd_completion_callback done, uint32_t flags);
const char *nbd_get_error (void);

#endif
