#include "retain.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "overlap.h"

#define RETAIN_MAGIC UINT64_C (0x6b7369647465656e)      /* also tells the byte order */
#define RETAIN_VERSION 1u
#define HEADER_BYTES (4 * PAGE_BYTES)

/* The first HEADER_BYTES of the file; slots and then data follow, each from a page border. */
struct retain_file {
  uint64_t magic;               /* written last: a file without it keeps nothing but, perhaps, the identity */
  uint32_t version, slots, pages;
  uint32_t lost;                /* 1: see retain_lost */
  struct identity identity;
};
_Static_assert (sizeof (struct retain_file) <= HEADER_BYTES, "the header has outgrown its pages");
_Static_assert (sizeof (struct retain_slot) == 32, "the layout of a slot is part of the file format");

static size_t
slots_bytes (uint32_t slots)
{
  return (slots * sizeof (struct retain_slot) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static size_t
bytes_for (uint32_t slots, uint32_t pages)
{
  return HEADER_BYTES + slots_bytes (slots) + (size_t) pages * PAGE_BYTES;
}

static bool
map (struct retain *r, size_t bytes)
{
  void *area = mmap (NULL, bytes, PROT_READ | PROT_WRITE, r->fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
                     r->fd, 0);
  if (area == MAP_FAILED)
    return false;
  r->mapped = bytes;
  r->file = area;
  return true;
}

static void
unmap (struct retain *r)
{
  if (r->file)
    munmap (r->file, r->mapped);
  r->file = NULL;
}

/* Where a killed process must leave things in order, atomic_signal_fence is enough: it is the compiler that must not
 * reorder. What a processor has executed of a process that dies is always a prefix of its program. */

/* Memory is reserved here and now: a full /run is an error at the start, never a SIGBUS in an outage. An old file's header
 * stays where it is, for the identity in it is still that of the kernel's device, also if this fails or is killed. */
static bool
make_area (struct retain *r, uint32_t slots, uint32_t pages)
{
  size_t bytes = bytes_for (slots, pages);
  struct stat st;

  if (r->fd != -1) {
    if (fstat (r->fd, &st) == -1 || (st.st_size > (off_t) HEADER_BYTES && ftruncate (r->fd, HEADER_BYTES) == -1))
      return false;
    errno = posix_fallocate (r->fd, 0, (off_t) bytes);
    if (errno != 0)
      return false;
  }
  if (!map (r, bytes))
    return false;
  if (r->file->version != RETAIN_VERSION)       /* another version's, which had the same made when it died */
    memset (r->file, 0, HEADER_BYTES);
  r->file->version = RETAIN_VERSION;
  r->file->slots = slots;
  r->file->pages = pages;
  atomic_signal_fence (memory_order_release);
  r->file->magic = RETAIN_MAGIC;
  return true;
}

/* NULL: the mapped file has our layout; else what is wrong with it. */
static const char *
file_fault (const struct retain *r)
{
  if (r->file->magic != RETAIN_MAGIC)
    return "it is not a retain file";
  if (r->file->version != RETAIN_VERSION)
    return "it is of another version of netdisk-session";
  if (r->file->slots == 0 || r->file->pages == 0 || bytes_for (r->file->slots, r->file->pages) != r->mapped)
    return "its size is not what its header says";
  return NULL;
}

static void
set_up (struct retain *r)
{
  r->slots = r->file->slots;
  r->slot = (struct retain_slot *) ((char *) r->file + HEADER_BYTES);
  r->data = (char *) r->slot + slots_bytes (r->slots);
}

static int
by_seq (const void *a, const void *b)
{
  const struct retain_slot *x = *(struct retain_slot *const *) a, *y = *(struct retain_slot *const *) b;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void
free_entry (struct retain *r, struct retain_entry *e)
{
  e->state = ENTRY_FREE;
  TAILQ_INSERT_HEAD (&r->free, e, place);       /* last in, first out: the memory that is in the cache */
}

/* Takes up what the file keeps. */
static const char *
take_up (struct retain *r)
{
  struct retain_slot **found = malloc ((r->slots + 1) * sizeof *found);
  const char *fault = NULL;
  uint32_t n = 0;

  if (!found)
    return "out of memory";
  for (uint32_t i = r->slots; i-- > 0;) {
    struct retain_slot *s = &r->slot[i];
    bool write = s->op == CHANGE_WRITE;
    if (!s->kept)
      free_entry (r, &r->entry[i]);
    else if (s->length == 0 || s->op < CHANGE_WRITE || s->op > CHANGE_ZERO ||
             (write && !pages_claim (&r->pages, s->page, pages_for (s->length))))
      fault = "a change kept in it is damaged";
    else
      found[n++] = s;
  }
  qsort (found, n, sizeof *found, by_seq);
  for (uint32_t i = 0; i < n; i++) {
    struct retain_entry *e = &r->entry[found[i] - r->slot];
    e->state = ENTRY_REPLAY;
    TAILQ_INSERT_TAIL (&r->kept, e, kept);
    r->kept_count++;
    r->kept_bytes += found[i]->length;
    r->seq = found[i]->seq;
  }
  free (found);
  return fault;
}

static bool
any_kept (const struct retain *r)
{
  for (uint32_t i = 0; i < r->slots; i++)
    if (r->slot[i].kept)
      return true;
  return false;
}

/* Opens and maps a file that is there. 1: in use; 0: empty or holds nothing worth keeping; -1: ERROR_TEXT. */
static int
map_existing (struct retain *r, uint32_t slots, uint32_t pages, char *error_text, size_t size)
{
  struct stat st;
  const char *fault;

  r->fd = open (r->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (r->fd == -1 || fstat (r->fd, &st) == -1) {
    snprintf (error_text, size, "%s: %s. Its directory must exist and be ours.", r->path, strerror (errno));
    return -1;
  }
  if (flock (r->fd, LOCK_EX | LOCK_NB) == -1) {
    snprintf (error_text, size, "%s is in use: another process serves this disk. Stop that one first.", r->path);
    return -1;
  }
  if (st.st_size == 0)
    return 0;
  if ((size_t) st.st_size < HEADER_BYTES)
    fault = "it is too short";
  else if (!map (r, (size_t) st.st_size))
    fault = strerror (errno);
  else if (r->file->magic == 0)
    return 0;                                   /* a process died while it made this file */
  else
    fault = file_fault (r);
  if (fault) {
    snprintf (error_text, size, "%s: %s. If nothing in it is wanted any more, delete it.", r->path, fault);
    return -1;
  }
  set_up (r);
  return (r->slots == slots && r->file->pages == pages) || r->file->lost || any_kept (r);
}

static bool
open_area (struct retain *r, uint32_t slots, uint32_t pages, char *error_text, size_t size)
{
  int found = r->path ? map_existing (r, slots, pages, error_text, size) : 0;

  if (found == -1)
    return false;
  if (found == 0) {
    if (r->file)
      r->file->magic = 0;                       /* until it is whole again */
    unmap (r);
    if (!make_area (r, slots, pages)) {
      snprintf (error_text, size, "no room for %zu bytes of retained writes%s%s: %s. Give a smaller retain=.",
                bytes_for (slots, pages), r->path ? " in " : "", r->path ? r->path : "", strerror (errno));
      return false;
    }
    set_up (r);
  }
  return true;
}

bool
retain_open (struct retain *r, const char *path, uint64_t limit, char *error_text, size_t size)
{
  uint32_t pages = (uint32_t) (limit / PAGE_BYTES), slots = pages < 1024 ? 1024 : pages;
  const char *fault;

  *r = (struct retain) { .fd = -1 };
  TAILQ_INIT (&r->free);
  TAILQ_INIT (&r->kept);
  TAILQ_INIT (&r->acked);
  if (path && !(r->path = strdup (path))) {
    snprintf (error_text, size, "out of memory");
    return false;
  }
  if (!open_area (r, slots, pages, error_text, size))
    return false;
  r->entry = calloc (r->slots, sizeof *r->entry);
  fault = r->entry && pages_init (&r->pages, r->file->pages) ? take_up (r) : "out of memory";
  if (fault)
    snprintf (error_text, size, "%s: %s. If nothing in it is wanted any more, delete it.", path ? path : "retain", fault);
  return !fault;
}

void
retain_close (struct retain *r)
{
  if (r->path && r->file && r->kept_count == 0 && !r->file->lost)
    unlink (r->path);
  unmap (r);
  if (r->fd != -1)
    close (r->fd);
  pages_destroy (&r->pages);
  free (r->entry);
  free (r->path);
  *r = (struct retain) { .fd = -1 };
}

uint32_t
retain_reserve (struct retain *r, enum change op, uint64_t offset, uint32_t length, uint32_t flags)
{
  struct retain_entry *e = TAILQ_FIRST (&r->free);
  uint32_t page = NO_PAGE, i;

  assert (length > 0);
  if (!e || (op == CHANGE_WRITE && (page = pages_take (&r->pages, pages_for (length))) == NO_PAGE))
    return NO_SLOT;
  TAILQ_REMOVE (&r->free, e, place);
  e->state = ENTRY_RESERVED;
  i = retain_index (r, e);
  r->slot[i] = (struct retain_slot) {
    .offset = offset, .length = length, .page = page, .flags = flags, .op = (uint8_t) op,
  };
  return i;
}

void *
retain_data (struct retain *r, uint32_t slot)
{
  return r->slot[slot].page == NO_PAGE ? NULL : r->data + (size_t) r->slot[slot].page * PAGE_BYTES;
}

void
retain_acked (struct retain *r, uint32_t slot)
{
  struct retain_entry *e = &r->entry[slot];
  struct retain_slot *s = &r->slot[slot];

  assert (e->state == ENTRY_RESERVED || e->state == ENTRY_REPLAY);
  if (e->state == ENTRY_RESERVED) {
    s->seq = ++r->seq;
    atomic_signal_fence (memory_order_release);         /* kept only with all of it in place */
    s->kept = 1;
    TAILQ_INSERT_TAIL (&r->kept, e, kept);
    r->kept_count++;
    r->kept_bytes += s->length;
  }
  e->state = ENTRY_ACKED;
  e->ack = ++r->acks;
  TAILQ_INSERT_TAIL (&r->acked, e, place);
}

void
retain_drop (struct retain *r, uint32_t slot)
{
  struct retain_entry *e = &r->entry[slot];
  struct retain_slot *s = &r->slot[slot];

  assert (e->state != ENTRY_FREE);
  if (e->state == ENTRY_ACKED)
    TAILQ_REMOVE (&r->acked, e, place);
  if (s->kept) {
    s->kept = 0;
    TAILQ_REMOVE (&r->kept, e, kept);
    r->kept_count--;
    r->kept_bytes -= s->length;
  }
  if (s->page != NO_PAGE)
    pages_give (&r->pages, s->page, pages_for (s->length));
  free_entry (r, e);
}

void
retain_give_up (struct retain *r, uint32_t slot)
{
  r->file->lost = 1;
  atomic_signal_fence (memory_order_release);   /* killed right here, a process leaves the data, or word of its loss */
  retain_drop (r, slot);
}

uint64_t
retain_mark (const struct retain *r)
{
  return r->acks;
}

void
retain_flushed (struct retain *r, uint64_t mark)
{
  struct retain_entry *e;

  while ((e = TAILQ_FIRST (&r->acked)) && e->ack <= mark)
    retain_drop (r, retain_index (r, e));
}

void
retain_session_lost (struct retain *r)
{
  struct retain_entry *e;

  while ((e = TAILQ_FIRST (&r->acked))) {
    TAILQ_REMOVE (&r->acked, e, place);
    e->state = ENTRY_REPLAY;
  }
}

bool
retain_overlaps (const struct retain *r, uint64_t offset, uint64_t length)
{
  struct retain_entry *e;

  RETAIN_FOREACH_KEPT (e, r) {
    const struct retain_slot *s = &r->slot[retain_index (r, e)];
    if (ranges_overlap (s->offset, s->length, offset, length))
      return true;
  }
  return false;
}

uint32_t
retain_index (const struct retain *r, const struct retain_entry *e)
{
  return (uint32_t) (e - r->entry);
}

bool
retain_lost (const struct retain *r)
{
  return r->file->lost != 0;
}

void
retain_told (struct retain *r)
{
  r->file->lost = 0;
}

struct identity *
retain_identity (struct retain *r)
{
  return &r->file->identity;
}

uint64_t
retain_used (const struct retain *r)
{
  return (uint64_t) (r->pages.count - r->pages.free) * PAGE_BYTES;
}

uint64_t
retain_limit (const struct retain *r)
{
  return (uint64_t) r->pages.count * PAGE_BYTES;
}
