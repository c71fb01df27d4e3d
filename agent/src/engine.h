/* engine: the one thread that owns the session: dial, check, replay, send, and all over again, for ever. */
#ifndef NETDISK_ENGINE_H
#define NETDISK_ENGINE_H

/* The thread; OPAQUE is the struct disk. Ends after VERB_ABORT or VERB_STOP. */
void *engine_run (void *opaque);

#endif
