/*-------------------------------------------------------------------------
 *
 * config.h
 *	  What an administrator says: a file of "key = value" lines, and the
 *	  environment, JOBS_COURIER_ and the key in capitals, which goes first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_CONFIG_H
#define COURIER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

typedef enum Channel
{
	CHANNEL_EMAIL,
	CHANNEL_WEBHOOK
} Channel;

#define CHANNELS 2

typedef enum TlsUse
{
	TLS_REQUIRE,
	TLS_TRY,
	TLS_NONE
} TlsUse;

/* Lengths of a key in bytes, by Standard Webhooks. */
#define MIN_SECRET 24
#define MAX_SECRET 64

/* A key that webhooks are signed with: those to one host, or all others. */
typedef struct Secret
{
	struct Secret *next;
	char	   *host;			/* in lower case; NULL: any that has none of its own */
	size_t		len;
	unsigned char key[MAX_SECRET];
} Secret;

typedef struct Config
{
	char	   *dsn;			/* a connection string or URI; "": libpq's environment */
	bool		channels[CHANNELS];
	int			parallel;		/* deliveries at once, for each channel */
	int			lease;			/* seconds that a claim lasts */
	char	   *ca_file;		/* NULL: the system's */

	char	   *smtp_url;
	char	   *smtp_user;
	char	   *smtp_password;
	TlsUse		smtp_tls;
	int			smtp_timeout;	/* seconds for one message */
	char	   *mail_from;
	char	   *mail_from_name;

	Secret	   *secrets;
	bool		allow_private;
	bool		allow_http;
} Config;

/* As SQL has them. */
extern const char *const channel_names[CHANNELS];

/*
 * Reads the configuration.  "file" may be NULL, for the environment alone.  An
 * error is told and ends the program with EX_CONFIG, so that a service manager
 * does not start it over and over.
 */
extern Config *config_read(const char *file);
extern void config_free(Config *config);

#endif							/* COURIER_CONFIG_H */
