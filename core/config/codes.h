/* Final response codes as an operator writes them: "404", "480-489", "5xx", and rules "503 -> 480" that replace them.
 */
#ifndef RW_CORE_CONFIG_CODES_H
#define RW_CORE_CONFIG_CODES_H

#include "core/config/config.h"

#define CODES_TEXT_MAX 24

/* Codes within 300..699.  NULL, or what is wrong with the text. */
const char *codes_read(const char *text, struct code_range *ret_range);
void codes_write(uint16_t first, uint16_t last, char text[static CODES_TEXT_MAX]);

/* "FROM -> TO" with blanks as one likes: FROM as above, TO one code within 400..699.  NULL, or what is wrong. */
const char *reason_rule_read(const char *text, struct reason_rule *ret_rule);
void reason_rule_write(const struct reason_rule *rule, char text[static CODES_TEXT_MAX]);

#endif
