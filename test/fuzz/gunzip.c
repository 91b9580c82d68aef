/*-------------------------------------------------------------------------
 *
 * gunzip.c
 *	  For libFuzzer: inflates gzip that is whole, cut, broken, padded, or none.
 *
 * The first bytes of the input choose what is done with the rest.  Run by run.sh
 * beside this file.
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "import/gunzip.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Bytes
{
	unsigned char *data;
	size_t		len;
	bool		good;			/* what was inflated is a whole file */
} Bytes;

#define CHOICES		5
#define MAX_PLAIN	(64 * 1024)

#define check(holds) \
	do \
	{ \
		if (!(holds)) \
		{ \
			fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #holds); \
			abort(); \
		} \
	} while (0)

/* Adds a member that holds some bytes. */
static void
add_member(Bytes *file, const uint8_t *data, size_t size, int level)
{
	z_stream	stream = {0};

	check(deflateInit2(&stream, level, Z_DEFLATED, 9 + 16, 1, Z_DEFAULT_STRATEGY) == Z_OK);
	file->data = realloc(file->data, file->len + size + 1024);
	stream.next_in = (Bytef *) data;
	stream.avail_in = size;
	stream.next_out = file->data + file->len;
	stream.avail_out = size + 1024;
	check(deflate(&stream, Z_FINISH) == Z_STREAM_END);
	file->len += stream.total_out;
	(void) deflateEnd(&stream);
}

/* In bits of these sizes; the input is a copy, so that nothing behind it can be read. */
static Bytes
inflate_all(const Bytes *file, size_t in_step, size_t out_step)
{
	Gunzip	   *gunzip = gunzip_begin();
	Bytes		plain = {malloc(MAX_PLAIN), 0, true};
	size_t		done = 0;

	check(gunzip != NULL && plain.data != NULL);
	while (plain.good && done < file->len && plain.len < MAX_PLAIN)
	{
		size_t		len = file->len - done < in_step ? file->len - done : in_step;
		char	   *copy = malloc(len);
		const char *in = copy;
		size_t		left = len;
		bool		stuck = false;

		memcpy(copy, file->data + done, len);
		while (plain.good && (left > 0 || !stuck) && plain.len < MAX_PLAIN)
		{
			size_t		room = MAX_PLAIN - plain.len < out_step ? MAX_PLAIN - plain.len : out_step;
			size_t		n;
			size_t		before = left;

			plain.good = gunzip_some(gunzip, &in, &left, (char *) plain.data + plain.len, room, &n);
			check(n <= room && left <= before && in == copy + (len - left));
			plain.len += n;
			stuck = left == 0;
			check(!plain.good || n > 0 || left < before || left == 0);
		}
		done += len - left;
		free(copy);
	}
	/* Too large a bomb is for the caller to stop; here it is just cut. */
	plain.good = plain.good && gunzip_is_whole(gunzip);
	gunzip_end(gunzip);
	return plain;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes		file = {0};
	Bytes		one;
	Bytes		other;
	int			members;
	bool		whole = true;

	if (size < CHOICES)
		return 0;
	members = data[0] & 3;
	if (members == 0)
	{
		/* As it comes. */
		whole = false;
		file.len = size - CHOICES;
		file.data = malloc(file.len + 1);
		memcpy(file.data, data + CHOICES, file.len);
	}
	else
	{
		size_t		part = (size - CHOICES) / members;

		for (int i = 0; i < members; i++)
			add_member(&file, data + CHOICES + i * part, i == members - 1 ? size - CHOICES - i * part : part, data[1] % 10);
		check(gunzip_is_gzip((char *) file.data, file.len));
		if (data[0] & 4)
		{
			/* Zeros behind the last member; realloc has left room. */
			memset(file.data + file.len, 0, 7);
			file.len += 7;
		}
		if (data[0] & 8)
		{
			file.data[(data[2] | data[3] << 8) % file.len] ^= data[4];
			whole = data[4] == 0;
		}
		if (data[0] & 16)
		{
			file.len = (data[2] | data[3] << 8) % file.len;
			whole = false;
		}
	}
	(void) gunzip_is_gzip((char *) file.data, file.len);
	one = inflate_all(&file, file.len + 1, MAX_PLAIN);
	other = inflate_all(&file, 1 + data[2] % 64, 1 + data[3] % 64);
	/* How the bytes come makes no difference. */
	if (one.len < MAX_PLAIN && other.len < MAX_PLAIN)
		check(one.good == other.good && (!one.good || (one.len == other.len && memcmp(one.data, other.data, one.len) == 0)));
	if (whole && one.len < MAX_PLAIN)
		check(one.good && one.len == size - CHOICES && memcmp(one.data, data + CHOICES, one.len) == 0);
	free(file.data);
	free(one.data);
	free(other.data);
	return 0;
}
