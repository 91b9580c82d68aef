/*-------------------------------------------------------------------------
 *
 * resolver.c
 *	  A name server that lies, for tests: preloaded into a program.
 *
 * RESOLVER names a file of lines "name address...".  The first look-up of a name
 * is answered by the first of its addresses, the next by the second, and the last
 * stays; "a+b" is two at once, and "never" takes half a minute.  Each look-up is a
 * line "name family" in RESOLVER.log, and counted by family, since newer versions of
 * libcurl ask for each by itself.  Other names are looked up as usual.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Lookup) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* How often a name has been asked for: lines of the log. */
static int
count_lookups(const char *name, int family)
{
	char		path[1000];
	char		line[1000];
	char		wanted[1000];
	int			n = 0;
	FILE	   *log;

	snprintf(path, sizeof(path), "%s.log", getenv("RESOLVER"));
	log = fopen(path, "a+");
	if (log == NULL)
		abort();
	snprintf(wanted, sizeof(wanted), "%s %s", name, family == AF_INET ? "inet" : family == AF_INET6 ? "inet6" : "any");
	rewind(log);
	while (fgets(line, sizeof(line), log) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		n += strcmp(line, wanted) == 0;
	}
	fprintf(log, "%s\n", wanted);
	fclose(log);
	return n;
}

/* Copies the name's address for the n-th look-up. */
static int
find(const char *name, int family, char *address, size_t size)
{
	FILE	   *file = fopen(getenv("RESOLVER"), "r");
	char		line[1000];
	int			found = 0;

	if (file == NULL)
		abort();
	while (!found && fgets(line, sizeof(line), file) != NULL)
	{
		char	   *word = strtok(line, " \n");

		if (word == NULL || strcmp(word, name) != 0)
			continue;
		for (int n = count_lookups(name, family); n >= 0; n--)
		{
			word = strtok(NULL, " \n");
			if (word == NULL)
				break;
			snprintf(address, size, "%s", word);
			found = 1;
		}
	}
	fclose(file);
	return found;
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	Lookup		lookup = (Lookup) dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo numeric = hints != NULL ? *hints : (struct addrinfo) {0};
	int			family = numeric.ai_family;
	struct addrinfo **last = result;
	char		addresses[500];
	char	   *rest = addresses;
	char	   *one;

	if (node == NULL || getenv("RESOLVER") == NULL || !find(node, family, addresses, sizeof(addresses)))
		return lookup(node, service, hints, result);
	if (strcmp(addresses, "never") == 0)
	{
		sleep(30);
		return EAI_AGAIN;
	}
	numeric.ai_flags = (numeric.ai_flags & ~AI_ADDRCONFIG) | AI_NUMERICHOST;
	numeric.ai_family = AF_UNSPEC;
	*result = NULL;
	while ((one = strsep(&rest, "+")) != NULL)
	{
		int			error;

		if (family != AF_UNSPEC && family != (strchr(one, ':') != NULL ? AF_INET6 : AF_INET))
			continue;
		error = lookup(one, service, &numeric, last);
		if (error != 0)
			return error;
		while (*last != NULL)
			last = &(*last)->ai_next;
	}
	return *result != NULL ? 0 : EAI_NONAME;
}
