/*-------------------------------------------------------------------------
 *
 * address.h
 *	  Where a courier may connect to, and whom it may write to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COURIER_ADDRESS_H
#define COURIER_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Longest mail address (RFC 5321, with the erratum 1690 of RFC 3696). */
#define MAX_MAIL_ADDRESS 254

/*
 * What kind of address keeps a webhook from being sent there, "a loopback
 * address" for one, or NULL for one of the public Internet.  With "inside",
 * private and loopback addresses are fine too, while link-local addresses,
 * those of clouds' metadata, multicast and the like never are.
 */
extern const char *address_refused(const struct sockaddr *address, bool inside);

/* The address in figures, for a reader. */
extern void address_print(const struct sockaddr *address, char *out, size_t size);

/*
 * Whether SMTP can be given a mail address: one plain "local@domain" of ASCII, in
 * which nothing can end a line or a command, or be taken for two addresses.
 */
extern bool address_mail_ok(const char *address);

#endif							/* COURIER_ADDRESS_H */
