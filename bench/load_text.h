/* Messages written ahead: a text whose places that differ from call to call have a fixed width and are only filled in.
 *
 * In the source of a template {id} stands for the 16 characters that name a call (slot and generation in hexadecimal),
 * {number} for the 12 digits that do so in a number dialled, {slot} for eight digits of the slot, and {step} for one
 * character that tells requests of one call apart. */
#ifndef RW_BENCH_LOAD_TEXT_H
#define RW_BENCH_LOAD_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/bytes.h"

enum { LOAD_ID_SIZE = 16, LOAD_NUMBER_SIZE = 12, LOAD_SLOT_SIZE = 8, LOAD_TEMPLATE_MAX = 2048, LOAD_PLACES_MAX = 16 };

#define LOAD_SLOTS_MAX 100000000u /* eight digits */

/* What is filled in. */
struct load_name {
	char id[LOAD_ID_SIZE];
	char number[LOAD_NUMBER_SIZE]; /* begins with the eight digits of the slot */
	char step;
};

struct load_template {
	uint16_t size, places;
	struct {
		uint16_t at;
		uint8_t kind;
	} place[LOAD_PLACES_MAX];
	char text[LOAD_TEMPLATE_MAX];
};

void load_name_set(struct load_name *name, uint32_t slot, uint32_t generation);

/* false: it is not such a name, in either form.  Of the generation a number carries only the last four digits. */
bool load_name_read_id(const char *text, size_t size, uint32_t *ret_slot, uint32_t *ret_generation);
bool load_name_read_number(const char *text, size_t size, uint32_t *ret_slot, uint32_t *ret_generation_rest);
#define LOAD_GENERATION_REST 10000u

/* false: it is longer than LOAD_TEMPLATE_MAX or has too many places. */
bool load_template_set(struct load_template *t, const char *source);

/* Writes it, filled in; returns the end.  There must be room for its size. */
char *load_template_write(const struct load_template *t, const struct load_name *name, char *at);

static inline char *load_write(char *at, struct bytes b)
{
	if (b.size > 0)
		memcpy(at, b.at, b.size);
	return at + b.size;
}

/* A decimal number of up to ten digits. */
char *load_write_number(char *at, uint32_t n);

#endif
