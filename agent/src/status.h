/* status: what is known of the disk, as one line of JSON. */
#ifndef NETDISK_STATUS_H
#define NETDISK_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#define STATUS_BYTES 4096

struct disk;

/* Takes the lock for a moment. Times in seconds, sizes in bytes; counters begin with this process. Keys:
 *   name, pid, state (starting up replaying parked ended), since (seconds in this state), reason (why it is parked, or
 *   was last), kind (unanswered refused error: while parked), next_dial (seconds), size, connections, waiting (requests of
 *   the kernel), oldest (seconds that the oldest of them has waited), in_flight, retained, retain_used, retain_limit,
 *   sessions, dials, faults, replayed, read, written, lost, longest_park. */
void status_json (struct disk *d, char *text, size_t size);

/* {"ok": …, "message": …} */
void answer_json (bool ok, const char *message, char *text, size_t size);

#endif
