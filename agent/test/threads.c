/* threads SOCKET SECONDS: the core without nbdkit, used by many threads at once; built with the thread sanitizer.
 * Each thread owns a part of the disk and knows what it wrote there. */
#include "disk.h"

#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

#define THREADS 8
#define PART (1u << 20)
#define LENGTH (64u << 10)

static struct disk disk;
static uint64_t until_ms;

struct worker { pthread_t thread; unsigned n; unsigned requests, errors, wrong; };

static void *
work (void *opaque)
{
  struct worker *w = opaque;
  static __thread char data[LENGTH], got[LENGTH];
  uint64_t from = (uint64_t) w->n * PART;
  unsigned short dice[3] = { (unsigned short) w->n, 1, 2 };

  while (now_ms () < until_ms) {
    uint64_t offset = from + (uint64_t) (erand48 (dice) * (PART - LENGTH) / 4096) * 4096;
    uint32_t flags = erand48 (dice) < 0.1 ? LIBNBD_CMD_FLAG_FUA : 0;
    memset (data, (int) (++w->requests & 0xff), sizeof data);
    w->errors += disk_change (&disk, OP_WRITE, data, LENGTH, offset, flags) != 0;
    w->errors += disk_read (&disk, got, LENGTH, offset) != 0;
    w->wrong += memcmp (data, got, LENGTH) != 0;
    if (erand48 (dice) < 0.05)
      w->errors += disk_flush (&disk) != 0;
    if (erand48 (dice) < 0.05)
      w->errors += disk_change (&disk, OP_TRIM, NULL, 4096, offset, 0) != 0;
    if (w->n == 0) {
      char text[STATUS_BYTES];
      status_json (&disk, text, sizeof text);
    }
  }
  return NULL;
}

int
main (int argc, char **argv)
{
  struct options options = {
    .name = "threads", .socket = argc > 1 ? argv[1] : "", .export = "", .retain = 4 << 20, .chunk = 16 << 10,
    .connections = 2, .depth = 32, .timeout_s = 2, .dial_timeout_s = 2, .max_wait_s = 1, .max_wait_refused_s = 1,
    .max_wait_error_s = 1, .stop_timeout_s = 2, .identify = IDENTITY_BYTES,
  };
  struct worker workers[THREADS] = { 0 };
  unsigned requests = 0, errors = 0, wrong = 0;
  char text[512];

  if (argc != 3 || !disk_init (&disk, &options, text, sizeof text))
    return 2;
  disk.control_fd = -1;
  if (!disk_start (&disk, text, sizeof text) || !disk_wait_known (&disk))
    return 2;
  until_ms = now_ms () + (uint64_t) atoi (argv[2]) * 1000;
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i].n = i;
    if (pthread_create (&workers[i].thread, NULL, work, &workers[i]) != 0)
      return 2;
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join (workers[i].thread, NULL);
    requests += workers[i].requests;
    errors += workers[i].errors;
    wrong += workers[i].wrong;
  }
  disk_stop (&disk);
  printf ("%u writes by %d threads, %u errors, %u wrong reads\n", requests, THREADS, errors, wrong);
  return errors + wrong > 0 || requests < 50;
}
