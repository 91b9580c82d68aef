/*-------------------------------------------------------------------------
 *
 * hangs.c
 *	  Hosts that do not answer.
 *
 * A request without an answer takes one of few places for ten seconds.  Where a host
 * has left several in a row without, what goes there next is put off, so that
 * messages to others need not wait for it.  One in a minute is sent, to see
 * whether the host is back.
 *
 * Threads call this.  There is room for some hosts, and where it is too small the one
 * that hung first is forgotten: no more is lost by that than time.
 *
 *-------------------------------------------------------------------------
 */
#include "hangs.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOSTS 64
#define REST_MS 60000

/* A little longer than one request takes. */
#define TRIAL_MS 12000

typedef struct Host
{
	char		name[256];		/* "": there is none */
	int			hangs;			/* in a row */
	int64_t		noted;			/* when the last was */
	int64_t		until;			/* when it may be asked again, if there were many */
} Host;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Host hosts[HOSTS];

static Host *find(const char *name);
static Host *make(const char *name);

int64_t
hangs_wait(const char *host, int64_t now)
{
	int64_t		wait = 0;
	Host	   *found;

	pthread_mutex_lock(&lock);
	found = find(host);
	if (found != NULL && found->hangs >= MANY_HANGS)
	{
		if (now < found->until)
			wait = found->until - now;
		else
			found->until = now + TRIAL_MS;
	}
	pthread_mutex_unlock(&lock);
	return wait;
}

void
hangs_note(const char *host, bool hung, int64_t now)
{
	Host	   *found;

	pthread_mutex_lock(&lock);
	found = find(host);
	if (!hung && found != NULL)
		found->name[0] = '\0';
	else if (hung)
	{
		if (found == NULL)
			found = make(host);
		found->hangs++;
		found->noted = now;
		found->until = now + REST_MS;
	}
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

static Host *
make(const char *name)
{
	Host	   *place = &hosts[0];

	for (int i = 0; i < HOSTS && place->name[0] != '\0'; i++)
	{
		if (hosts[i].name[0] == '\0' || hosts[i].noted < place->noted)
			place = &hosts[i];
	}
	memset(place, 0, sizeof(*place));
	snprintf(place->name, sizeof(place->name), "%s", name);
	return place;
}
