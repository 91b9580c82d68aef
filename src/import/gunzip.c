/*-------------------------------------------------------------------------
 *
 * gunzip.c
 *	  Inflating gzip, of one member or several.
 *
 *-------------------------------------------------------------------------
 */
#include "import/gunzip.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW		(15 + 16)	/* zlib's way to ask for gzip */
#define GZIP_MAGIC		0x1f
#define MAX_IN			(1024 * 1024)

struct Gunzip
{
	z_stream	stream;
	bool		in_member;
	bool		padding;		/* zeros behind the last member */
};

bool
gunzip_is_gzip(const char *bytes, size_t len)
{
	return len >= 3 && bytes[0] == GZIP_MAGIC && bytes[1] == (char) 0x8b && bytes[2] == 8;
}

Gunzip *
gunzip_begin(void)
{
	Gunzip	   *gunzip = calloc(1, sizeof(Gunzip));

	if (gunzip && inflateInit2(&gunzip->stream, GZIP_WINDOW) != Z_OK)
	{
		free(gunzip);
		return NULL;
	}
	if (gunzip)
		gunzip->in_member = true;
	return gunzip;
}

void
gunzip_end(Gunzip *gunzip)
{
	(void) inflateEnd(&gunzip->stream);
	free(gunzip);
}

bool
gunzip_some(Gunzip *gunzip, const char **in, size_t *in_len, char *out, size_t size, size_t *n)
{
	z_stream   *stream = &gunzip->stream;

	*n = 0;
	while (*in_len > 0 && *n < size)
	{
		size_t		given = *in_len < MAX_IN ? *in_len : MAX_IN;
		size_t		room = size - *n < MAX_IN ? size - *n : MAX_IN;
		int			result;

		if (!gunzip->in_member)
		{
			if (**in == 0)
			{
				gunzip->padding = true;
				++*in;
				--*in_len;
				continue;
			}
			if (gunzip->padding || **in != GZIP_MAGIC || inflateReset(stream) != Z_OK)
				return false;
			gunzip->in_member = true;
		}
		stream->next_in = (Bytef *) *in;
		stream->avail_in = given;
		stream->next_out = (Bytef *) out + *n;
		stream->avail_out = room;
		result = inflate(stream, Z_NO_FLUSH);
		*in += given - stream->avail_in;
		*in_len -= given - stream->avail_in;
		*n += room - stream->avail_out;
		if (result == Z_STREAM_END)
			gunzip->in_member = false;
		else if (result != Z_OK)
			return false;
	}
	return true;
}

bool
gunzip_is_whole(const Gunzip *gunzip)
{
	return !gunzip->in_member;
}
