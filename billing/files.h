/* CDRs as text files by the hour, for billing systems that pick up files: DIRECTORY/YYYYMMDDHH.csv by the hour in UTC
 * in which the call ended (end_us).  A line with the names of the columns of spec 9, then a line for each CDR, quoted
 * and ended (CRLF) as RFC 4180 has it; mode 0640.  A CDR that comes late goes into the file of its hour all the same,
 * and where that has been taken away a new one is begun.
 *
 * DIRECTORY/applied says how far in which journal the files go and how long each of those that were written last is.
 * A file is named in it before it is written to, and is cut back to the length that stands there when the directory is
 * opened: so each record of the journal is in the files once, whatever happened in between.  What they have is not
 * looked through for its cdr_id: a call that ends a second time after damage has two lines, and without `applied` all
 * that the journal still holds is there again.  The first line of a cdr_id is the one that the other sinks have.
 *
 *   applied = "ringwheel-cdr-files 1\n", "journal ID POSITION\n" in hex, then "NAME LENGTH\n" for each file */
#ifndef RW_BILLING_FILES_H
#define RW_BILLING_FILES_H

#include "billing/sink.h"

/* A sink named "files"; the directory is made (mode 0750) when it is opened.  0 or -ENOMEM. */
int files_sink_create(const char *directory, struct sink *ret_sink);
void files_sink_free(struct sink *sink);

#endif
