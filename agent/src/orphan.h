/* orphan: what is run when the kernel's connection has ended and the plugin lives on.
 *
 * Linux ends a connection by itself, too: nbd before 6.14 when it has mistaken an answer for another request's, which a signal
 * in the midst of a send can bring about where the device has a scheduler. Its requests then wait (dead-connection timeout)
 * for somebody who gives the device another connection. nbdkit calls .close only when no request of the old one is under
 * way any more, so that none of them can overtake what comes by the next.
 */
#ifndef NETDISK_ORPHAN_H
#define NETDISK_ORPHAN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct orphan {
  const char *command;  /* for sh -c; NULL: there is nothing to run */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned pause_ms;    /* before the command, and between two attempts; a detach takes less. For the tests to change. */
  unsigned open;        /* connections from above */
  bool due, ending;     /* due: the last one has closed, and no command that has succeeded was begun since */
  pid_t child;          /* 0: none runs */
  pthread_t thread;
  bool runs;
};

void orphan_init (struct orphan *o, const char *command);

/* False: TEXT says why. */
bool orphan_start (struct orphan *o, char *text, size_t size);

/* A connection from above was opened, was closed. A second after the last one has closed the command is run, and again each
 * second while it fails, until there is one again. */
void orphan_opened (struct orphan *o);
void orphan_closed (struct orphan *o);

/* Kills the command if it runs. */
void orphan_stop (struct orphan *o);

#endif
