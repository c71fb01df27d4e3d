/* engine: the one thread that owns the session: dial, check, replay, send, and all over again, for ever. */
#ifndef NETDISK_ENGINE_H
#define NETDISK_ENGINE_H

#include <stdbool.h>

struct disk;

/* The thread; OPAQUE is the struct disk. Ends after VERB_ABORT or VERB_STOP. */
void *engine_run (void *opaque);

/* For what keeps the engine's thread busy between two sessions, which is a dial: answers a command that has come, so that
 * nobody waits for the server by asking. True: one that ends the dial. */
bool engine_heed (struct disk *d);

#endif
