/* main() for a fuzz target where there is no libFuzzer.
 *
 *   fuzz_TARGET [--each] [--mutants N] [--random N] [--seed N] [--dict FILE] [--torture FOLDER]... PATH...
 *
 * Runs every file of the paths (folders with all that is in them) and of the folders of RW_TORTURE_DIR (by default
 * ../shared/torture beside the source tree), then
 *   --each      every beginning of those of the paths of up to 2 KiB, and each of their bytes overwritten
 *   --mutants   N mutants: cut, spliced and overwritten at random, with words of the dictionary
 *   --random    N strings of random bytes
 * Nothing is learned from a run: that is libFuzzer's (tools/fuzz).  An input lies in a block of its exact size, so that
 * the address sanitizer sees a read past its end.  A failure aborts, after its input was written to ./failed-input.
 *
 * Paths that are not there are passed over. */
#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX   20000
#define EACH_MAX    2048
#define WORDS_MAX   512
#define WORD_MAX    64
#define FOLDERS_MAX 8

struct text {
	size_t size;
	char *at;
};

static struct text *inputs;
static size_t input_count, own_count; /* those of the paths come first */
static struct text words[WORDS_MAX];
static size_t word_count;
static uint64_t state = 1;
static struct text current;

static uint32_t random_below(uint32_t limit)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((state >> 32) * limit) >> 32);
}

static void *memory(void *at, size_t size)
{
	at = realloc(at, size ? size : 1);
	if (!at)
		exit(2);
	return at;
}

/* ---- what there is to begin with ---- */

static void add_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");
	struct text text = { .at = memory(NULL, size) };

	if (!file)
		exit(2);
	text.size = fread(text.at, 1, size, file);
	fclose(file);
	if ((input_count & (input_count + 1)) == 0) /* room doubles */
		inputs = memory(inputs, (2 * input_count + 1) * sizeof *inputs);
	inputs[input_count++] = text;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_path(const char *path)
{
	struct stat status;
	struct dirent **entries;
	int count;

	if (stat(path, &status) < 0)
		return;
	if (S_ISREG(status.st_mode)) {
		if (status.st_size <= INPUT_MAX)
			add_file(path, (size_t)status.st_size);
		return;
	}
	count = scandir(path, &entries, NULL, by_name);
	for (int i = 0; i < count; i++) {
		char name[4096];

		snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			add_path(name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static void add_torture(const char *folder)
{
	const char *given = getenv("RW_TORTURE_DIR");
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", given ? given : RW_SOURCE_ROOT "/../shared/torture", folder);
	add_path(path);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* name="word" with \\, \" and \xNN, as libFuzzer has it. */
static void add_word(const char *line)
{
	char word[WORD_MAX];
	size_t size = 0;
	const char *at = strchr(line, '"');

	if (line[0] == '#' || !at || word_count == WORDS_MAX)
		return;
	for (at++; *at && *at != '"' && size < sizeof word; at++) {
		char c = *at;

		if (c == '\\' && at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
			c = (char)(hex_digit(at[2]) << 4 | hex_digit(at[3]));
			at += 3;
		} else if (c == '\\' && at[1]) {
			c = *++at;
		}
		word[size++] = c;
	}
	words[word_count] = (struct text){ size, memory(NULL, size) };
	memcpy(words[word_count++].at, word, size);
}

static void add_dictionary(const char *path)
{
	char line[512];
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof line, file))
		add_word(line);
	if (file)
		fclose(file);
}

/* ---- running ---- */

/* Only what may be called in a signal handler, as far as that matters in a process that ends. */
static void keep_failure(int number)
{
	FILE *file = fopen("failed-input", "wb");

	if (file) {
		fwrite(current.at, 1, current.size, file);
		fclose(file);
		fprintf(stderr, "the input is in ./failed-input (%zu bytes)\n", current.size);
	}
	signal(number, SIG_DFL);
	raise(number);
}

static void run(const char *at, size_t size)
{
	current = (struct text){ size, memory(NULL, size) };
	if (size)
		memcpy(current.at, at, size);
	LLVMFuzzerTestOneInput((const uint8_t *)current.at, size);
	free(current.at);
}

static void run_each(const struct text *input)
{
	static const char bytes[] = { 0x00, 0x0a, 0x20, (char)0xff };
	char text[EACH_MAX];

	for (size_t size = 0; size < input->size; size++)
		run(input->at, size);
	for (size_t at = 0; at < input->size; at++) {
		memcpy(text, input->at, input->size);
		for (size_t i = 0; i < sizeof bytes; i++) {
			text[at] = bytes[i];
			run(text, input->size);
		}
	}
}

/* ---- mutants ---- */

/* Replaces `cut` bytes at `at` by others. */
static size_t splice(char *text, size_t size, size_t at, size_t cut, const char *put, size_t put_size)
{
	if (at > size)
		at = size;
	if (cut > size - at)
		cut = size - at;
	if (size - cut + put_size > INPUT_MAX)
		return size;
	memmove(text + at + put_size, text + at + cut, size - at - cut);
	memcpy(text + at, put, put_size);
	return size - cut + put_size;
}

static size_t mutate(char *text, size_t size)
{
	static const char bytes[] = { 0x00, 0x0a, 0x20, (char)0xff, 0x0d, 0x09, 0x3b, 0x2c };
	size_t at = size ? random_below((uint32_t)size) : 0;
	const struct text *other;
	size_t from, length;

	switch (random_below(6)) {
	case 0: /* one byte to one of the usual suspects */
		if (size)
			text[at] = bytes[random_below(sizeof bytes)];
		return size;
	case 1: /* one bit */
		if (size)
			text[at] = (char)(text[at] ^ (1 << random_below(8)));
		return size;
	case 2:
		return splice(text, size, at, random_below(8), "", 0);
	case 3:
		if (!word_count)
			return size;
		other = &words[random_below((uint32_t)word_count)];
		return splice(text, size, at, random_below(2), other->at, other->size);
	case 4: /* a part of another input */
		other = &inputs[random_below((uint32_t)input_count)];
		from = other->size ? random_below((uint32_t)other->size) : 0;
		length = random_below(other->size - from < 80 ? (uint32_t)(other->size - from + 1) : 80);
		return splice(text, size, at, length, other->at + from, length);
	default:
		return random_below(20) ? size : at; /* cut off, now and then */
	}
}

static void run_mutant(void)
{
	static char text[INPUT_MAX];
	const struct text *input = &inputs[random_below((uint32_t)input_count)];
	size_t size = input->size;

	memcpy(text, input->at, size);
	for (uint32_t times = 1 + random_below(4); times; times--)
		size = mutate(text, size);
	run(text, size);
}

static void run_random(void)
{
	char text[4096];
	size_t size = random_below(sizeof text);

	for (size_t i = 0; i < size; i++)
		text[i] = (char)random_below(256);
	run(text, size);
}

static void catch_failures(void)
{
	static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		signal(numbers[i], keep_failure);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "each", no_argument, NULL, 'e' },
		{ "mutants", required_argument, NULL, 'm' },
		{ "random", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ "dict", required_argument, NULL, 'd' },
		{ "torture", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	const char *folders[FOLDERS_MAX];
	unsigned long mutants = 0, random_inputs = 0;
	bool each = false;
	int option, folder_count = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'e')
			each = true;
		else if (option == 'm')
			mutants = strtoul(optarg, NULL, 10);
		else if (option == 'r')
			random_inputs = strtoul(optarg, NULL, 10);
		else if (option == 's')
			state = strtoull(optarg, NULL, 10);
		else if (option == 'd')
			add_dictionary(optarg);
		else if (option == 't' && folder_count < FOLDERS_MAX)
			folders[folder_count++] = optarg;
		else
			return 2;
	}
	for (int i = optind; i < argc; i++)
		add_path(argv[i]);
	own_count = input_count;
	for (int i = 0; i < folder_count; i++)
		add_torture(folders[i]);
	catch_failures();
	for (size_t i = 0; i < input_count; i++) {
		run(inputs[i].at, inputs[i].size);
		if (each && i < own_count && inputs[i].size <= EACH_MAX)
			run_each(&inputs[i]);
	}
	for (unsigned long i = 0; i < mutants && input_count; i++)
		run_mutant();
	for (unsigned long i = 0; i < random_inputs; i++)
		run_random();
	printf("%zu inputs, %lu mutants, %lu random ones\n", input_count, input_count ? mutants : 0, random_inputs);
	for (size_t i = 0; i < input_count; i++)
		free(inputs[i].at);
	for (size_t i = 0; i < word_count; i++)
		free(words[i].at);
	free(inputs);
	return input_count || random_inputs ? 0 : 1;
}
