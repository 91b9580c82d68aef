/*-------------------------------------------------------------------------
 *
 * jobs.c
 *	  The library's start, and the words for kinds and states.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "encode.h"
#include "fmgr.h"
#include "guc.h"
#include "hooks.h"
#include "jobs.h"
#include "launcher.h"
#include "merge.h"
#include "miscadmin.h"
#include "shmem.h"
#include "wake.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

const char *const job_kind_names[JOB_NUM_KINDS] = {
	"run", "export", "import_preview", "import", "bulk", "external"
};

const char *const job_state_names[JOB_NUM_STATES] = {
	"scheduled", "waiting", "queued", "running",
	"succeeded", "partial", "failed", "cancelled"
};

void
_PG_init(void)
{
	jobs_define_settings();
	jobs_wake_init();

	/*
	 * Without the preload, types and views still work, so that a dump can be
	 * restored anywhere; the functions that submit say what is missing.
	 */
	if (!process_shared_preload_libraries_in_progress)
		return;

	jobs_shmem_init();
	jobs_hooks_init();
	jobs_launcher_register();
	jobs_encode_init();
	jobs_merge_init();
}

int64
jobs_origin(void)
{
	return (int64) hash_combine64(GetSystemIdentifier(), MyDatabaseId);
}

JobKind
job_kind_from_name(const char *name)
{
	for (int i = 0; i < JOB_NUM_KINDS; i++)
	{
		if (strcmp(name, job_kind_names[i]) == 0)
			return (JobKind) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized kind of job: \"%s\"", name)));
	return JOB_RUN;				/* not reached */
}

JobState
job_state_from_name(const char *name)
{
	for (int i = 0; i < JOB_NUM_STATES; i++)
	{
		if (strcmp(name, job_state_names[i]) == 0)
			return (JobState) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized state of a job: \"%s\"", name)));
	return JOB_FAILED;			/* not reached */
}
