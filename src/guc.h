/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Settings; docs in guc.c beside each.
 *
 *-------------------------------------------------------------------------
 */
#ifndef JOBS_GUC_H
#define JOBS_GUC_H

extern int	jobs_artifact_ttl;			/* s */
extern char *jobs_capture_settings;
extern int	jobs_default_timeout;		/* ms; 0 none */
extern bool jobs_enabled;
extern int	jobs_history_retention;		/* s */
extern char *jobs_link_template;	/* may be NULL, as the next */
extern char *jobs_mail_domains;
extern int	jobs_max_artifact_bytes_per_role;	/* MB; 0 none */
extern int	jobs_max_artifact_size;		/* MB */
extern int	jobs_max_artifact_ttl;		/* s */
extern int	jobs_max_deliveries_per_role;	/* 0 none */
extern int	jobs_max_export_workers;	/* 0 none */
extern int	jobs_max_issues;			/* of one job */
extern int	jobs_max_running_per_role;	/* 0 none */
extern int	jobs_max_timeout;			/* ms; 0 none */
extern int	jobs_max_upload_size;		/* MB */
extern int	jobs_max_workers;
extern int	jobs_pdf_max_rows;
extern int	jobs_progress_interval;		/* ms */
extern int	jobs_retry_delay;			/* ms */
extern char *jobs_tenant;				/* never NULL */
extern char *jobs_webhook_hosts;	/* may be NULL */
extern int	jobs_worker_idle_timeout;	/* s */

extern void jobs_define_settings(void);

#endif							/* JOBS_GUC_H */
