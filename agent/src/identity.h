/* identity: is this the disk we know?
 *
 * What the first session learnt of the export; every later one must agree, or a wrong or changed disk would be written to.
 * Besides size, flags and block sizes, the first bytes (a LUKS header, for instance) are compared, as long as they are
 * known: a change to them, from the moment it is sent, makes them unknown until they have been read again.
 * Lies in the retain file, so that a new process knows the disk before it has seen the server. Pure.
 */
#ifndef NETDISK_IDENTITY_H
#define NETDISK_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_BYTES 4096u

struct geometry {
  uint64_t size;                                        /* bytes */
  uint32_t block_min, block_preferred, block_max;       /* bytes; 0: the server did not say */
  uint8_t read_only, can_flush, can_fua, can_trim, can_zero, can_multi_conn;
  uint8_t unused[6];
};

struct identity {
  struct geometry geometry;
  uint32_t known;               /* 1: geometry is valid */
  uint32_t head_bytes;          /* how many first bytes are compared; 0: none */
  uint32_t head_known;          /* 1: head is valid. 0 before the first read, and while a change to it may be under way */
  uint32_t unused;
  uint8_t head[IDENTITY_BYTES];
};

/* Compares what a new session found with what is known. True: the same, or nothing is known yet. What may differ without
 * harm: the preferred block size, abilities that were added, and CAN_MULTI_CONN, which each session looks at itself. False:
 * TEXT says what differs, with both values. */
bool identity_same_geometry (const struct identity *id, const struct geometry *found, char *text, size_t size);

/* The first bytes as the new session read them (head_bytes of them). True: the same, or they are not known. */
bool identity_same_head (const struct identity *id, const void *head);

void identity_learn_geometry (struct identity *id, const struct geometry *found, uint32_t head_bytes);
void identity_learn_head (struct identity *id, const void *head);

/* The server has grown the disk, and the client wants it so. Killed on the way, a process leaves one size or the other. */
void identity_grow (struct identity *id, uint64_t size);

/* Is this range part of what is compared? If so and it is about to be changed: identity_forget_head. */
bool identity_covers (const struct identity *id, uint64_t offset);
void identity_forget_head (struct identity *id);

#endif
