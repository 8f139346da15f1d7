/* Files that a configuration is made of, as a whole.  */
#ifndef RW_CORE_CONFIG_FILE_H
#define RW_CORE_CONFIG_FILE_H

#define FILE_REASON_MAX 128

/* Reads a regular file; a FIFO or a device is not waited for.  The text is terminated, and malloc'ed for the caller; a
 * NUL byte in it becomes \1, which nothing takes, so that it is refused where it stands.  0, or a negative errno with
 * the reason in words: "cannot open: No such file or directory". */
int file_read(const char *file, char **ret_text, char reason[static FILE_REASON_MAX]);

#endif
