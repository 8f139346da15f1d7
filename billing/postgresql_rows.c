#include "billing/postgresql_rows.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "billing/attempts.h"
#include "billing/columns.h"
#include "billing/utf8.h"

#define FIELD_HEAD   sizeof(int32_t) /* its size */
#define FIRST_BYTES  (1024 * 1024)
#define COLUMN_LIMIT (FIELD_HEAD + CDR_TEXT_MAX)
#define ROW_MAX      (sizeof(int16_t) + CDR_COLUMN_COUNT * COLUMN_LIMIT + ATTEMPTS_TEXT_MAX)

static int reserve(struct postgresql_rows *rows, size_t size)
{
	if (rows->size - rows->used >= size)
		return 0;
	size_t wanted = rows->size > 0 ? 2 * rows->size : FIRST_BYTES;
	while (wanted - rows->used < size)
		wanted *= 2;
	char *more = realloc(rows->at, wanted);
	if (more == NULL)
		return -ENOMEM;
	rows->at = more;
	rows->size = wanted;
	return 0;
}

static char *put(char *at, const void *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static char *put_16(char *at, int16_t number)
{
	const uint16_t wire = htobe16((uint16_t)number);

	return put(at, &wire, sizeof(wire));
}

static char *put_32(char *at, size_t number)
{
	const uint32_t wire = htobe32((uint32_t)number);

	return put(at, &wire, sizeof(wire));
}

static char *put_number(char *at, int64_t number)
{
	const uint64_t wire = htobe64((uint64_t)number);

	return put(put_32(at, sizeof(wire)), &wire, sizeof(wire));
}

static char *put_text(char *at, struct cdr_text text)
{
	const size_t size = text.size < CDR_TEXT_MAX ? text.size : CDR_TEXT_MAX;

	at = put_32(at, size);
	if (size == 0)
		return at;
	if (utf8_good(text.at, size) == size)
		return put(at, text.at, size);
	utf8_copy(at, text.at, size);
	return at + size;
}

static char *put_attempts(char *at, const struct cdr *cdr)
{
	const size_t size = attempts_write(cdr->attempts, cdr->attempts_count, at + FIELD_HEAD);

	put_32(at, size);
	return at + FIELD_HEAD + size;
}

/* ---- a column by its type, or, where the record has it in another form, by its name ---- */

#define PUT_COLUMN(name, type) at = PUT_##type(name);
#define PUT_INTEGER(name)      put_number(at, (int64_t)cdr->name)
#define PUT_JSON(name)         put_attempts(at, cdr)
#define PUT_TEXT(name)         put_text(at, text_##name(cdr))

static struct cdr_text text_of(const char *text)
{
	return (struct cdr_text){ .at = text, .size = (uint32_t)strlen(text) };
}

static struct cdr_text text_cdr_id(const struct cdr *cdr)
{
	return (struct cdr_text){ .at = cdr->cdr_id, .size = CDR_ID_SIZE };
}

static struct cdr_text text_end_side(const struct cdr *cdr)
{
	return text_of(cdr_side_name(cdr->end_side));
}

static struct cdr_text text_end_reason(const struct cdr *cdr)
{
	return text_of(cdr_end_reason_name(cdr->end_reason));
}

static struct cdr_text text_session_timer(const struct cdr *cdr)
{
	static const char *const timers[] = {
		[0] = "none",
		[CDR_TIMER_A] = "a",
		[CDR_TIMER_B] = "b",
		[CDR_TIMER_A | CDR_TIMER_B] = "a+b",
	};

	return text_of(timers[cdr->session_timer]);
}

#define PLAIN(name)                                                                                                    \
	static struct cdr_text text_##name(const struct cdr *cdr)                                                      \
	{                                                                                                              \
		return cdr->name;                                                                                      \
	}
PLAIN(node)
PLAIN(mapping_gateway)
PLAIN(routing_gateway)
PLAIN(account)
PLAIN(vendor_account)
PLAIN(caller_in)
PLAIN(callee_in)
PLAIN(caller_out)
PLAIN(callee_out)
PLAIN(source_address)
PLAIN(destination_address)
PLAIN(call_id_a)
PLAIN(call_id_b)
PLAIN(rate_prefix)
PLAIN(rate)
PLAIN(fee)
PLAIN(cost)
#undef PLAIN

/* ---- records ---- */

int postgresql_rows_begin(struct postgresql_rows *rows)
{
	static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"; /* and the compiler's NUL */

	rows->used = rows->count = 0;
	if (reserve(rows, sizeof(head) + sizeof(int16_t)) < 0)
		return -ENOMEM;
	static_assert(sizeof(head) == 11 + 4 + 4 + 1, "signature, flags, size of the extension");
	put(rows->at, head, sizeof(head) - 1);
	rows->used = sizeof(head) - 1;
	return 0;
}

int postgresql_rows_add(struct postgresql_rows *rows, const struct cdr *cdr)
{
	if (cdr->end_side >= CDR_SIDE_COUNT || cdr->end_reason >= CDR_END_REASON_COUNT ||
	    cdr->session_timer > (CDR_TIMER_A | CDR_TIMER_B))
		return -EINVAL;
	if (reserve(rows, ROW_MAX) < 0)
		return -ENOMEM;
	char *at = put_16(rows->at + rows->used, CDR_COLUMN_COUNT);
	CDR_COLUMNS(PUT_COLUMN, PUT_COLUMN)
	rows->used = (size_t)(at - rows->at);
	rows->count++;
	assert(rows->used <= rows->size);
	return 0;
}

int postgresql_rows_end(struct postgresql_rows *rows)
{
	if (reserve(rows, sizeof(int16_t)) < 0)
		return -ENOMEM;
	put_16(rows->at + rows->used, -1);
	rows->used += sizeof(int16_t);
	return 0;
}

void postgresql_rows_free(struct postgresql_rows *rows)
{
	free(rows->at);
	*rows = (struct postgresql_rows){ 0 };
}
