/* request: the upper half, in nbdkit's worker threads. Queue, sleep, return. */
#include <errno.h>
#include <string.h>

#include <libnbd.h>

#include "disk.h"

/* nbd-server carries out a WRITE_ZEROES in pieces of 64 MiB, all of them at the same place (expwrite_zeroes, in its git
 * of May 2026, too): of a longer one the rest keeps its old data, and the answer is that all is well. */
#define ZERO_MAX (32u << 20)

bool
is_change (const struct request *r)
{
  return r->op == OP_WRITE || r->op == OP_TRIM || r->op == OP_ZERO;
}

void
disk_answer (struct request *r, int error)
{
  struct waiter *w = r->waiter;

  if (!w)
    return;
  r->waiter = NULL;
  w->need_flush |= r->weak_fua;
  if (error)
    w->error = error;
  if (--w->left == 0)
    pthread_cond_signal (&w->cond);
}

void
disk_made_room (struct disk *d)
{
  if (d->room_waiters > 0)
    pthread_cond_broadcast (&d->room);
}

void
disk_free_request (struct disk *d, struct request *r)
{
  if (r == &d->own_flush)
    d->own_flush_busy = false;
  else if (r == &d->probe)
    d->probe_busy = false;
  else if (!is_change (r)) {
    TAILQ_INSERT_HEAD (&d->pool_free, r, link);
    disk_made_room (d);
  }
}

static void
wait_for_room (struct disk *d)
{
  d->room_waiters++;
  disk_kick (d);                        /* the engine may have to flush to make some */
  pthread_cond_wait (&d->room, &d->lock);
  d->room_waiters--;
}

/* A slot, in order of arrival: a large request is not starved by small ones. NO_SLOT: the disk has ended. */
static uint32_t
take_slot (struct disk *d, enum change op, uint64_t offset, uint32_t length, uint32_t flags)
{
  uint64_t ticket = d->ticket_next++;
  uint32_t slot = NO_SLOT;

  while (d->state != ENDED) {
    if (ticket == d->ticket_served)
      slot = retain_reserve (&d->retain, op, offset, length, flags & ~LIBNBD_CMD_FLAG_FUA);
    if (slot != NO_SLOT)
      break;
    wait_for_room (d);
  }
  d->ticket_served++;
  disk_made_room (d);
  return slot;
}

static struct request *
take_pooled (struct disk *d)
{
  struct request *r;

  while (d->state != ENDED && !(r = TAILQ_FIRST (&d->pool_free)))
    wait_for_room (d);
  if (d->state == ENDED)
    return NULL;
  TAILQ_REMOVE (&d->pool_free, r, link);
  return r;
}

static void
queue (struct disk *d, struct request *r, struct waiter *w)
{
  w->left++;
  r->waiter = w;
  r->since_ms = now_ms ();
  TAILQ_INSERT_TAIL (&d->pending, r, link);
  disk_kick (d);
}

/* Until all of this worker's requests are answered. */
static int
wait_answer (struct disk *d, struct waiter *w)
{
  while (w->left > 0)
    pthread_cond_wait (&w->cond, &d->lock);
  return w->error;
}

/* What the block layer above must not ask. Answered here: sent on, it would park the disk for a fault of the client. */
static bool
misaligned (struct disk *d, uint64_t offset, uint32_t length)
{
  const struct geometry *g = &retain_identity (&d->retain)->geometry;
  return (g->block_min > 1 && (offset % g->block_min != 0 || length % g->block_min != 0)) ||
    offset > g->size || length > g->size - offset;
}

static uint32_t
at_most (uint32_t a, uint32_t b)
{
  return a < b ? a : b;
}

/* The server's maximum is for what carries data. */
static uint32_t
part (struct disk *d, enum op op, uint32_t left)
{
  uint32_t block_max = retain_identity (&d->retain)->geometry.block_max;

  if (op == OP_TRIM)
    return left;
  if (op == OP_ZERO)
    return at_most (left, ZERO_MAX);
  return at_most (left, block_max ? at_most (block_max, d->options.chunk) : d->options.chunk);
}

int
disk_read (struct disk *d, void *buffer, uint32_t length, uint64_t offset)
{
  struct waiter w = { .cond = PTHREAD_COND_INITIALIZER };
  char *to = buffer;
  int error;

  if (misaligned (d, offset, length))
    return EINVAL;
  pthread_mutex_lock (&d->lock);
  for (uint32_t n; length > 0; length -= n, offset += n, to += n) {
    struct request *r = take_pooled (d);
    n = part (d, OP_READ, length);
    if (!r) {
      w.error = ESHUTDOWN;
      break;
    }
    *r = (struct request) { .op = OP_READ, .buffer = to, .length = n, .offset = offset };
    queue (d, r, &w);
  }
  error = wait_answer (d, &w);
  pthread_mutex_unlock (&d->lock);
  return error;
}

/* Queues one part of a change; under the lock, which is let go while data is copied. False: the disk has ended. */
static bool
queue_change (struct disk *d, struct waiter *w, enum op op, const char *data, uint32_t length, uint64_t offset,
              uint32_t flags)
{
  enum change change = op == OP_WRITE ? CHANGE_WRITE : op == OP_TRIM ? CHANGE_TRIM : CHANGE_ZERO;
  uint32_t slot = take_slot (d, change, offset, length, flags);
  struct request *r;

  if (slot == NO_SLOT)
    return false;
  r = &d->change[slot];
  *r = (struct request) {
    .op = op, .buffer = retain_data (&d->retain, slot), .length = length, .offset = offset, .flags = flags,
  };
  if (r->buffer) {
    pthread_mutex_unlock (&d->lock);
    memcpy (r->buffer, data, length);
    pthread_mutex_lock (&d->lock);
  }
  if (d->state == ENDED) {
    retain_drop (&d->retain, slot);
    return false;
  }
  queue (d, r, w);
  return true;
}

int
disk_change (struct disk *d, enum op op, const void *data, uint32_t length, uint64_t offset, uint32_t flags)
{
  struct waiter w = { .cond = PTHREAD_COND_INITIALIZER };
  const char *from = data;
  int error;

  if (misaligned (d, offset, length))
    return EINVAL;
  pthread_mutex_lock (&d->lock);
  for (uint32_t n; length > 0; length -= n, offset += n) {
    n = part (d, op, length);
    if (!queue_change (d, &w, op, from, n, offset, flags)) {
      w.error = ESHUTDOWN;
      break;
    }
    if (from)
      from += n;
  }
  error = wait_answer (d, &w);
  pthread_mutex_unlock (&d->lock);
  return error == 0 && w.need_flush ? disk_flush (d) : error;
}

int
disk_flush (struct disk *d)
{
  struct waiter w = { .cond = PTHREAD_COND_INITIALIZER };
  struct request *r;
  int error;

  pthread_mutex_lock (&d->lock);
  r = take_pooled (d);
  if (r) {
    *r = (struct request) { .op = OP_FLUSH };
    queue (d, r, &w);
  }
  else
    w.error = ESHUTDOWN;
  error = wait_answer (d, &w);
  if (error == 0 && retain_lost (&d->retain)) {
    retain_told (&d->retain);   /* said once, as the kernel itself says it at fsync */
    error = EIO;
  }
  pthread_mutex_unlock (&d->lock);
  return error;
}
