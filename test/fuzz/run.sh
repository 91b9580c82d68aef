#!/bin/bash
#
# run.sh
#	  Feeds the code that finds out how files are written with files that nobody
#	  has written, under AddressSanitizer and UndefinedBehaviorSanitizer.
#
#	    bash test/fuzz/run.sh [seconds]
#
# Needs clang with libFuzzer, the server's headers and libcsv.  Begins with the
# files of test/data/corpus; what it finds is in the directory that it names.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}
WORK=$(mktemp -d)

clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -w \
	-I"$("$PG_CONFIG" --includedir-server)" -I"$TOP/src" "$TOP/test/fuzz/dialect.c" "$TOP"/src/import/detect_*.c \
	"$TOP"/src/import/{lines,fields,adapt,decode}.c -L"$("$PG_CONFIG" --pkglibdir)" -L"$("$PG_CONFIG" --libdir)" \
	-lpgcommon -lpgport -lcsv -o "$WORK/dialect"

mkdir "$WORK/corpus" "$WORK/seeds"
# Before the bytes of a file stand those that choose what is said.
for file in "$TOP"/test/data/corpus/*.csv; do
	{ printf '\1\0\0\0'; cat "$file"; } >"$WORK/seeds/$(basename "$file")"
done
cd "$WORK"
echo "Working in $WORK"
./dialect -max_len=4096 -timeout=10 -max_total_time="${1:-60}" -print_final_stats=1 corpus seeds
rm -rf "$WORK"
