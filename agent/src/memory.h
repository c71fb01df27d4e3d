/* memory: keeps this process going when the host is short of memory.
 *
 * The kernel may need to write dirty pages to this very disk before it has memory again. If we then waited for memory, we
 * would wait for ourselves. So nothing of ours is swapped out, and our own allocations start no I/O (PR_SET_IO_FLUSHER).
 * Threads and commands that are started later inherit the latter. The OOM killer is systemd's business (OOMScoreAdjust=).
 */
#ifndef NETDISK_MEMORY_H
#define NETDISK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct disk;

/* To be called by the thread that starts all others. False: TEXT says what is missing, and the cure. */
bool memory_guard (struct disk *d, char *text, size_t size);

#endif
