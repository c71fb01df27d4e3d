#include "memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "disk.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

bool
memory_guard (struct disk *d, char *text, size_t size)
{
  /* ONFAULT: stacks are mapped at 8 MiB each and touched in a few pages; only what is touched is locked */
  if (mlockall (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == -1) {
    snprintf (text, size, "locking memory: %s. Run as root or with LimitMEMLOCK=infinity, or give lock-memory=false.",
              strerror (errno));
    return false;
  }
  /* all of the retained area is touched here and now: in an outage it is too late to find that there is none */
  if (mlock (d->retain.file, d->retain.mapped) == -1) {
    snprintf (text, size, "locking %zu bytes for retained writes: %s. Give a smaller retain=.", d->retain.mapped,
              strerror (errno));
    return false;
  }
  memset (d->change, 0, d->retain.slots * sizeof *d->change);
  if (prctl (PR_SET_IO_FLUSHER, 1, 0, 0, 0) == -1) {
    snprintf (text, size, "PR_SET_IO_FLUSHER: %s. Run as root or with CAP_SYS_RESOURCE, or give lock-memory=false.",
              strerror (errno));
    return false;
  }
  return true;
}
