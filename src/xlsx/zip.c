/*-------------------------------------------------------------------------
 *
 * zip.c
 *	  A zip file that is written from its beginning to its end, without going
 *	  back, and the reading of a small one in memory.
 *
 * What a part needs in front of it and is known only at its end stands behind
 * it, in a data descriptor.  jobs_gzip compresses: a gzip file is a header, the
 * very bytes that belong into a zip file, and a checksum.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>

#include "lib/stringinfo.h"
#include "zip.h"

#define LOCAL_SIGNATURE			0x04034b50
#define DESCRIPTOR_SIGNATURE	0x08074b50
#define CENTRAL_SIGNATURE		0x02014b50
#define END_SIGNATURE			0x06054b50

#define LOCAL_LEN				30
#define CENTRAL_LEN				46
#define END_LEN					22

#define VERSION					20	/* 2.0: deflate */
#define FLAG_DESCRIPTOR			0x0008
#define METHOD_DEFLATED			8
#define DATE					0x0021	/* 1980-01-01 */

#define GZIP_HEADER_LEN			10
#define GZIP_TRAILER_LEN		8	/* the checksum and the length, low byte first */

struct JobsZip
{
	const JobsXlsxHost *host;
	MemoryContext context;
	JobsSink	sink;
	void	   *arg;
	uint64		offset;			/* bytes so far */
	int			nparts;
	StringInfoData central;

	/* The part that is being compressed. */
	ZipPart		part;
	uint64		start;
	uint64		len;
	uint64		packed_len;
	JobsGzip   *gzip;
	int			skip;			/* bytes of gzip's header still to come */
	int			ntail;
	unsigned char tail[GZIP_TRAILER_LEN];	/* the last bytes, which may be the trailer */
};

static void put(JobsZip *zip, const void *data, Size len);
static void put16(StringInfo buf, uint32 value);
static void put32(StringInfo buf, uint32 value);
static void put_sizes(StringInfo buf, const ZipPart *part);
static void put_local(JobsZip *zip, const ZipPart *part, bool streamed);
static void add_central(JobsZip *zip, const ZipPart *part, uint64 start, bool streamed);
static void take_packed(void *arg, const char *data, Size len);
static uint32 get16(const char *p);
static uint32 get32(const char *p);
pg_noreturn static void damaged(void);

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

JobsZip *
zip_begin(const JobsXlsxHost *host, JobsSink sink, void *arg)
{
	JobsZip    *zip = palloc0(sizeof(JobsZip));

	zip->host = host;
	zip->context = CurrentMemoryContext;
	zip->sink = sink;
	zip->arg = arg;
	initStringInfo(&zip->central);
	return zip;
}

static void
put(JobsZip *zip, const void *data, Size len)
{
	if (zip->offset + len > PG_UINT32_MAX || zip->len > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the file would be larger than 4 GB"),
				 errhint("Export fewer rows, or use the format csv.")));
	zip->sink(zip->arg, data, len);
	zip->offset += len;
}

static void
put16(StringInfo buf, uint32 value)
{
	appendStringInfoCharMacro(buf, value & 0xff);
	appendStringInfoCharMacro(buf, value >> 8 & 0xff);
}

static void
put32(StringInfo buf, uint32 value)
{
	put16(buf, value & 0xffff);
	put16(buf, value >> 16);
}

static void
put_sizes(StringInfo buf, const ZipPart *part)
{
	put32(buf, part->crc);
	put32(buf, part->packed_len);
	put32(buf, part->len);
}

static void
put_local(JobsZip *zip, const ZipPart *part, bool streamed)
{
	StringInfoData buf;

	initStringInfo(&buf);
	put32(&buf, LOCAL_SIGNATURE);
	put16(&buf, VERSION);
	put16(&buf, streamed ? FLAG_DESCRIPTOR : 0);
	put16(&buf, part->method);
	put16(&buf, 0);
	put16(&buf, DATE);
	put_sizes(&buf, part);
	put16(&buf, strlen(part->name));
	put16(&buf, 0);
	appendStringInfoString(&buf, part->name);
	put(zip, buf.data, buf.len);
	pfree(buf.data);
}

static void
add_central(JobsZip *zip, const ZipPart *part, uint64 start, bool streamed)
{
	StringInfo	buf = &zip->central;

	put32(buf, CENTRAL_SIGNATURE);
	put16(buf, VERSION);
	put16(buf, VERSION);
	put16(buf, streamed ? FLAG_DESCRIPTOR : 0);
	put16(buf, part->method);
	put16(buf, 0);
	put16(buf, DATE);
	put_sizes(buf, part);
	put16(buf, strlen(part->name));
	put16(buf, 0);				/* extra field */
	put16(buf, 0);				/* comment */
	put16(buf, 0);				/* disk */
	put16(buf, 0);				/* attributes */
	put32(buf, 0);
	put32(buf, (uint32) start);
	appendStringInfoString(buf, part->name);
	zip->nparts++;
}

void
zip_add(JobsZip *zip, const ZipPart *part)
{
	uint64		start = zip->offset;

	put_local(zip, part, false);
	put(zip, part->packed, part->packed_len);
	add_central(zip, part, start, false);
}

void
zip_open(JobsZip *zip, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(zip->context);

	memset(&zip->part, 0, sizeof(ZipPart));
	zip->part.name = pstrdup(name);
	zip->part.method = METHOD_DEFLATED;
	zip->start = zip->offset;
	put_local(zip, &zip->part, true);
	zip->len = zip->packed_len = 0;
	zip->skip = GZIP_HEADER_LEN;
	zip->ntail = 0;
	zip->gzip = zip->host->gzip_begin(zip->host->threads, take_packed, zip);
	MemoryContextSwitchTo(old);
}

void
zip_write(JobsZip *zip, const char *data, Size len)
{
	zip->len += len;
	zip->host->gzip_write(zip->gzip, data, len);
}

uint64
zip_part_len(const JobsZip *zip)
{
	return zip->len;
}

/* The sink of gzip: all but the header and the last bytes go on. */
static void
take_packed(void *arg, const char *data, Size len)
{
	JobsZip    *zip = arg;
	Size		n = Min(zip->skip, len);

	zip->skip -= n;
	data += n;
	len -= n;
	/* Bytes held back that are not among the last any more. */
	n = len >= GZIP_TRAILER_LEN ? zip->ntail : Max((int) (zip->ntail + len) - GZIP_TRAILER_LEN, 0);
	put(zip, zip->tail, n);
	zip->packed_len += n;
	zip->ntail -= n;
	memmove(zip->tail, zip->tail + n, zip->ntail);

	n = len > GZIP_TRAILER_LEN ? len - GZIP_TRAILER_LEN : 0;
	put(zip, data, n);
	zip->packed_len += n;
	memcpy(zip->tail + zip->ntail, data + n, len - n);
	zip->ntail += len - n;
}

void
zip_close(JobsZip *zip)
{
	StringInfoData buf;

	zip->host->gzip_end(zip->gzip);
	zip->gzip = NULL;
	Assert(zip->ntail == GZIP_TRAILER_LEN);
	zip->part.crc = get32((char *) zip->tail);
	zip->part.packed_len = zip->packed_len;
	zip->part.len = zip->len;

	initStringInfo(&buf);
	put32(&buf, DESCRIPTOR_SIGNATURE);
	put_sizes(&buf, &zip->part);
	put(zip, buf.data, buf.len);
	pfree(buf.data);
	add_central(zip, &zip->part, zip->start, true);
	pfree(zip->part.name);
}

void
zip_end(JobsZip *zip)
{
	uint64		start = zip->offset;
	StringInfoData buf;

	put(zip, zip->central.data, zip->central.len);
	initStringInfo(&buf);
	put32(&buf, END_SIGNATURE);
	put16(&buf, 0);				/* disk */
	put16(&buf, 0);
	put16(&buf, zip->nparts);
	put16(&buf, zip->nparts);
	put32(&buf, zip->central.len);
	put32(&buf, (uint32) start);
	put16(&buf, 0);				/* comment */
	put(zip, buf.data, buf.len);
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------
 */

static uint32
get16(const char *p)
{
	return (unsigned char) p[0] | (unsigned char) p[1] << 8;
}

static uint32
get32(const char *p)
{
	return get16(p) | get16(p + 2) << 16;
}

static void
damaged(void)
{
	elog(ERROR, "the library has written a damaged workbook");
}

List *
zip_parts(const char *data, Size len)
{
	List	   *parts = NIL;
	const char *p;
	int			n;

	/* There is no comment at the end. */
	if (len < END_LEN || get32(data + len - END_LEN) != END_SIGNATURE)
		damaged();
	n = get16(data + len - END_LEN + 10);
	p = data + get32(data + len - END_LEN + 16);
	for (int i = 0; i < n; i++)
	{
		ZipPart    *part = palloc(sizeof(ZipPart));
		const char *local;

		if (p < data || p + CENTRAL_LEN > data + len || get32(p) != CENTRAL_SIGNATURE)
			damaged();
		part->method = get16(p + 10);
		part->crc = get32(p + 16);
		part->packed_len = get32(p + 20);
		part->len = get32(p + 24);
		part->name = pnstrdup(p + CENTRAL_LEN, get16(p + 28));
		local = data + get32(p + 42);
		if (local + LOCAL_LEN > data + len || get32(local) != LOCAL_SIGNATURE)
			damaged();
		part->packed = local + LOCAL_LEN + get16(local + 26) + get16(local + 28);
		if (part->packed + part->packed_len > data + len)
			damaged();
		parts = lappend(parts, part);
		p += CENTRAL_LEN + get16(p + 28) + get16(p + 30) + get16(p + 32);
	}
	return parts;
}

char *
zip_unpack(const ZipPart *part)
{
	char	   *result = palloc(part->len + 1);
	z_stream	stream = {0};
	int			status;

	if (part->method != METHOD_DEFLATED || inflateInit2(&stream, -15) != Z_OK)
		damaged();
	stream.next_in = (Bytef *) unconstify(char *, part->packed);
	stream.avail_in = part->packed_len;
	stream.next_out = (Bytef *) result;
	stream.avail_out = part->len + 1;
	status = inflate(&stream, Z_FINISH);
	(void) inflateEnd(&stream);
	if (status != Z_STREAM_END || stream.total_out != part->len)
		damaged();
	result[part->len] = '\0';
	return result;
}
