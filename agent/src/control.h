/* control: the clerk's thread: the control socket and the journal.
 *
 * The socket (a stream socket, mode 0600) takes one word and a newline, answers with one line of JSON and hangs up:
 *   status   everything that is known; see status.h
 *   resume   dial now, do not wait for the back-off to end
 *   fail     pass the server's error replies up to the kernel; refused unless there are any. Where the server answers even
 *            our own read of the first bytes with an error, all that waits is answered with that
 *   abort    give the disk up: all requests fail, retained writes are lost, nothing is dialled any more
 * Journal: a line on stderr for each change of state, and for each `fail` that failed something; none in between.
 */
#ifndef NETDISK_CONTROL_H
#define NETDISK_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Seconds; a last resort: the engine answers within one, also while it dials. Who asks waits longer, and is told why. */
#define CONTROL_ANSWER_WITHIN_S 8

#define CLERK_STOP (UINT64_C (1) << 32) /* added to clerk_fd: end */

/* Makes the socket of options.control; the descriptor, or -1 with TEXT. A stale socket is replaced, a live one is not. */
int control_listen (const char *path, char *text, size_t size);

/* The thread; OPAQUE is the struct disk, whose control_fd is what control_listen gave, or -1. */
void *control_run (void *opaque);

#endif
