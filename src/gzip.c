/*-------------------------------------------------------------------------
 *
 * gzip.c
 *	  A gzip file, compressed block by block, in threads.
 *
 * Each block ends at a byte (a full flush), so blocks can be joined; so can
 * their checksums.  ISA-L compresses where the build has found it, as it is
 * several times faster than zlib; else zlib does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <zlib.h>

#ifdef JOBS_HAVE_ISAL
#include <isa-l.h>
#endif

#include "gzip.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define BLOCK_SIZE		(256 * 1024)	/* bytes of input */
#define MAX_OUT			(BLOCK_SIZE + BLOCK_SIZE / 8 + 1024)
#define MAX_THREADS		8
#define LEVEL			1

typedef enum BlockState
{
	BLOCK_EMPTY,
	BLOCK_FULL,					/* to be compressed */
	BLOCK_BUSY,
	BLOCK_DONE					/* to be written */
} BlockState;

typedef struct Block
{
	BlockState	state;			/* guarded by mutex */
	Size		in_len;
	Size		out_len;
	uint32		crc;			/* of the input */
	bool		failed;
	char	   *in;
	char	   *out;
} Block;

/* What one thread needs to compress. */
typedef struct Deflater
{
#ifdef JOBS_HAVE_ISAL
	uint8	   *level_buffer;
#else
	z_stream	stream;
#endif
	bool		ready;
} Deflater;

/* Everything that threads touch comes from malloc. */
struct JobsGzip
{
	JobsSink	sink;
	void	   *arg;
	uint32		crc;
	uint64		total;			/* bytes of input */
	int			nblocks;
	int			next_in;		/* the block to fill */
	int			next_out;		/* the block to write next */
	Block	   *blocks;
	Deflater	own;			/* where there are no threads */
	int			nthreads;
	pthread_t	threads[MAX_THREADS];
	pthread_mutex_t mutex;
	pthread_cond_t work;		/* a block is full, or stop */
	pthread_cond_t done;		/* a block is done */
	bool		stop;
	MemoryContextCallback callback;
};

static void *must_malloc(Size size);
static void start_threads(JobsGzip *gzip, int nthreads);
static void *thread_main(void *arg);
static Block *find_full(JobsGzip *gzip);
static void compress_block(Deflater *deflater, Block *block);
static void deflater_free(Deflater *deflater);
static void submit(JobsGzip *gzip);
static void write_done(JobsGzip *gzip, bool wait);
static void release(void *arg);

static const char header[10] = {0x1f, (char) 0x8b, 8, 0, 0, 0, 0, 0, 0, (char) 0xff};

JobsGzip *
jobs_gzip_begin(int nthreads, JobsSink sink, void *arg)
{
	JobsGzip   *gzip = MemoryContextAllocZero(CurrentMemoryContext, sizeof(JobsGzip));

	gzip->sink = sink;
	gzip->arg = arg;
	gzip->crc = crc32(0, NULL, 0);
	pthread_mutex_init(&gzip->mutex, NULL);
	pthread_cond_init(&gzip->work, NULL);
	pthread_cond_init(&gzip->done, NULL);
	gzip->callback.func = release;
	gzip->callback.arg = gzip;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &gzip->callback);

	nthreads = Min(nthreads, MAX_THREADS);
	gzip->nblocks = nthreads == 0 ? 1 : 2 * nthreads + 1;
	gzip->blocks = must_malloc(gzip->nblocks * sizeof(Block));
	memset(gzip->blocks, 0, gzip->nblocks * sizeof(Block));
	for (int i = 0; i < gzip->nblocks; i++)
	{
		gzip->blocks[i].in = must_malloc(BLOCK_SIZE);
		gzip->blocks[i].out = must_malloc(MAX_OUT);
	}
	start_threads(gzip, nthreads);
	sink(arg, header, sizeof(header));
	return gzip;
}

static void *
must_malloc(Size size)
{
	void	   *memory = malloc(size);

	if (memory == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return memory;
}

/* Those that cannot be had are done without. */
static void
start_threads(JobsGzip *gzip, int nthreads)
{
	sigset_t	all;
	sigset_t	old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (gzip->nthreads < nthreads &&
		   pthread_create(&gzip->threads[gzip->nthreads], NULL, thread_main, gzip) == 0)
		gzip->nthreads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ------------------------------------------------------------------------
 * Threads: no PostgreSQL function is called here
 * ------------------------------------------------------------------------
 */

static void *
thread_main(void *arg)
{
	JobsGzip   *gzip = arg;
	Deflater	deflater = {0};

	pthread_mutex_lock(&gzip->mutex);
	while (!gzip->stop)
	{
		Block	   *block = find_full(gzip);

		if (block == NULL)
		{
			pthread_cond_wait(&gzip->work, &gzip->mutex);
			continue;
		}
		block->state = BLOCK_BUSY;
		pthread_mutex_unlock(&gzip->mutex);
		compress_block(&deflater, block);
		pthread_mutex_lock(&gzip->mutex);
		block->state = BLOCK_DONE;
		pthread_cond_signal(&gzip->done);
	}
	pthread_mutex_unlock(&gzip->mutex);
	deflater_free(&deflater);
	return NULL;
}

/* The oldest, as it will be waited for first. */
static Block *
find_full(JobsGzip *gzip)
{
	for (int i = 0; i < gzip->nblocks; i++)
	{
		Block	   *block = &gzip->blocks[(gzip->next_out + i) % gzip->nblocks];

		if (block->state == BLOCK_FULL)
			return block;
	}
	return NULL;
}

#ifdef JOBS_HAVE_ISAL

static void
compress_block(Deflater *deflater, Block *block)
{
	struct isal_zstream stream = {0};

	block->crc = crc32(0, (const Bytef *) block->in, block->in_len);
	if (!deflater->ready)
	{
		deflater->level_buffer = malloc(ISAL_DEF_LVL1_DEFAULT);
		deflater->ready = deflater->level_buffer != NULL;
	}
	isal_deflate_stateless_init(&stream);
	stream.level = LEVEL;
	stream.level_buf = deflater->level_buffer;
	stream.level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	stream.flush = FULL_FLUSH;
	stream.end_of_stream = 0;
	stream.next_in = (uint8_t *) block->in;
	stream.avail_in = block->in_len;
	stream.next_out = (uint8_t *) block->out;
	stream.avail_out = MAX_OUT;
	block->failed = !deflater->ready || isal_deflate_stateless(&stream) != COMP_OK;
	block->out_len = MAX_OUT - stream.avail_out;
}

static void
deflater_free(Deflater *deflater)
{
	free(deflater->level_buffer);
	memset(deflater, 0, sizeof(Deflater));
}

#else

static void
compress_block(Deflater *deflater, Block *block)
{
	z_stream   *stream = &deflater->stream;

	block->crc = crc32(0, (const Bytef *) block->in, block->in_len);
	if (deflater->ready)
		(void) deflateReset(stream);
	else
		deflater->ready = deflateInit2(stream, LEVEL, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	stream->next_in = (Bytef *) block->in;
	stream->avail_in = block->in_len;
	stream->next_out = (Bytef *) block->out;
	stream->avail_out = MAX_OUT;
	block->failed = !deflater->ready || deflate(stream, Z_FULL_FLUSH) != Z_OK || stream->avail_in != 0;
	block->out_len = MAX_OUT - stream->avail_out;
}

static void
deflater_free(Deflater *deflater)
{
	if (deflater->ready)
		(void) deflateEnd(&deflater->stream);
	memset(deflater, 0, sizeof(Deflater));
}

#endif

/* ------------------------------------------------------------------------
 * The caller's side
 * ------------------------------------------------------------------------
 */

void
jobs_gzip_write(JobsGzip *gzip, const char *data, Size len)
{
	while (len > 0)
	{
		Block	   *block = &gzip->blocks[gzip->next_in];
		Size		n = Min(len, BLOCK_SIZE - block->in_len);

		memcpy(block->in + block->in_len, data, n);
		block->in_len += n;
		data += n;
		len -= n;
		if (block->in_len == BLOCK_SIZE)
			submit(gzip);
	}
}

/* The block that is filled next is always an empty one. */
static void
submit(JobsGzip *gzip)
{
	Block	   *block = &gzip->blocks[gzip->next_in];

	CHECK_FOR_INTERRUPTS();
	gzip->next_in = (gzip->next_in + 1) % gzip->nblocks;
	if (gzip->nthreads == 0)
	{
		compress_block(&gzip->own, block);
		block->state = BLOCK_DONE;
	}
	else
	{
		pthread_mutex_lock(&gzip->mutex);
		block->state = BLOCK_FULL;
		pthread_cond_signal(&gzip->work);
		pthread_mutex_unlock(&gzip->mutex);
	}
	write_done(gzip, false);
	while (gzip->blocks[gzip->next_in].in_len > 0)
		write_done(gzip, true);
}

/* Writes the blocks that are done, in order; with wait at least one. */
static void
write_done(JobsGzip *gzip, bool wait)
{
	for (;;)
	{
		Block	   *block = &gzip->blocks[gzip->next_out];
		bool		done;

		pthread_mutex_lock(&gzip->mutex);
		while (wait && block->state != BLOCK_DONE)
			pthread_cond_wait(&gzip->done, &gzip->mutex);
		done = block->state == BLOCK_DONE;
		pthread_mutex_unlock(&gzip->mutex);
		if (!done)
			return;
		if (block->failed)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("The file could not be compressed.")));
		gzip->sink(gzip->arg, block->out, block->out_len);
		gzip->crc = crc32_combine(gzip->crc, block->crc, block->in_len);
		gzip->total += block->in_len;
		block->in_len = 0;
		pthread_mutex_lock(&gzip->mutex);
		block->state = BLOCK_EMPTY;
		gzip->next_out = (gzip->next_out + 1) % gzip->nblocks;
		pthread_mutex_unlock(&gzip->mutex);
		wait = false;
	}
}

void
jobs_gzip_end(JobsGzip *gzip)
{
	/* The last block is empty; then come checksum and length, low byte first. */
	unsigned char trailer[10] = {3, 0};

	if (gzip->blocks[gzip->next_in].in_len > 0)
		submit(gzip);
	while (gzip->blocks[gzip->next_out].in_len > 0)
		write_done(gzip, true);
	for (int i = 0; i < 4; i++)
	{
		trailer[2 + i] = gzip->crc >> (8 * i);
		trailer[6 + i] = gzip->total >> (8 * i);
	}
	gzip->sink(gzip->arg, (char *) trailer, sizeof(trailer));
	release(gzip);
}

/* Also when the memory context goes, which after an error is the only way. */
static void
release(void *arg)
{
	JobsGzip   *gzip = arg;

	pthread_mutex_lock(&gzip->mutex);
	gzip->stop = true;
	pthread_cond_broadcast(&gzip->work);
	pthread_mutex_unlock(&gzip->mutex);
	for (int i = 0; i < gzip->nthreads; i++)
		pthread_join(gzip->threads[i], NULL);
	gzip->nthreads = 0;
	for (int i = 0; gzip->blocks && i < gzip->nblocks; i++)
	{
		free(gzip->blocks[i].in);
		free(gzip->blocks[i].out);
	}
	free(gzip->blocks);
	gzip->blocks = NULL;
	deflater_free(&gzip->own);
}
