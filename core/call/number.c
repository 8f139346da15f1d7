#include "core/call/number.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = bytes_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes number_of_uri(struct bytes uri, char room[static NUMBER_MAX])
{
	struct sip_uri parts;
	uint32_t size = 0;
	if (!sip_read_uri(uri, &parts))
		return BYTES_NONE;
	for (uint32_t i = 0; i < parts.user.size && size < NUMBER_MAX; i++) {
		char c = parts.user.at[i];
		if (c == ';' || c == ':')
			break; /* parameters of a telephone number (RFC 3261 19.1.6), a password */
		if (c == '%' && i + 2 < parts.user.size) {
			int high = hex_digit(parts.user.at[i + 1]), low = hex_digit(parts.user.at[i + 2]);
			/* What would be a control character stays escaped: it ends up in records and logs. */
			if (high >= 2 && low >= 0 && (high << 4 | low) != 0x7f) {
				c = (char)(high << 4 | low);
				i += 2;
			}
		}
		room[size++] = c;
	}
	return (struct bytes){ room, size };
}

static bool is_separator(char c)
{
	return c == '-' || c == '.' || c == '(' || c == ')';
}

static bool is_telephone(struct bytes number)
{
	uint32_t digits = 0;
	for (uint32_t i = 0; i < number.size; i++) {
		char c = number.at[i];
		if (c >= '0' && c <= '9')
			digits++;
		else if (!is_separator(c) && c != '*' && c != '#' && !(c == '+' && i == 0))
			return false;
	}
	return digits > 0;
}

struct bytes number_plain(struct bytes number, char room[static NUMBER_MAX])
{
	uint32_t size = 0;
	bool telephone = is_telephone(number);
	for (uint32_t i = 0; i < number.size && size < NUMBER_MAX; i++)
		if (!telephone || !(is_separator(number.at[i]) || number.at[i] == '+'))
			room[size++] = number.at[i];
	return (struct bytes){ room, size };
}
