#include "pages.h"

#include <assert.h>
#include <stdlib.h>

static bool
in_use (const struct pages *p, uint32_t page)
{
  return p->used[page / 64] >> page % 64 & 1;
}

static void
mark (struct pages *p, uint32_t first, uint32_t n, bool use)
{
  for (uint32_t page = first; page < first + n; page++) {
    uint64_t bit = UINT64_C (1) << page % 64;
    assert (in_use (p, page) != use);
    if (use)
      p->used[page / 64] |= bit;
    else
      p->used[page / 64] &= ~bit;
  }
}

bool
pages_init (struct pages *p, uint32_t count)
{
  *p = (struct pages) { .count = count, .free = count };
  p->used = calloc (count / 64 + 1, sizeof *p->used);
  return p->used != NULL;
}

void
pages_destroy (struct pages *p)
{
  free (p->used);
  p->used = NULL;
}

/* The first run of N free pages that lies within [from, to). */
static uint32_t
search (const struct pages *p, uint32_t from, uint32_t to, uint32_t n)
{
  uint32_t run = 0;

  for (uint32_t page = from; page < to; page++) {
    if (run == 0 && page % 64 == 0 && p->used[page / 64] == UINT64_MAX) {
      page += 63;                       /* a full word: the usual case when much is retained */
      continue;
    }
    run = in_use (p, page) ? 0 : run + 1;
    if (run == n)
      return page + 1 - n;
  }
  return NO_PAGE;
}

uint32_t
pages_take (struct pages *p, uint32_t n)
{
  uint32_t first;

  if (n > p->free)
    return NO_PAGE;
  first = search (p, p->cursor, p->count, n);
  if (first == NO_PAGE)
    first = search (p, 0, p->count, n);
  if (first == NO_PAGE)
    return NO_PAGE;
  mark (p, first, n, true);
  p->free -= n;
  p->cursor = first + n < p->count ? first + n : 0;
  return first;
}

bool
pages_claim (struct pages *p, uint32_t first, uint32_t n)
{
  if (n == 0 || first >= p->count || n > p->count - first)
    return false;
  for (uint32_t page = first; page < first + n; page++)
    if (in_use (p, page))
      return false;
  mark (p, first, n, true);
  p->free -= n;
  return true;
}

void
pages_give (struct pages *p, uint32_t first, uint32_t n)
{
  assert (first < p->count && n <= p->count - first);
  mark (p, first, n, false);
  p->free += n;
}
