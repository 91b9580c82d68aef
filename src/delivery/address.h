/*-------------------------------------------------------------------------
 *
 * address.h
 *	  Where messages may go: addresses, and the settings that allow them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_ADDRESS_H
#define JOBS_ADDRESS_H

#include "delivery/delivery.h"
#include "utils/guc.h"

/* Whether the administrator has allowed anything on a channel, and this address. */
extern bool jobs_channel_on(JobsChannel channel);
extern bool jobs_address_allowed(JobsChannel channel, const char *address);

/* Raises 22023 for what cannot be an address of the channel, 42501 for one not allowed. */
extern void jobs_address_check(JobsChannel channel, const char *address);

/* The setting that allows addresses of a channel. */
extern const char *jobs_channel_setting(JobsChannel channel);

/* Hooks of settings, for guc.c. */
extern bool jobs_check_mail_domains(char **newval, void **extra, GucSource source);
extern bool jobs_check_webhook_hosts(char **newval, void **extra, GucSource source);
extern bool jobs_check_link_template(char **newval, void **extra, GucSource source);

#endif							/* JOBS_ADDRESS_H */
