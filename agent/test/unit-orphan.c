#include "orphan.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#define PAUSE_MS 20
#define LONG_MS 400             /* in which it would have been run again */
#define WITHIN_MS 5000

static char calls[] = "/tmp/netdisk-orphan-XXXXXX";

static void
sleep_ms (long ms)
{
  struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
  nanosleep (&t, NULL);
}

/* How often the command has been run: it adds a byte each time. */
static unsigned
runs (void)
{
  struct stat s;
  CHECK (stat (calls, &s) == 0);
  return (unsigned) s.st_size;
}

static bool
runs_become (unsigned wanted)
{
  for (int ms = 0; ms < WITHIN_MS && runs () < wanted; ms += 10)
    sleep_ms (10);
  return runs () == wanted;
}

static void
start (struct orphan *o, const char *command)
{
  char text[128];

  CHECK (truncate (calls, 0) == 0);
  orphan_init (o, command);
  o->pause_ms = PAUSE_MS;
  CHECK (orphan_start (o, text, sizeof text));
}

int
main (void)
{
  struct orphan o;
  char once[128], failing[128], slow[128];
  int fd = mkstemp (calls);

  CHECK (fd != -1);
  close (fd);
  snprintf (once, sizeof once, "printf . >>%s", calls);
  snprintf (failing, sizeof failing, "printf . >>%s; exit 1", calls);
  snprintf (slow, sizeof slow, "printf . >>%s; sleep 0.2", calls);

  start (&o, once);
  sleep_ms (LONG_MS);
  CHECK_IS (runs (), 0);                /* nobody was ever there */
  orphan_opened (&o);
  orphan_opened (&o);
  orphan_closed (&o);
  sleep_ms (LONG_MS);
  CHECK_IS (runs (), 0);                /* somebody is left */
  orphan_closed (&o);
  CHECK (runs_become (1));
  sleep_ms (LONG_MS);
  CHECK_IS (runs (), 1);                /* it has succeeded */
  orphan_opened (&o);
  orphan_closed (&o);
  orphan_opened (&o);                   /* back before the pause is over */
  sleep_ms (LONG_MS);
  CHECK_IS (runs (), 1);
  orphan_stop (&o);

  start (&o, failing);
  orphan_opened (&o);
  orphan_closed (&o);
  for (int ms = 0; ms < WITHIN_MS && runs () < 3; ms += 10)
    sleep_ms (10);
  CHECK (runs () >= 3);                 /* again and again */
  orphan_opened (&o);
  sleep_ms (LONG_MS);
  unsigned until_then = runs ();
  sleep_ms (LONG_MS);
  CHECK_IS (runs (), until_then);       /* until somebody is there */
  orphan_stop (&o);

  /* The new connection ends before the command that made it. */
  start (&o, slow);
  orphan_opened (&o);
  orphan_closed (&o);
  CHECK (runs_become (1));
  orphan_opened (&o);
  orphan_closed (&o);
  CHECK (runs_become (2));
  sleep_ms (LONG_MS);
  CHECK_IS (runs (), 2);
  orphan_stop (&o);

  /* An end does not wait for it. */
  snprintf (slow, sizeof slow, "printf . >>%s; sleep 600", calls);
  start (&o, slow);
  orphan_opened (&o);
  orphan_closed (&o);
  CHECK (runs_become (1));
  orphan_stop (&o);

  orphan_init (&o, NULL);               /* nothing to run: nothing is */
  CHECK (orphan_start (&o, once, sizeof once));
  orphan_opened (&o);
  orphan_closed (&o);
  orphan_stop (&o);

  unlink (calls);
  return done ("orphan");
}
