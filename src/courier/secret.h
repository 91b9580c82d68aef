/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Keys of webhooks, and signatures by them (Standard Webhooks).
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_SECRET_H
#define COURIER_SECRET_H

#include "config.h"
#include "text.h"

/* Reads "whsec_" and base64 into key and len; false where it is no such key. */
extern bool secret_decode(Secret *secret, const char *text);

/*
 * Appends what webhook-signature has: a signature by each of the host's keys, or
 * by those for any host where it has none of its own.  False: there is no key.
 */
extern bool secret_sign(Buffer *out, const Secret *secrets, const char *host,
						const char *id, const char *timestamp, const char *payload);

#endif							/* COURIER_SECRET_H */
