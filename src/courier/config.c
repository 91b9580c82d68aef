/*-------------------------------------------------------------------------
 *
 * config.c
 *	  What an administrator says.
 *
 * First all values are collected as they are written, then they are looked at,
 * so that it does not matter where one stands.
 *
 *-------------------------------------------------------------------------
 */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "address.h"
#include "secret.h"
#include "text.h"

enum
{
	CA_FILE,
	CHANNEL_LIST,
	DSN,
	LEASE,
	MAIL_FROM,
	MAIL_FROM_NAME,
	PARALLEL,
	SMTP_PASSWORD,
	SMTP_PASSWORD_FILE,
	SMTP_TIMEOUT,
	SMTP_TLS,
	SMTP_URL,
	SMTP_USER,
	WEBHOOK_ALLOW_HTTP,
	WEBHOOK_ALLOW_PRIVATE,
	WEBHOOK_SECRET,
	WEBHOOK_SECRET_FILE,
	SETTINGS
};

static const char *const names[SETTINGS] = {
	"ca_file", "channels", "dsn", "lease", "mail_from", "mail_from_name", "parallel",
	"smtp_password", "smtp_password_file", "smtp_timeout", "smtp_tls", "smtp_url", "smtp_user",
	"webhook_allow_http", "webhook_allow_private", "webhook_secret", "webhook_secret_file"
};

#define HOST_SECRET "webhook_secret."

const char *const channel_names[CHANNELS] = {"email", "webhook"};

static void read_file(Config *config, const char *path, char **values);
static void read_line(Config *config, const char *path, int number, char *line, char **values);
static void read_environment(char **values);
static void warn_of_readers(const char *path, FILE *file);
static void interpret(Config *config, char **values);
static void read_channels(Config *config, const char *list);
static void read_smtp(Config *config, char **values);
static void check_dsn(const char *dsn);
static bool has_password(const char *dsn);
static void check_smtp_url(const char *url, bool plain_password);
static bool is_this_machine(const char *host);
static void add_secrets(Config *config, const char *where, const char *host, const char *list);
static char *first_line(const char *name, const char *path);
static char *take(char **value);
static int	number(const char *name, const char *value, int standard, int least, int most);
static bool boolean(const char *name, const char *value);
static char *trim(char *string);
static void refuse(const char *format,...) __attribute__((format(printf, 1, 2), noreturn));

Config *
config_read(const char *file)
{
	Config	   *config = allocate(sizeof(Config));
	char	   *values[SETTINGS] = {NULL};

	if (file != NULL)
		read_file(config, file, values);
	read_environment(values);
	interpret(config, values);
	for (int i = 0; i < SETTINGS; i++)
		free(values[i]);
	return config;
}

void
config_free(Config *config)
{
	while (config->secrets != NULL)
	{
		Secret	   *secret = config->secrets;

		config->secrets = secret->next;
		free(secret->host);
		free(secret);
	}
	free(config->dsn);
	free(config->ca_file);
	free(config->smtp_url);
	free(config->smtp_user);
	free(config->smtp_password);
	free(config->mail_from);
	free(config->mail_from_name);
	free(config);
}

/* ---------------------------------------------------------------------------
 * Values as they are written
 * ---------------------------------------------------------------------------
 */

static void
read_file(Config *config, const char *path, char **values)
{
	FILE	   *file = fopen(path, "r");
	char	   *line = NULL;
	size_t		size = 0;
	int			lines = 0;

	if (file == NULL)
		refuse("could not open \"%s\": %s", path, strerror(errno));
	while (getline(&line, &size, file) >= 0)
		read_line(config, path, ++lines, line, values);
	if (ferror(file))
		refuse("could not read \"%s\": %s", path, strerror(errno));
	free(line);
	if (config->secrets != NULL || values[SMTP_PASSWORD] != NULL || values[WEBHOOK_SECRET] != NULL ||
		has_password(values[DSN]))
		warn_of_readers(path, file);
	fclose(file);
}

/* A number sign begins a comment only where a line does: passwords have some. */
static void
read_line(Config *config, const char *path, int number, char *line, char **values)
{
	char	   *name = trim(line);
	char	   *value = strchr(name, '=');

	if (*name == '\0' || *name == '#')
		return;
	if (value == NULL)
		refuse("%s:%d: a line must read \"key = value\"", path, number);
	*value++ = '\0';
	name = trim(name);
	value = trim(value);
	if (strncmp(name, HOST_SECRET, strlen(HOST_SECRET)) == 0)
	{
		add_secrets(config, name, name + strlen(HOST_SECRET), value);
		return;
	}
	for (int i = 0; i < SETTINGS; i++)
	{
		if (strcmp(name, names[i]) != 0)
			continue;
		if (values[i] != NULL)
			refuse("%s:%d: \"%s\" is set twice", path, number, name);
		values[i] = copy_string(value);
		return;
	}
	refuse("%s:%d: there is no setting \"%s\"", path, number, name);
}

static void
read_environment(char **values)
{
	for (int i = 0; i < SETTINGS; i++)
	{
		char		variable[64];
		const char *value;

		snprintf(variable, sizeof(variable), "JOBS_COURIER_%s", names[i]);
		for (char *c = variable; *c != '\0'; c++)
			*c = toupper((unsigned char) *c);
		value = getenv(variable);
		if (value == NULL)
			continue;
		free(values[i]);
		values[i] = copy_string(value);
	}
}

static void
warn_of_readers(const char *path, FILE *file)
{
	struct stat about;

	if (fstat(fileno(file), &about) == 0 && (about.st_mode & S_IROTH) != 0)
		say("warning: everybody can read \"%s\", which has secrets in it", path);
}

/* ---------------------------------------------------------------------------
 * What they mean
 * ---------------------------------------------------------------------------
 */

static void
interpret(Config *config, char **values)
{
	char	   *secret = take(&values[WEBHOOK_SECRET]);

	config->dsn = take(&values[DSN]);
	if (config->dsn == NULL)
		config->dsn = copy_string("");
	check_dsn(config->dsn);
	config->ca_file = take(&values[CA_FILE]);
	if (config->ca_file != NULL && access(config->ca_file, R_OK) != 0)
		refuse("could not open ca_file \"%s\": %s", config->ca_file, strerror(errno));
	config->parallel = number("parallel", values[PARALLEL], 4, 1, 100);
	config->lease = number("lease", values[LEASE], 60, 20, 3600);
	config->allow_private = boolean("webhook_allow_private", values[WEBHOOK_ALLOW_PRIVATE]);
	config->allow_http = boolean("webhook_allow_http", values[WEBHOOK_ALLOW_HTTP]);
	if (secret == NULL && values[WEBHOOK_SECRET_FILE] != NULL)
		secret = first_line("webhook_secret_file", values[WEBHOOK_SECRET_FILE]);
	if (secret != NULL)
		add_secrets(config, "webhook_secret", NULL, secret);
	free(secret);

	config->smtp_url = take(&values[SMTP_URL]);
	if (values[CHANNEL_LIST] != NULL)
		read_channels(config, values[CHANNEL_LIST]);
	else
	{
		config->channels[CHANNEL_EMAIL] = config->smtp_url != NULL;
		config->channels[CHANNEL_WEBHOOK] = config->secrets != NULL;
		if (!config->channels[CHANNEL_EMAIL] && !config->channels[CHANNEL_WEBHOOK])
			refuse("there is neither smtp_url, for mail, nor webhook_secret, for webhooks");
	}
	if (config->channels[CHANNEL_WEBHOOK] && config->secrets == NULL)
		refuse("channel \"webhook\" needs webhook_secret");
	if (config->channels[CHANNEL_EMAIL])
		read_smtp(config, values);
}

/*
 * A plain word is the name of a database.  libpq's complaint about another string
 * would repeat parts of it, which may be the password.
 */
static void
check_dsn(const char *dsn)
{
	PQconninfoOption *parsed;

	if (strchr(dsn, '=') == NULL && strstr(dsn, "://") == NULL)
		return;
	parsed = PQconninfoParse(dsn, NULL);
	if (parsed == NULL)
		refuse("dsn must be a connection string, key=value pairs or postgresql://..., with a value that has blanks in single quotes");
	PQconninfoFree(parsed);
}

static bool
has_password(const char *dsn)
{
	PQconninfoOption *parsed = dsn != NULL ? PQconninfoParse(dsn, NULL) : NULL;
	bool		found = false;

	for (PQconninfoOption *option = parsed; option != NULL && option->keyword != NULL; option++)
		found = found || (strcmp(option->keyword, "password") == 0 && option->val != NULL);
	PQconninfoFree(parsed);
	return found;
}

static void
read_channels(Config *config, const char *list)
{
	char	   *copy = copy_string(list);
	char	   *rest = copy;
	char	   *word;

	while ((word = strsep(&rest, ", ")) != NULL)
	{
		int			channel = 0;

		if (*word == '\0')
			continue;
		while (channel < CHANNELS && strcmp(word, channel_names[channel]) != 0)
			channel++;
		if (channel == CHANNELS)
			refuse("there is no channel \"%s\", only \"email\" and \"webhook\"", word);
		config->channels[channel] = true;
	}
	free(copy);
	if (!config->channels[CHANNEL_EMAIL] && !config->channels[CHANNEL_WEBHOOK])
		refuse("\"channels\" must name \"email\", \"webhook\" or both");
}

static void
read_smtp(Config *config, char **values)
{
	const char *tls = values[SMTP_TLS];

	if (config->smtp_url == NULL)
		refuse("channel \"email\" needs smtp_url");
	if (tls == NULL || strcmp(tls, "require") == 0)
		config->smtp_tls = TLS_REQUIRE;
	else if (strcmp(tls, "try") == 0)
		config->smtp_tls = TLS_TRY;
	else if (strcmp(tls, "none") == 0)
		config->smtp_tls = TLS_NONE;
	else
		refuse("smtp_tls must be \"require\", \"try\" or \"none\"");
	config->smtp_user = take(&values[SMTP_USER]);
	config->smtp_password = take(&values[SMTP_PASSWORD]);
	if (config->smtp_password == NULL && values[SMTP_PASSWORD_FILE] != NULL)
		config->smtp_password = first_line("smtp_password_file", values[SMTP_PASSWORD_FILE]);
	if ((config->smtp_user == NULL) != (config->smtp_password == NULL))
		refuse("smtp_user and smtp_password go together");
	check_smtp_url(config->smtp_url, config->smtp_user != NULL && config->smtp_tls != TLS_REQUIRE);

	config->smtp_timeout = number("smtp_timeout", values[SMTP_TIMEOUT], 30, 1, 3000);
	if (config->smtp_timeout + 10 > config->lease)
		refuse("lease must be at least ten seconds longer than smtp_timeout, or others send the same mail");
	config->mail_from = take(&values[MAIL_FROM]);
	if (config->mail_from == NULL || !address_mail_ok(config->mail_from))
		refuse("mail_from must be a mail address");
	config->mail_from_name = take(&values[MAIL_FROM_NAME]);
}

/* A password that crosses a network in the clear is not one any more. */
static void
check_smtp_url(const char *url, bool plain_password)
{
	CURLU	   *parts = curl_url();
	char	   *scheme = NULL;
	char	   *host = NULL;
	char	   *user = NULL;

	if (parts == NULL || curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
		curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		(strcmp(scheme, "smtp") != 0 && strcmp(scheme, "smtps") != 0))
		refuse("smtp_url must read smtp://host:port or smtps://host:port");
	if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK)
		refuse("user and password belong into smtp_user and smtp_password, not into smtp_url");
	if (plain_password && strcmp(scheme, "smtp") == 0 &&
		!is_this_machine(host))
		refuse("smtp_user needs smtp_tls = require");
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parts);
}

static bool
is_this_machine(const char *host)
{
	unsigned char bits[4];

	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
		(inet_pton(AF_INET, host, bits) == 1 && bits[0] == 127);
}

/* Several keys are separated by blanks: old and new, while they are changed. */
static void
add_secrets(Config *config, const char *where, const char *host, const char *list)
{
	char	   *copy = copy_string(list);
	char	   *rest = copy;
	char	   *word;
	Secret	  **last = &config->secrets;

	if (host != NULL && *host == '\0')
		refuse("\"%s\" lacks the host", where);
	while (*last != NULL)
		last = &(*last)->next;
	while ((word = strsep(&rest, " \t")) != NULL)
	{
		Secret	   *secret;

		if (*word == '\0')
			continue;
		secret = *last = allocate(sizeof(Secret));
		last = &secret->next;
		secret->host = copy_string(host);
		for (char *c = secret->host; c != NULL && *c != '\0'; c++)
			*c = tolower((unsigned char) *c);
		if (!secret_decode(secret, word))
			refuse("\"%s\" must be whsec_ and %d to %d bytes in base64", where, MIN_SECRET, MAX_SECRET);
	}
	free(copy);
}

/* ---------------------------------------------------------------------------
 * Small things
 * ---------------------------------------------------------------------------
 */

/* The first line of a file that has a secret. */
static char *
first_line(const char *name, const char *path)
{
	FILE	   *file = fopen(path, "r");
	char	   *line = NULL;
	char	   *result;
	size_t		size = 0;

	if (file == NULL)
		refuse("could not open %s \"%s\": %s", name, path, strerror(errno));
	if (getline(&line, &size, file) < 0)
		refuse("there is no line in %s \"%s\"", name, path);
	warn_of_readers(path, file);
	fclose(file);
	line[strcspn(line, "\r\n")] = '\0';
	result = copy_string(line);
	free(line);
	return result;
}

/* The value, which is the caller's now; NULL where there is none or nothing in it. */
static char *
take(char **value)
{
	char	   *result = *value;

	*value = NULL;
	if (result != NULL && *result == '\0')
	{
		free(result);
		result = NULL;
	}
	return result;
}

static int
number(const char *name, const char *value, int standard, int least, int most)
{
	char	   *end;
	long		result;

	if (value == NULL || *value == '\0')
		return standard;
	errno = 0;
	result = strtol(value, &end, 10);
	if (*end != '\0' || errno != 0 || result < least || result > most)
		refuse("%s must be a number from %d to %d", name, least, most);
	return result;
}

static bool
boolean(const char *name, const char *value)
{
	if (value == NULL || *value == '\0' || strcasecmp(value, "off") == 0)
		return false;
	if (strcasecmp(value, "on") != 0)
		refuse("%s must be \"on\" or \"off\"", name);
	return true;
}

/* Cuts white space off at both ends, in place. */
static char *
trim(char *string)
{
	char	   *end = string + strlen(string);

	while (end > string && isspace((unsigned char) end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char) *string))
		string++;
	return string;
}

static void
refuse(const char *format,...)
{
	char		text[1024];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("%s", text);
	exit(EX_CONFIG);
}
