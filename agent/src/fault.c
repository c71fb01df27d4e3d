#include "session.h"

#include <stdarg.h>
#include <stdio.h>

void
session_fault (struct session *s, enum failure why, const char *format, ...)
{
  va_list args;

  if (s->fault[0] != 0)
    return;
  s->why = why;
  va_start (args, format);
  vsnprintf (s->fault, sizeof s->fault, format, args);
  va_end (args);
}
