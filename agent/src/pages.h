/* pages: runs of 4 KiB pages in one fixed area.
 *
 * Retained data needs memory that is there before the outage begins: nothing is allocated on the way of a write.
 * Contiguous runs, because libnbd takes one buffer for each request. Pure: no locks, no system calls.
 */
#ifndef NETDISK_PAGES_H
#define NETDISK_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_BYTES 4096u
#define NO_PAGE UINT32_MAX

struct pages {
  uint64_t *used;   /* a bit for each page */
  uint32_t count;   /* pages in all */
  uint32_t free;    /* pages not in use */
  uint32_t cursor;  /* where the next search begins: what was taken last is freed last */
};

/* Makes all COUNT pages free. False: out of memory. */
bool pages_init (struct pages *p, uint32_t count);
void pages_destroy (struct pages *p);

/* Takes N pages in a row, N > 0; the first page's number, or NO_PAGE if no such run is free. */
uint32_t pages_take (struct pages *p, uint32_t n);

/* Takes exactly these pages, as found in a file. False, and nothing taken: out of range, or one is in use. */
bool pages_claim (struct pages *p, uint32_t first, uint32_t n);

/* Gives back what pages_take or pages_claim gave. */
void pages_give (struct pages *p, uint32_t first, uint32_t n);

/* Pages that BYTES occupy. */
static inline uint32_t
pages_for (uint32_t bytes)
{
  return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
}

#endif
