/* send: which request goes out next, and what its reply means. The engine thread's. */
#ifndef NETDISK_SEND_H
#define NETDISK_SEND_H

#include "disk.h"

/* Sends whatever may go now. Under the lock, which is let go while libnbd works. */
void send_all (struct disk *d);

/* A small read that makes a live server answer, and shows the first bytes of the disk. Under the lock. */
void send_probe (struct disk *d);

/* May the disk's first bytes, read now, turn out to be others although no new change of them is sent? So while such a
 * change is in flight (it may be overtaken), kept (the server may lose it), or waits to be sent again (an earlier session
 * may have carried it out, unflushed). Then they are not to be learned. Under the lock. */
bool head_in_doubt (struct disk *d);

/* The session is over and closed: lines everything up for the next one, kept changes first. Under the lock. */
void requeue_all (struct disk *d);

/* Requests that the server answered with an error and that have not succeeded since, our own flush included. Under the
 * lock. */
bool any_error_reply (const struct disk *d);

#endif
