/* Money: 64-bit counts of 10^-8 currency units (design, "Money and time"); never floating point.  */
#ifndef RW_BILLING_MONEY_H
#define RW_BILLING_MONEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MONEY_ONE      INT64_C(100000000)
#define MONEY_DECIMALS 8
#define MONEY_TEXT_MAX 24              /* "-92233720368.54775808" and its NUL */
#define MONEY_MAX      (INT64_MAX / 4) /* no sum of a few of them overflows; larger amounts are refused on reading */

/* Reads [+-]digits[.digits] of at most 8 decimals, nothing else around it.  false: something else, or above MONEY_MAX.
 */
bool money_parse(const char *text, size_t size, int64_t *ret_e8);

/* Writes with exactly `decimals` (0..8) of them, rounded half away from zero; returns the size without NUL. */
size_t money_write(int64_t e8, unsigned decimals, char out[static MONEY_TEXT_MAX]);
/* The same with as few decimals as say it all, at least `least`. */
size_t money_write_short(int64_t e8, unsigned least, char out[static MONEY_TEXT_MAX]);

/* Rounded half up (away from zero) to so many decimals. */
int64_t money_round(int64_t e8, unsigned decimals);

#endif
