/*-------------------------------------------------------------------------
 *
 * outbuf.h
 *	  A buffer of fixed size in front of a sink.
 *
 * What does not fit goes to the sink directly, so that a value may be larger
 * than any buffer could be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_OUTBUF_H
#define JOBS_OUTBUF_H

#include "postgres.h"

#include "format.h"

#define JOBS_OUTBUF_SIZE	(64 * 1024)

typedef struct JobsOutbuf
{
	JobsSink	sink;
	void	   *arg;
	Size		used;
	char		data[JOBS_OUTBUF_SIZE];
} JobsOutbuf;

static inline void
jobs_outbuf_flush(JobsOutbuf *buf)
{
	Size		len = buf->used;

	if (len > 0)
	{
		buf->used = 0;
		buf->sink(buf->arg, buf->data, len);
	}
}

/* What does not fit in the rest of the buffer. */
static pg_noinline pg_attribute_unused() void
jobs_outbuf_put_long(JobsOutbuf *buf, const char *s, Size len)
{
	jobs_outbuf_flush(buf);
	if (len >= JOBS_OUTBUF_SIZE)
	{
		buf->sink(buf->arg, s, len);
		return;
	}
	memcpy(buf->data, s, len);
	buf->used = len;
}

static inline void
jobs_outbuf_put(JobsOutbuf *buf, const char *s, Size len)
{
	if (unlikely(len > JOBS_OUTBUF_SIZE - buf->used))
	{
		jobs_outbuf_put_long(buf, s, len);
		return;
	}
	memcpy(buf->data + buf->used, s, len);
	buf->used += len;
}

static inline void
jobs_outbuf_char(JobsOutbuf *buf, char c)
{
	if (unlikely(buf->used == JOBS_OUTBUF_SIZE))
		jobs_outbuf_flush(buf);
	buf->data[buf->used++] = c;
}

/* Room for len bytes, which the caller adds to buf->used as he fills them. */
static inline char *
jobs_outbuf_room(JobsOutbuf *buf, Size len)
{
	if (unlikely(JOBS_OUTBUF_SIZE - buf->used < len))
		jobs_outbuf_flush(buf);
	return buf->data + buf->used;
}

#endif							/* JOBS_OUTBUF_H */
