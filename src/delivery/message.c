/*-------------------------------------------------------------------------
 *
 * message.c
 *	  The texts of messages about the ends of jobs.
 *
 * A job's end must not fail for what is said about it, so nothing here raises an
 * error for odd data.  Of errors there is the message alone, without detail and
 * hint, and not even that where an import has columns said to be sensitive; of files
 * that are imported there is nothing but counts, no value of a column.
 *
 * Titles, names and messages are anybody's text.  In what a person reads, control
 * characters become blanks, those that reverse the direction of writing go, and in
 * HTML all that has a meaning there is escaped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bulk/ledger.h"
#include "catalog/namespace.h"
#include "delivery/message.h"
#include "guc.h"
#include "import/import.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "phrase.h"
#include "settle.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "words.h"

#define SUBJECT_TITLE	150 /* characters of a title in a subject */
#define MAX_REASONS		5	/* of failed items */

/* What all the texts of one message are made of. */
typedef struct Message
{
	const Job  *job;
	JobsFile   *file;			/* NULL: it has none */
	char	   *title;			/* these are clean */
	char	   *headline;
	char	   *detail;
	char	   *reason;			/* why it failed or was cancelled, or NULL */
	char	   *subject;
	const char *error;			/* the job's message, if it may be told */
	List	   *reasons;		/* of JobsReason *, most first */
	int64		more_reasons;
	bool		link;			/* there is one ... */
	bool		token;			/* ... which has a token */
} Message;

static void make_tellable(char *text);
static bool has_no_utf8(const char *p, int len);
static void read_job(Message *m, const Job *job);
static char *clean(const char *text, int max);
static bool is_hidden(const char *p);
static char *subject_of(const Message *m);
static void append_link(StringInfo buf, const Message *m, bool html);
static char *body_of(const Message *m);
static char *html_of(const Message *m);
static void append_html(StringInfo buf, const char *text);
static void append_paragraph(StringInfo buf, const char *style, const char *text);
static void append_html_link(StringInfo buf, const Message *m);
static char *payload_of(const Message *m);
static void json_text(StringInfo buf, const char *name, const char *value);
static void json_count(StringInfo buf, const char *name, int64 value);
static void json_time(StringInfo buf, const char *name, TimestampTz time);
static void json_reasons(StringInfo buf, const Message *m);
static char *expires_in(const Message *m);
static char *utc_time(TimestampTz time, bool iso);
static char *about_job(const Message *m);

void
jobs_message_write(const Job *job, JobsDelivery *delivery)
{
	Message		m = {0};

	read_job(&m, job);
	delivery->subject = m.subject;
	delivery->link = m.link && m.token;
	if (delivery->channel == CHANNEL_EMAIL)
	{
		delivery->body = body_of(&m);
		delivery->html = html_of(&m);
	}
	else
		delivery->payload = payload_of(&m);
	make_tellable(delivery->subject);
	make_tellable(delivery->body);
	make_tellable(delivery->html);
	make_tellable(delivery->payload);
}

/*
 * Couriers read UTF-8.  A character that has no counterpart there, as some encodings
 * of databases have, or a byte of none, would be an error at each claim, and keep back
 * all that is claimed with it.
 */
static void
make_tellable(char *text)
{
	int			len;

	if (text == NULL || GetDatabaseEncoding() == PG_UTF8)
		return;
	for (char *p = text; *p; p += len)
	{
		len = jobs_char_len(p);
		if (IS_HIGHBIT_SET(*p) && has_no_utf8(p, len))
			memset(p, '?', len);
	}
}

static bool
has_no_utf8(const char *p, int len)
{
	int			encoding = GetDatabaseEncoding();
	unsigned char out[8 * MAX_CONVERSION_GROWTH];
	Oid			proc;

	if (encoding == PG_SQL_ASCII)
		return len == 1;
	proc = FindDefaultConversionProc(encoding, PG_UTF8);
	return !OidIsValid(proc) ||
		pg_do_encoding_conversion_buf(proc, encoding, PG_UTF8, (unsigned char *) p, len, out, sizeof(out), true) < len;
}

static void
read_job(Message *m, const Job *job)
{
	StringInfoData headline;
	StringInfoData detail;
	JobsFacts	facts = {
		.kind = job_kind_names[job->kind],
		.state = job->state,
		.processed = job->processed,
		.total = job->total,
		.succeeded = job->succeeded,
		.failed = job->failed,
		.skipped = job->skipped,
		.warnings = job->warnings,
		.percent = -1,
		.round = job->round,
		.rows = -1,
		.bytes = -1
	};

	m->job = job;
	m->error = job->error_message;
	if (job->state == JOB_FAILED && job->error_message && jobs_import_is_sensitive(job))
		m->error = "see the job for the reason";
	facts.error_message = m->error;
	m->file = job->state == JOB_SUCCEEDED && job->kind == JOB_EXPORT ? jobs_store_find_file(job->id) : NULL;
	if (m->file)
	{
		facts.format = m->file->format;
		facts.rows = m->file->rows;
		facts.bytes = m->file->bytes;
		facts.expires_at = m->file->expires_at;
		facts.now = job->finished_at;
	}
	if (job->kind == JOB_BULK && job->failed > 0)
		m->reasons = jobs_failure_reasons(job->id, job->round, MAX_REASONS, &m->more_reasons);
	initStringInfo(&headline);
	initStringInfo(&detail);
	jobs_describe_facts(&facts, &headline, &detail);
	m->title = clean(job->title, JOBS_MAX_TITLE);
	m->headline = clean(headline.data, headline.len);
	m->detail = clean(detail.data, detail.len);
	if (m->error && m->error[0] != '\0')
	{
		StringInfoData line;

		initStringInfo(&line);
		jobs_say_line(&line, m->error);
		m->reason = clean(line.data, line.len);
	}
	m->token = jobs_link_template && strstr(jobs_link_template, "{token}") != NULL;
	m->link = jobs_link_template && jobs_link_template[0] != '\0' && (!m->token || m->file);
	m->subject = subject_of(m);
}

/* One line of at most so many characters, without those that are not seen. */
static char *
clean(const char *text, int max)
{
	StringInfoData buf;
	int			chars = 0;

	initStringInfo(&buf);
	for (const char *p = text; *p; p += jobs_char_len(p))
	{
		if (is_hidden(p))
			continue;
		if (chars++ == max)
		{
			appendStringInfoString(&buf, JOBS_ELLIPSIS);
			break;
		}
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			appendStringInfoChar(&buf, ' ');
		else
			appendBinaryStringInfo(&buf, p, jobs_char_len(p));
	}
	return buf.data;
}

/* What could make a text look like another: C1 controls, and marks of direction. */
static bool
is_hidden(const char *p)
{
	int			encoding = GetDatabaseEncoding();
	pg_wchar	c;

	if (!IS_HIGHBIT_SET(*p) || (encoding != PG_UTF8 && encoding != PG_SQL_ASCII) || jobs_char_len(p) == 1)
		return false;
	c = utf8_to_unicode((const unsigned char *) p);
	return (c >= 0x80 && c <= 0x9f) || c == 0x061C || c == 0x200E || c == 0x200F ||
		(c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* ------------------------------------------------------------------------
 * Mail
 * ------------------------------------------------------------------------
 */

static char *
subject_of(const Message *m)
{
	const Job  *job = m->job;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, clean(m->title, SUBJECT_TITLE));
	if (job->state == JOB_FAILED || job->state == JOB_CANCELLED)
	{
		appendStringInfoString(&buf, job->state == JOB_FAILED ? " has failed" : " was cancelled");
		if (m->reason)
			appendStringInfo(&buf, ": %s", m->reason);
	}
	else if (job->kind == JOB_EXPORT)
	{
		appendStringInfo(&buf, " is ready: %s", m->headline);
		if (m->link && m->token)
			appendStringInfo(&buf, ", link expires %s", expires_in(m));
	}
	else if (job->kind == JOB_IMPORT_PREVIEW)
		appendStringInfo(&buf, " is ready%s%s", JOBS_DASH, m->headline);
	else
	{
		appendStringInfoString(&buf, " has finished");
		if (job->kind == JOB_BULK && m->detail[0] != '\0')
			appendStringInfo(&buf, ": %s", m->detail);
		else if (strcmp(m->headline, "Done") != 0)
			appendStringInfo(&buf, ": %s", m->headline);
	}
	return buf.data;
}

/* The template is a URL in ASCII, see jobs_check_link_template. */
static void
append_link(StringInfo buf, const Message *m, bool html)
{
	for (const char *p = jobs_link_template; *p; p++)
	{
		if (strncmp(p, "{token}", 7) == 0)
		{
			appendStringInfoChar(buf, JOBS_MARK_TOKEN);
			p += 6;
		}
		else if (strncmp(p, "{job}", 5) == 0)
		{
			appendStringInfo(buf, "%lld", (long long) m->job->id);
			p += 4;
		}
		else if (html && (*p == '&' || *p == '\''))
			appendStringInfoString(buf, *p == '&' ? "&amp;" : "&#39;");
		else
			appendStringInfoChar(buf, *p);
	}
}

static char *
body_of(const Message *m)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s\n%s\n", m->title, m->headline);
	if (m->file == NULL && m->detail[0] != '\0')
		appendStringInfo(&buf, "%s\n", m->detail);
	foreach(cell, m->reasons)
	{
		JobsReason *reason = lfirst(cell);

		appendStringInfoString(&buf, "  ");
		jobs_say_number(&buf, reason->n);
		appendStringInfo(&buf, JOBS_IN_UTF8(" \303\227 %s\n", " x %s\n"), clean(reason->message, 200));
	}
	if (m->more_reasons > 0)
	{
		appendStringInfoString(&buf, "  ");
		jobs_say_number(&buf, m->more_reasons);
		appendStringInfoString(&buf, " for other reasons\n");
	}
	if (m->file)
		appendStringInfo(&buf, "\nFile: %s\n", clean(m->file->filename, 255));
	if (m->link)
	{
		if (m->token)
			appendStringInfoChar(&buf, JOBS_MARK_IF);
		appendStringInfoString(&buf, m->file ? "Download: " : "\nOpen: ");
		append_link(&buf, m, false);
		if (m->file)
			appendStringInfo(&buf, "\nThe link expires %s, at %s.", expires_in(m), utc_time(m->file->expires_at, false));
		if (m->token)
			appendStringInfo(&buf, "%cIts link is no longer valid.%c", JOBS_MARK_ELSE, JOBS_MARK_END);
		appendStringInfoChar(&buf, '\n');
	}
	appendStringInfo(&buf, "\n%s\n", about_job(m));
	return buf.data;
}

/* When it was submitted, and how long it took. */
static char *
about_job(const Message *m)
{
	StringInfoData buf;
	const Job  *job = m->job;

	initStringInfo(&buf);
	appendStringInfo(&buf, "Job %lld%ssubmitted %s", (long long) job->id, JOBS_DOT, utc_time(job->created_at, false));
	if (job->started_at != 0)
		appendStringInfo(&buf, "%stook %s", JOBS_DOT,
						 jobs_duration(Max(job->finished_at - job->started_at, 1000)));
	return buf.data;
}

static char *
html_of(const Message *m)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>");
	append_html(&buf, m->subject);
	appendStringInfoString(&buf, "</title></head>\n"
						   "<body style=\"margin:0;padding:24px;font:16px/1.5 sans-serif\">\n");
	append_paragraph(&buf, "margin:0 0 4px;font-size:20px;font-weight:bold", m->title);
	append_paragraph(&buf, "margin:0 0 4px", m->headline);
	if (m->file == NULL && m->detail[0] != '\0')
		append_paragraph(&buf, "margin:0 0 4px", m->detail);
	if (m->reasons != NIL)
		appendStringInfoString(&buf, "<ul style=\"margin:0 0 4px\">\n");
	foreach(cell, m->reasons)
	{
		JobsReason *reason = lfirst(cell);

		appendStringInfoString(&buf, "<li>");
		jobs_say_number(&buf, reason->n);
		appendStringInfoString(&buf, " &times; ");
		append_html(&buf, clean(reason->message, 200));
		appendStringInfoString(&buf, "</li>\n");
	}
	if (m->more_reasons > 0)
	{
		appendStringInfoString(&buf, "<li>");
		jobs_say_number(&buf, m->more_reasons);
		appendStringInfoString(&buf, " for other reasons</li>\n");
	}
	if (m->reasons != NIL)
		appendStringInfoString(&buf, "</ul>\n");
	append_html_link(&buf, m);
	append_paragraph(&buf, "margin:16px 0 0;font-size:13px;color:#57606a", about_job(m));
	appendStringInfoString(&buf, "</body>\n</html>\n");
	return buf.data;
}

static void
append_html_link(StringInfo buf, const Message *m)
{
	if (m->file)
		append_paragraph(buf, "margin:16px 0 4px", clean(m->file->filename, 255));
	if (!m->link)
		return;
	if (m->token)
		appendStringInfoChar(buf, JOBS_MARK_IF);
	appendStringInfoString(buf, "<p style=\"margin:16px 0 4px\"><a href=\"");
	append_link(buf, m, true);
	appendStringInfo(buf, "\" style=\"display:inline-block;padding:8px 16px;background:#0969da;color:#ffffff;"
					 "text-decoration:none;border-radius:6px\">%s</a></p>\n", m->file ? "Download" : "Open");
	if (m->file)
	{
		StringInfoData line;

		initStringInfo(&line);
		appendStringInfo(&line, "The link expires %s, at %s.", expires_in(m), utc_time(m->file->expires_at, false));
		append_paragraph(buf, "margin:0", line.data);
	}
	if (m->token)
		appendStringInfo(buf, "%c<p>Its link is no longer valid.</p>\n%c", JOBS_MARK_ELSE, JOBS_MARK_END);
}

static void
append_paragraph(StringInfo buf, const char *style, const char *text)
{
	appendStringInfo(buf, "<p style=\"%s\">", style);
	append_html(buf, text);
	appendStringInfoString(buf, "</p>\n");
}

static void
append_html(StringInfo buf, const char *text)
{
	for (const char *p = text; *p; p += pg_mblen(p))
	{
		switch (*p)
		{
			case '&':
				appendStringInfoString(buf, "&amp;");
				break;
			case '<':
				appendStringInfoString(buf, "&lt;");
				break;
			case '>':
				appendStringInfoString(buf, "&gt;");
				break;
			case '"':
				appendStringInfoString(buf, "&quot;");
				break;
			case '\'':
				appendStringInfoString(buf, "&#39;");
				break;
			default:
				appendBinaryStringInfo(buf, p, pg_mblen(p));
				break;
		}
	}
}

/* "in 24 hours", counted from the job's end. */
static char *
expires_in(const Message *m)
{
	StringInfoData buf;

	initStringInfo(&buf);
	jobs_say_until(&buf, m->file->expires_at - m->job->finished_at, true);
	return buf.data;
}

/* "2026-11-29 10:12:00 UTC", or "2026-11-29T10:12:00.123456Z"; NULL for none. */
static char *
utc_time(TimestampTz time, bool iso)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (time == 0 || TIMESTAMP_NOT_FINITE(time) || timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		return NULL;
	if (iso)
		return psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon, tm.tm_mday,
						tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
	return psprintf("%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year, tm.tm_mon, tm.tm_mday,
					tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* ------------------------------------------------------------------------
 * Webhooks
 * ------------------------------------------------------------------------
 */

static char *
payload_of(const Message *m)
{
	const Job  *job = m->job;
	const JobsFile *file = m->file;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"type\": \"job.%s\", \"timestamp\": \"%s\", \"data\": {\"job\": %lld",
					 job_state_names[job->state], utc_time(job->finished_at, true), (long long) job->id);
	json_text(&buf, "kind", job_kind_names[job->kind]);
	json_text(&buf, "title", job->title);
	json_text(&buf, "state", job_state_names[job->state]);
	json_text(&buf, "subject", m->subject);
	json_text(&buf, "queue", job->queue);
	json_text(&buf, "tenant", job->tenant[0] != '\0' ? job->tenant : NULL);
	json_text(&buf, "unique_key", job->unique_key);
	json_count(&buf, "round", job->round);
	json_count(&buf, "attempt", job->attempt);
	json_time(&buf, "created_at", job->created_at);
	json_time(&buf, "started_at", job->started_at);
	json_time(&buf, "finished_at", job->finished_at);
	json_count(&buf, "processed", job->processed);
	json_count(&buf, "total", job->total);
	json_count(&buf, "succeeded", job->succeeded);
	json_count(&buf, "failed", job->failed);
	json_count(&buf, "skipped", job->skipped);
	json_count(&buf, "warnings", job->warnings);
	json_text(&buf, "error_code", job->error_code);
	json_text(&buf, "error_message", m->error);
	json_reasons(&buf, m);
	json_text(&buf, "filename", file ? file->filename : NULL);
	json_text(&buf, "format", file ? file->format : NULL);
	json_count(&buf, "rows", file ? file->rows : -1);
	json_count(&buf, "bytes", file ? file->bytes : -1);
	json_text(&buf, "sha256", file ? file->sha256 : NULL);
	json_time(&buf, "expires_at", file ? file->expires_at : 0);
	appendStringInfoString(&buf, ", \"link\": ");
	if (m->link)
	{
		if (m->token)
			appendStringInfoChar(&buf, JOBS_MARK_IF);
		appendStringInfoChar(&buf, '"');
		append_link(&buf, m, false);
		appendStringInfoChar(&buf, '"');
		if (m->token)
			appendStringInfo(&buf, "%cnull%c", JOBS_MARK_ELSE, JOBS_MARK_END);
	}
	else
		appendStringInfoString(&buf, "null");
	appendStringInfoString(&buf, "}}");
	return buf.data;
}

static void
json_text(StringInfo buf, const char *name, const char *value)
{
	appendStringInfo(buf, ", \"%s\": ", name);
	if (value)
		escape_json(buf, value);
	else
		appendStringInfoString(buf, "null");
}

static void
json_count(StringInfo buf, const char *name, int64 value)
{
	if (value < 0)
		json_text(buf, name, NULL);
	else
		appendStringInfo(buf, ", \"%s\": %lld", name, (long long) value);
}

static void
json_time(StringInfo buf, const char *name, TimestampTz time)
{
	json_text(buf, name, utc_time(time, true));
}

static void
json_reasons(StringInfo buf, const Message *m)
{
	ListCell   *cell;

	appendStringInfoString(buf, ", \"reasons\": [");
	foreach(cell, m->reasons)
	{
		JobsReason *reason = lfirst(cell);

		if (foreach_current_index(cell) > 0)
			appendStringInfoString(buf, ", ");
		appendStringInfo(buf, "{\"count\": %lld", (long long) reason->n);
		json_text(buf, "error_code", reason->code);
		json_text(buf, "error_message", reason->message);
		appendStringInfoChar(buf, '}');
	}
	appendStringInfoChar(buf, ']');
}

/* ------------------------------------------------------------------------
 * Tokens
 * ------------------------------------------------------------------------
 */

char *
jobs_message_fill(const char *text, const char *token)
{
	StringInfoData buf;
	bool		shown = true;

	if (text == NULL)
		return NULL;
	initStringInfo(&buf);
	for (const char *p = text; *p; p++)
	{
		if (*p == JOBS_MARK_IF)
			shown = token != NULL;
		else if (*p == JOBS_MARK_ELSE)
			shown = token == NULL;
		else if (*p == JOBS_MARK_END)
			shown = true;
		else if (*p == JOBS_MARK_TOKEN && shown && token)
			appendStringInfoString(&buf, token);
		else if (shown)
			appendStringInfoChar(&buf, *p);
	}
	return buf.data;
}
