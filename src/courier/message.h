/*-------------------------------------------------------------------------
 *
 * message.h
 *	  A mail as SMTP carries it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_MESSAGE_H
#define COURIER_MESSAGE_H

#include <stdint.h>

#include "text.h"

typedef struct Mail
{
	const char *from;			/* addresses that address_mail_ok knows */
	const char *from_name;		/* may be NULL */
	const char *to;
	const char *subject;
	const char *id;				/* message_id_ok */
	int64_t		written;		/* seconds of the Unix epoch */
	const char *body;			/* plain text */
	const char *html;			/* may be NULL */
} Mail;

/* Whether an id of a delivery can stand in headers, and between dots. */
extern bool message_id_ok(const char *id);

/*
 * Appends header and body.  Nothing here depends on the attempt, so that one mail
 * that arrives twice can be known.  Whatever the strings contain, it
 * stays in the field that it belongs to.
 */
extern void message_build(Buffer *out, const Mail *mail);

#endif							/* COURIER_MESSAGE_H */
