#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control.h"
#include "engine.h"
#include "memory.h"

#define UNRETAINED_ROOM (16u << 20)     /* room for what is in flight when nothing is retained */

/* For waits with an end: a step of the host's time must not be taken for the end. */
static void
init_monotonic (pthread_cond_t *cond)
{
  pthread_condattr_t attr;

  pthread_condattr_init (&attr);
  pthread_condattr_setclock (&attr, CLOCK_MONOTONIC);
  pthread_cond_init (cond, &attr);
  pthread_condattr_destroy (&attr);
}

bool
disk_init (struct disk *d, const struct options *o, char *text, size_t size)
{
  memset (d, 0, sizeof *d);
  d->options = *o;
  d->kick_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  d->clerk_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (d->kick_fd == -1 || d->clerk_fd == -1) {
    snprintf (text, size, "eventfd: %s", strerror (errno));
    return false;
  }
  pthread_mutex_init (&d->lock, NULL);
  pthread_cond_init (&d->room, NULL);
  pthread_cond_init (&d->known, NULL);
  init_monotonic (&d->answered);
  TAILQ_INIT (&d->pending);
  TAILQ_INIT (&d->sent);
  TAILQ_INIT (&d->pool_free);
  if (!retain_open (&d->retain, o->retain_file, o->retain ? o->retain : UNRETAINED_ROOM, text, size))
    return false;
  d->growing = retain_identity (&d->retain)->known && retain_identity (&d->retain)->geometry.size < o->grow_to;
  d->change = calloc (d->retain.slots, sizeof *d->change);
  d->pool = calloc (POOL, sizeof *d->pool);
  if (!d->change || !d->pool) {
    snprintf (text, size, "out of memory");
    return false;
  }
  for (unsigned i = 0; i < POOL; i++)
    TAILQ_INSERT_TAIL (&d->pool_free, &d->pool[i], link);
  replay_init (&d->replay, &d->retain);
  replay_begin (&d->replay);
  d->since_ms = now_ms ();
  return true;
}

bool
disk_start (struct disk *d, char *text, size_t size)
{
  int err;

  if (d->options.lock_memory && !memory_guard (d, text, size))
    return false;
  err = pthread_create (&d->engine, NULL, engine_run, d);
  d->engine_runs = err == 0;
  if (err == 0) {
    err = pthread_create (&d->clerk, NULL, control_run, d);
    d->clerk_runs = err == 0;
  }
  if (err != 0)
    snprintf (text, size, "no new thread: %s", strerror (err));
  return err == 0;
}

void
disk_stop (struct disk *d)
{
  pthread_mutex_lock (&d->lock);
  while (d->verb != NO_VERB && d->engine_runs && d->state != ENDED)
    pthread_cond_wait (&d->answered, &d->lock);
  if (d->state != ENDED)
    d->verb = VERB_STOP;
  pthread_mutex_unlock (&d->lock);
  eventfd_write (d->kick_fd, 1);
  if (d->engine_runs)
    pthread_join (d->engine, NULL);
  if (d->clerk_runs) {
    eventfd_write (d->clerk_fd, CLERK_STOP);
    pthread_join (d->clerk, NULL);
  }
  retain_close (&d->retain);
  free (d->change);
  free (d->pool);
  close (d->kick_fd);
  close (d->clerk_fd);
}

bool
disk_wait_known (struct disk *d)
{
  bool known;

  pthread_mutex_lock (&d->lock);
  while (!(known = retain_identity (&d->retain)->known && !d->growing) && d->state != ENDED)
    pthread_cond_wait (&d->known, &d->lock);
  pthread_mutex_unlock (&d->lock);
  return known && d->state != ENDED;
}

void
disk_journal (struct disk *d, const char *text)
{
  unsigned at = (d->journal_from + d->journal_count) % JOURNAL_LINES;

  if (d->journal_count == JOURNAL_LINES)
    d->journal_dropped++;
  else {
    snprintf (d->journal[at], sizeof d->journal[at], "%s", text);
    d->journal_count++;
  }
  eventfd_write (d->clerk_fd, 1);
}

void
disk_set_state (struct disk *d, enum state s, const char *why)
{
  char text[JOURNAL_BYTES];
  uint64_t now = now_ms (), lasted = now - d->since_ms;

  if (why[0])
    snprintf (d->reason, sizeof d->reason, "%s", why);
  if (s == d->state)
    return;
  if (d->state == PARKED && lasted > d->longest_park_ms)
    d->longest_park_ms = lasted;
  switch (s) {
  case PARKED:
  case ENDED:
    snprintf (text, sizeof text, "%s: %s", s == PARKED ? "parked" : "ended", why);
    break;
  case REPLAYING:
    snprintf (text, sizeof text, "replaying %ju bytes of unflushed changes", (uintmax_t) d->retain.kept_bytes);
    break;
  case UP:
  case STARTING:
    snprintf (text, sizeof text, "up after %ju.%ju s", (uintmax_t) lasted / 1000, (uintmax_t) lasted % 1000 / 100);
  }
  d->state = s;
  d->since_ms = now;
  disk_journal (d, text);
}

void
disk_kick (struct disk *d)
{
  if (d->engine_asleep) {
    d->engine_asleep = false;
    eventfd_write (d->kick_fd, 1);
  }
}
