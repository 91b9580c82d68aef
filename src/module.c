/*-------------------------------------------------------------------------
 *
 * module.c
 *	  Libraries of our own that only some jobs need.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "module.h"

void
jobs_require_module(const JobsModule *module)
{
	char		path[MAXPGPATH];

	snprintf(path, sizeof(path), "%s/%s%s", pkglib_path, module->name, DLSUFFIX);
	if (access(path, R_OK) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s not available on this server", module->what),
				 errhint("It needs the module %s, which is built where %s.", module->name, module->needs)));
}

const void *
jobs_load_module(const JobsModule *module)
{
	JobsModuleEntry entry = (JobsModuleEntry) load_external_function(psprintf("$libdir/%s", module->name),
																	 module->entry, true, NULL);
	const void *loaded = entry(module->version);

	if (loaded == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("module \"%s\" is of another version than \"jobs\"", module->name),
				 errhint("Install both from the same build.")));
	return loaded;
}
