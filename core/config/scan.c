/* See scan.h.  One walk over the text does both.  */
#include "core/config/scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	char *at;
	unsigned line;
	unsigned depth;     /* open braces */
	unsigned open_line; /* of the outermost open one */
	bool word;          /* inside an unquoted word, where // is no comment */
	const char *wrong;  /* what is wrong with a string or variable, on `wrong_line`; NULL: nothing so far */
	unsigned wrong_line;
};

static void blank(struct walk *w)
{
	if (*w->at == '\n')
		w->line++;
	else if (*w->at != '\r')
		*w->at = ' ';
	w->at++;
}

static bool is_wrong(struct walk *w, const char *wrong)
{
	w->wrong = wrong;
	w->wrong_line = w->line;
	return false;
}

/* ${NAME} or ${NAME:-default} is a variable, also between double quotes.  libconfuse would look for its end beyond
 * quotes and lines, and take one that is not set for nothing: an account that nobody pays for.  false: none begins
 * here, or it is wrong. */
static bool pass_variable(struct walk *w)
{
	if (w->at[0] != '$' || w->at[1] != '{')
		return false;
	size_t length = strcspn(w->at, "}\"\n");
	if (w->at[length] != '}')
		return is_wrong(w, "the variable that begins here is never closed: ${NAME}");
	w->at[length] = '\0';
	bool set = strstr(w->at, ":-") || getenv(w->at + 2);
	w->at[length] = '}';
	if (!set)
		return is_wrong(w, "the environment has no variable of this name: ${NAME}, or ${NAME:-default}");
	w->at += length + 1;
	return true;
}

/* Of others libconfuse leaves the character alone: \\d would be a plain d. */
static bool is_escape(char c)
{
	return c && strchr("\\\"'$\nntbrfeax01234567", c);
}

/* Moves behind a quoted string; false: it does not end. */
static bool pass_string(struct walk *w)
{
	char quote = *w->at++;

	while (*w->at && *w->at != quote && !w->wrong) {
		if (quote == '"' && pass_variable(w))
			continue;
		if (quote == '"' && *w->at == '\\' && !is_escape(w->at[1]))
			is_wrong(w, "a backslash in double quotes is written \\\\");
		if (*w->at == '\\' && w->at[1])
			w->at++;
		w->line += *w->at++ == '\n';
	}
	if (!*w->at)
		return false;
	w->at++;
	return true;
}

static bool blank_block(struct walk *w)
{
	blank(w);
	blank(w);
	while (*w->at && (w->at[0] != '*' || w->at[1] != '/'))
		blank(w);
	if (!*w->at)
		return false;
	blank(w);
	blank(w);
	return true;
}

static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '=' || c == '{' || c == '}' || c == '(' ||
	       c == ')' || c == ',' || c == '+';
}

/* Anything else is one character.  true: a brace at the top was closed. */
static bool pass_character(struct walk *w)
{
	char c = *w->at++;
	bool closed = false;

	if (c == '{' && w->depth++ == 0)
		w->open_line = w->line;
	if (c == '}' && w->depth > 0)
		closed = --w->depth == 0;
	w->line += c == '\n';
	w->word = !ends_word(c);
	return closed;
}

static bool add_piece(struct scan *s, const struct piece *piece)
{
	if (s->count == s->room) {
		uint32_t room = s->room ? 2 * s->room : 16;
		struct piece *pieces = room > s->room ? realloc(s->pieces, room * sizeof *pieces) : NULL;

		if (!pieces)
			return false;
		s->pieces = pieces;
		s->room = room;
	}
	s->pieces[s->count++] = *piece;
	return true;
}

static int refuse(struct scan *s, unsigned line, const char *wrong)
{
	s->wrong_line = line;
	s->wrong = wrong;
	return -EINVAL;
}

/* A string, a comment, a variable or one character.  *ret_closed: it was a brace that closes at the top. */
static int pass_token(struct scan *s, struct walk *w, bool *ret_closed)
{
	unsigned line = w->line;
	char c = *w->at;

	*ret_closed = false;
	if (c == '"' || c == '\'') {
		w->word = false;
		if (!pass_string(w) && !w->wrong)
			return refuse(s, line, "the quotation mark here is never closed");
	} else if (c == '*' || (c == '+' && w->at[1] != '=') || (c == '#' && w->word)) {
		/* libconfuse drops the one and takes the other for a comment */
		return refuse(s, line, "a value with +, * or # stands in quotes");
	} else if (c == '#' || (c == '/' && w->at[1] == '/' && !w->word)) {
		while (*w->at && *w->at != '\n')
			blank(w);
	} else if (c == '/' && w->at[1] == '*') {
		w->word = false;
		if (!blank_block(w))
			return refuse(s, line, "the comment that begins here is never closed");
	} else if (pass_variable(w)) {
		w->word = true;
	} else {
		*ret_closed = pass_character(w);
	}
	return w->wrong ? refuse(s, w->wrong_line, w->wrong) : 0;
}

int scan_text(char *text, struct scan *ret_scan)
{
	struct scan *s = ret_scan;
	struct walk w = { .at = text, .line = 1 };
	struct piece piece = { .line = 1 };

	*s = (struct scan){ 0 };
	while (*w.at) {
		bool closed;
		int result = pass_token(s, &w, &closed);

		if (result < 0)
			return result;
		if (!closed)
			continue;
		piece.size = (size_t)(w.at - text) - piece.start;
		piece.open_line = w.open_line;
		if (!add_piece(s, &piece))
			return -ENOMEM;
		piece = (struct piece){ .start = (size_t)(w.at - text), .line = w.line };
	}
	s->end_line = w.line;
	s->unclosed = w.depth ? w.open_line : 0;
	piece.size = (size_t)(w.at - text) - piece.start;
	piece.open_line = s->unclosed;
	return add_piece(s, &piece) ? 0 : -ENOMEM;
}

void scan_free(struct scan *s)
{
	free(s->pieces);
	*s = (struct scan){ 0 };
}
