/* unit: what the unit tests need: CHECK, and a line that says what was run. */
#ifndef NETDISK_UNIT_H
#define NETDISK_UNIT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned checks;

#define CHECK(what) check ((what), #what, __FILE__, __LINE__)
#define CHECK_IS(got, wanted) check_is ((uint64_t) (got), (uint64_t) (wanted), #got, __FILE__, __LINE__)

static inline void
check (int ok, const char *what, const char *file, int line)
{
  checks++;
  if (!ok) {
    fprintf (stderr, "%s:%d: not so: %s\n", file, line, what);
    exit (1);
  }
}

static inline void
check_is (uint64_t got, uint64_t wanted, const char *what, const char *file, int line)
{
  checks++;
  if (got != wanted) {
    fprintf (stderr, "%s:%d: %s is %" PRIu64 ", not %" PRIu64 "\n", file, line, what, got, wanted);
    exit (1);
  }
}

static inline int
done (const char *name)
{
  printf ("unit %-10s %u checks\n", name, checks);
  return 0;
}

#endif
