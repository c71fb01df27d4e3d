#include "pages.h"

#include "unit.h"

/* Random takes and gives, compared with a plain array. */
static void
random_use (void)
{
  enum { PAGES = 200, RUNS = 50 };
  struct { uint32_t first, n; } run[RUNS] = { 0 };
  unsigned char mine[PAGES] = { 0 };
  struct pages p;

  CHECK (pages_init (&p, PAGES));
  srandom (1);
  for (int i = 0; i < 20000; i++) {
    long k = random () % RUNS;
    if (run[k].n == 0) {
      uint32_t n = (uint32_t) (random () % 20 + 1), first = pages_take (&p, n);
      if (first == NO_PAGE)
        continue;
      CHECK (first + n <= PAGES);
      for (uint32_t j = first; j < first + n; j++)
        CHECK (mine[j]++ == 0);
      run[k].first = first, run[k].n = n;
    }
    else {
      pages_give (&p, run[k].first, run[k].n);
      for (uint32_t j = run[k].first; j < run[k].first + run[k].n; j++)
        mine[j]--;
      run[k].n = 0;
    }
  }
  pages_destroy (&p);
}

int
main (void)
{
  struct pages p;

  CHECK_IS (pages_for (1), 1);
  CHECK_IS (pages_for (4096), 1);
  CHECK_IS (pages_for (4097), 2);

  CHECK (pages_init (&p, 130));         /* not a multiple of the word size */
  CHECK_IS (pages_take (&p, 131), NO_PAGE);
  CHECK_IS (pages_take (&p, 130), 0);
  CHECK_IS (pages_take (&p, 1), NO_PAGE);
  pages_give (&p, 64, 64);
  CHECK_IS (p.free, 64);
  CHECK_IS (pages_take (&p, 65), NO_PAGE);
  CHECK_IS (pages_take (&p, 64), 64);

  pages_give (&p, 10, 5);
  pages_give (&p, 16, 5);               /* ten are free, but not in a row */
  CHECK_IS (pages_take (&p, 6), NO_PAGE);
  pages_give (&p, 15, 1);
  CHECK_IS (pages_take (&p, 11), 10);

  pages_give (&p, 0, 130);
  CHECK (pages_claim (&p, 5, 10));
  CHECK (!pages_claim (&p, 14, 1));
  CHECK (!pages_claim (&p, 129, 2));    /* out of range */
  CHECK (!pages_claim (&p, UINT32_MAX, 2));
  CHECK (!pages_claim (&p, 0, 0));
  CHECK_IS (p.free, 120);
  pages_destroy (&p);

  random_use ();
  return done ("pages");
}
