/*-------------------------------------------------------------------------
 *
 * hangs.c
 *	  Hosts that do not answer, or fail, or take their time.
 *
 * A request without an answer takes one of few places for ten seconds.  Where a host
 * has left several in a row without, what goes there next is put off, so that
 * messages to others need not wait for it.  One in a minute is sent, to see
 * whether the host is back.
 *
 * One that answers in the last moment that it will have nothing, again and again, keeps
 * places as well, and longer, since each message comes back.  While a host does nothing
 * better, half of the places are others'.
 *
 * Threads call this.  There is room for some hosts, more than can be asked at once,
 * and where it is too small the one that failed first is forgotten: no more is lost by
 * that than time.
 *
 *-------------------------------------------------------------------------
 */
#include "hangs.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOSTS 256

/* So many requests in a row are enough. */
#define MANY 3
#define REST_MS 60000

/* A little longer than one request takes. */
#define TRIAL_MS 12000

typedef struct Host
{
	char		name[256];		/* "": there is none */
	int			active;			/* requests on their way */
	int			hangs;			/* in a row */
	int			failures;		/* in a row, hangs and late answers too */
	int64_t		noted;			/* when the last was */
	int64_t		until;			/* when it may be asked again, if there were many hangs */
} Host;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Host hosts[HOSTS];

static Host *find(const char *name);
static Host *make(const char *name);

const char *
hangs_refused(const char *host, int places, int64_t now, int64_t *wait)
{
	const char *why = NULL;
	Host	   *found;

	*wait = 0;
	pthread_mutex_lock(&lock);
	found = find(host);
	if (found == NULL)
		found = make(host);
	if (found->hangs >= MANY && now < found->until)
	{
		*wait = found->until - now;
		why = "its host has left 3 requests in a row without an answer";
	}
	else if (found->failures >= MANY && found->active > 0 && found->active >= places / 2)
		why = "its host, which has failed or been late 3 times in a row, has half of the places";
	else
	{
		found->until = now + TRIAL_MS;
		found->active++;
	}
	pthread_mutex_unlock(&lock);
	return why;
}

void
hangs_note(const char *host, Answer answer, int64_t now)
{
	Host	   *found;

	pthread_mutex_lock(&lock);
	found = find(host);
	if (found == NULL)
		found = make(host);
	if (found->active > 0)
		found->active--;
	found->hangs = answer == ANSWER_NONE ? found->hangs + 1 : 0;
	found->failures = answer == ANSWER_GOOD ? 0 : found->failures + 1;
	found->noted = now;
	found->until = now + REST_MS;
	if (found->failures == 0 && found->active == 0)
		found->name[0] = '\0';
	pthread_mutex_unlock(&lock);
}

static Host *
find(const char *name)
{
	for (int i = 0; i < HOSTS; i++)
	{
		if (hosts[i].name[0] != '\0' && strcasecmp(hosts[i].name, name) == 0)
			return &hosts[i];
	}
	return NULL;
}

/* In a free place, or that of a host that nobody asks. */
static Host *
make(const char *name)
{
	Host	   *place = NULL;

	for (int i = 0; i < HOSTS && (place == NULL || place->name[0] != '\0'); i++)
	{
		if (hosts[i].name[0] == '\0' ||
			(hosts[i].active == 0 && (place == NULL || hosts[i].noted < place->noted)))
			place = &hosts[i];
	}
	memset(place, 0, sizeof(*place));
	snprintf(place->name, sizeof(place->name), "%s", name);
	return place;
}
