# Makefile of the jobs extension
#
#   make check          everything on a fresh Debian machine: packages, build, all tests
#   make demo           the product in a terminal; CSV=path for your own data, PSQL=1 for a prompt
#   make panel          the product in a browser; PORT=8080, CSV=path
#   make reference      docs/reference.md and docs/errors.md, from the extension's comments and sources
#   make deb            Debian packages, in DEB_DIR or above this directory
#
#   make                build; WERROR= lets warnings pass, with_llvm=yes adds bitcode for the JIT
#   make install        into the server of PG_CONFIG
#   make installcheck   all tests with the installed library, on servers of their own; not as root
#
# Choose the server with PG_CONFIG=/path/to/pg_config; versions 15 to 18.

PG_CONFIG ?= pg_config

# ---------------------------------------------------------------------------
# Goals that do their own set-up.  They come without PGXS, because it may not
# be installed yet and because it has a check goal that only says no.
# ---------------------------------------------------------------------------

OWN_GOALS = asan bench check check-versions controls coverage deb demo dist fuzz ha indent lint panel reference soak trust typedefs valgrind

# Of the distribution; the extension's is that of jobs.control.
VERSION = $(shell sed -n '/"version"/{ s/.*: *"\([^"]*\)".*/\1/p; q; }' META.json)

ifneq ($(filter $(OWN_GOALS),$(MAKECMDGOALS)),)

.PHONY: $(MAKECMDGOALS)
.NOTPARALLEL:

# Other goals beside them run in a make of their own.
$(filter-out $(OWN_GOALS),$(MAKECMDGOALS)):
	+@$(MAKE) --no-print-directory $@

check:
	@PG_CONFIG='$(PG_CONFIG)' bash test/check.sh

# One build with AddressSanitizer and UndefinedBehaviorSanitizer, one under
# valgrind, one that counts executed lines: the same tests each time.
asan coverage valgrind:
	@PG_CONFIG='$(PG_CONFIG)' bash test/check.sh --$@

demo:
	@PG_CONFIG='$(PG_CONFIG)' CSV='$(CSV)' PSQL='$(PSQL)' bash test/demo.sh

panel:
	@PG_CONFIG='$(PG_CONFIG)' CSV='$(CSV)' PORT='$(PORT)' bash test/panel.sh

bench:
	@PG_CONFIG='$(PG_CONFIG)' BENCH_OUT="$${BENCH_OUT:-docs/benchmarks.md}" bash test/bench/run.sh

check-versions:
	@bash test/versions.sh

# Static analysis of the sources.
lint:
	@PG_CONFIG='$(PG_CONFIG)' bash test/lint.sh

# libFuzzer for SECONDS, each target.
fuzz: SECONDS = 60
fuzz:
	@PG_CONFIG='$(PG_CONFIG)' bash test/fuzz/run.sh $(SECONDS)

# Faults of every kind under load, hours long; the same at random for SECONDS; and
# builds that are broken on purpose, which the former must find.
trust:
	@PG_CONFIG='$(PG_CONFIG)' bash test/trust/run.sh --full

SECONDS ?= 3600
soak:
	@PG_CONFIG='$(PG_CONFIG)' bash test/trust/run.sh --soak $(SECONDS)

controls:
	@PG_CONFIG='$(PG_CONFIG)' bash test/trust/controls.sh

# Fail-overs of two servers under Patroni.
ha:
	@PG_CONFIG='$(PG_CONFIG)' bash test/ha/run.sh

dist:
	git archive --format=zip --prefix=jobs-$(VERSION)/ -o jobs-$(VERSION).zip HEAD

# Debian packages, one for each server whose headers are installed, in a directory
# of their own: DEB_DIR.
deb:
	@bash test/package/deb.sh '$(DEB_DIR)'

# docs/reference.md and docs/errors.md, below their line <!-- generated ... -->.
reference:
	@PG_CONFIG='$(PG_CONFIG)' bash test/docs/reference.sh

# Every type name that the debug information of the objects knows, as pgindent
# wants them.
typedefs:
	@$(MAKE) --no-print-directory all
	@objdump -W src/*.o src/*/*.o | awk '/\(DW_TAG_/ { t = ($$0 ~ /DW_TAG_typedef/) } t && /DW_AT_name/ { print $$NF; t = 0 }' \
	    | grep -x '[A-Za-z_][A-Za-z0-9_]*' | LC_ALL=C sort -u > typedefs.list

# pgindent and pg_bsd_indent come with PostgreSQL's source: src/tools/.
indent:
	pgindent --typedefs=typedefs.list src

else

# ---------------------------------------------------------------------------
# PGXS
# ---------------------------------------------------------------------------

PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

ifeq ($(PGXS),)

.PHONY: all install installcheck uninstall clean
all install installcheck uninstall clean:
	@echo >&2 'No server headers found: $(PG_CONFIG) --pgxs names no existing file.'
	@echo >&2 'Install them (Debian: apt-get install postgresql-server-dev-all zlib1g-dev libcsv-dev gcc make)'
	@echo >&2 'or name the server: make PG_CONFIG=/path/to/pg_config'
	@exit 1

else

EXTENSION = jobs
MODULE_big = jobs
DATA = $(wildcard sql/jobs--*.sql) jobs.psql
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/import/*.c src/bulk/*.c src/outside/*.c src/delivery/*.c)))
PG_CPPFLAGS = -I$(srcdir)/src
SHLIB_LINK = -lcsv -lz -lpthread

# Compresses several times faster than zlib; it is left out where it is missing.
ISAL := $(shell pkg-config --exists libisal 2>/dev/null && echo yes)
ifeq ($(ISAL),yes)
PG_CPPFLAGS += -DJOBS_HAVE_ISAL $(shell pkg-config --cflags libisal)
SHLIB_LINK += $(shell pkg-config --libs libisal)
endif

# Libraries that only some exports need are linked to modules of their own, from
# the sources in a directory of their own; workers load them when they need them.
# Its .pc file may name packages that the system does not have (Debian 13).
XLSXWRITER := $(shell pkg-config --libs xlsxwriter 2>/dev/null || \
	{ printf '\043include <xlsxwriter.h>\n' | $(CC) -E - >/dev/null 2>&1 && echo -lxlsxwriter; })
ifneq ($(XLSXWRITER),)
SIDE_MODULES += jobs_xlsx
SIDE_OBJS_jobs_xlsx = $(patsubst %.c,%.o,$(sort $(wildcard src/xlsx/*.c)))
SIDE_LIBS_jobs_xlsx = $(XLSXWRITER) -lz
endif
ifneq ($(wildcard $(shell $(PG_CONFIG) --includedir)/libpq-fe.h),)
SIDE_MODULES += jobs_remote
SIDE_OBJS_jobs_remote = $(patsubst %.c,%.o,$(sort $(wildcard src/remote/*.c)))
SIDE_LIBS_jobs_remote = -L$(shell $(PG_CONFIG) --libdir) -lpq
src/remote/%.o: override CPPFLAGS += -I$(shell $(PG_CONFIG) --includedir)
endif
PDF_PACKAGES = pangocairo cairo-pdf fontconfig
ifeq ($(shell pkg-config --exists $(PDF_PACKAGES) 2>/dev/null && echo yes),yes)
SIDE_MODULES += jobs_pdf
SIDE_OBJS_jobs_pdf = $(patsubst %.c,%.o,$(sort $(wildcard src/pdf/*.c)))
SIDE_LIBS_jobs_pdf = $(shell pkg-config --libs $(PDF_PACKAGES))
src/pdf/%.o: override CPPFLAGS += $(shell pkg-config --cflags $(PDF_PACKAGES))
endif
# The courier is a program of its own, outside of the server.
ifneq ($(wildcard $(shell $(PG_CONFIG) --includedir)/libpq-fe.h),)
ifeq ($(shell pkg-config --exists 'libcurl >= 7.87' libcrypto 2>/dev/null && echo yes),yes)
COURIER = jobs-courier
COURIER_OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/courier/*.c)))
COURIER_VERSION := $(VERSION)
COURIER_LIBS = -L$(shell $(PG_CONFIG) --libdir) -lpq $(shell pkg-config --libs libcurl libcrypto) -lpthread
src/courier/%.o: override CPPFLAGS += -I$(shell $(PG_CONFIG) --includedir) \
	$(shell pkg-config --cflags libcurl libcrypto) -DCOURIER_VERSION='"$(COURIER_VERSION)"'
endif
endif
SIDE_OBJS = $(foreach m,$(SIDE_MODULES),$(SIDE_OBJS_$(m)))

PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare
WERROR ?= 1
ifneq ($(WERROR),)
PG_CFLAGS += -Werror
endif

# Clang complains of the options that a server built with gcc hands on.
ifneq ($(findstring clang,$(CC)),)
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
endif

# Debian's servers are built with LLVM and would want clang for bitcode that
# the JIT compiler hardly gains from.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

# sql/ holds the install scripts, with a double dash, and the regression tests.
# The one named install creates the extension, so it goes first.
SQL_TESTS := $(patsubst sql/%.sql,%,$(foreach f,$(sort $(wildcard sql/*.sql)),$(if $(findstring --,$f),,$f)))
REGRESS := $(filter install,$(SQL_TESTS)) $(filter-out install,$(SQL_TESTS))
REGRESS := $(strip $(REGRESS))
REGRESS_OPTS = --temp-instance=./tmp_check_regress --temp-config=test/regress.conf --no-locale --encoding=UTF8

ISOLATION := $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --temp-instance=./tmp_check_iso --temp-config=test/regress.conf \
	--load-extension=jobs --no-locale --encoding=UTF8

PROVE_TESTS := $(sort $(wildcard test/t/*.pl))
ifneq ($(PROVE_TESTS),)
TAP_TESTS = 1
endif

EXTRA_CLEAN = jobs_*.so jobs-courier src/*/*.o tmp_check tmp_check_regress tmp_check_iso output_iso log results \
	regression.diffs regression.out jobs-*.zip src/*.gcno src/*.gcda src/*/*.gcno src/*/*.gcda *.gcov

include $(PGXS)

PG_PROVE_FLAGS += -I $(CURDIR)/test/lib

# Not every PostgreSQL is configured to track headers; this is enough here.
$(OBJS) $(SIDE_OBJS) $(COURIER_OBJS): $(wildcard src/*.h src/*/*.h) Makefile

SIDE_FILES = $(addsuffix $(DLSUFFIX),$(SIDE_MODULES))

all: $(SIDE_FILES) $(COURIER)

.SECONDEXPANSION:
$(SIDE_FILES): %$(DLSUFFIX): $$(SIDE_OBJS_$$*)
	$(LINK.shared) -o $@ $^ $(LDFLAGS) $(LDFLAGS_SL) $(SIDE_LIBS_$*)

jobs-courier: $(COURIER_OBJS)
	$(if $(COURIER),,@echo >&2 'jobs-courier needs libcurl 7.87 and libcrypto (Debian: libcurl4-openssl-dev libssl-dev)'; exit 1)
	$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LDFLAGS_EX) $(COURIER_LIBS)

.PHONY: courier
courier: jobs-courier

install: install-side
.PHONY: install-side
install-side: $(SIDE_FILES) $(COURIER) installdirs
	$(if $(SIDE_FILES),$(INSTALL_SHLIB) $(SIDE_FILES) '$(DESTDIR)$(pkglibdir)/')
	$(if $(COURIER),$(MKDIR_P) '$(DESTDIR)$(bindir)')
	$(if $(COURIER),$(INSTALL_PROGRAM) $(COURIER) '$(DESTDIR)$(bindir)/')

uninstall: uninstall-side
.PHONY: uninstall-side
uninstall-side:
	rm -f $(foreach m,jobs_pdf jobs_xlsx jobs_remote,'$(DESTDIR)$(pkglibdir)/$m$(DLSUFFIX)') \
		'$(DESTDIR)$(bindir)/jobs-courier'

endif
endif
