# Rows of files in all forms, by the reader's inner part alone: test/rows/rows.c, which
# is built here.  Each file is read in bits of several sizes, in a thread, and with
# libcsv for every line, and all must give the same.  Printed are: number of the row
# / line, flaws (1 too few fields, 2 too many, 4 broken quote, 8 encoding, 16 too
# long) and the field at fault, then [bare], "quoted" and NULL fields.

use strict;
use warnings;

use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(dirname(dirname(__FILE__)));
my $dir = PostgreSQL::Test::Utils::tempdir();
my @sources = map { "$top/src/import/$_.c" } qw(lines fields adapt gunzip decode pump);
my ($out, $err) = ('', '');

plan skip_all => 'needs a C compiler' if system('command -v cc >/dev/null 2>&1') != 0;

# Small blocks, so that rows meet their ends; and limits that a small file exceeds.
for my $build ([ rows => ], [ small => '-DROWS_BLOCK=64' ],
	[ tight => '-DROWS_BLOCK=64', '-DROWS_MAX_ROW=200', '-DROWS_MAX_FIELDS=20', '-DROWS_NO_COMPARE' ])
{
	my ($name, @flags) = @$build;

	ok(IPC::Run::run([ 'cc', '-std=gnu99', '-O1', '-g', '-Wall', '-Werror', "-I$top/src", @flags, '-o', "$dir/$name",
				"$top/test/rows/rows.c", @sources, '-lcsv', '-lz', '-lpthread' ], '2>', \$err), "builds $name") or diag $err;
}

sub rows
{
	my ($program, $options, $file) = @_;

	IPC::Run::run([ "$dir/$program", split(/ /, $options), 'print', '-' ], '<', \$file, '>', \$out, '2>', \$err);
	return $err . $out;
}

sub check
{
	my ($what, $options, $file, $expected) = @_;

	is(rows('rows', $options, $file), $expected, $what);
	is(rows('small', $options, $file), $expected, "$what, in small blocks");
	return;
}

# --- good files ------------------------------------------------------------------
check('plain', 'columns=3 header=1', "a,b,c\n1,2,3\n4,,6\n", "1/2 [1] [2] [3]\n2/3 [4] NULL [6]\n");
check('without a last newline', 'columns=2', "1,2\n3,4", "1/1 [1] [2]\n2/2 [3] [4]\n");
check('LF, CRLF, CR', 'columns=2', "1,2\r\n3,4\r5,6\n\r\n7,8\r", "1/1 [1] [2]\n2/2 [3] [4]\n3/3 [5] [6]\n4/5 [7] [8]\n");
check('quotes', 'columns=3', qq{1,"x ""y"", z",""\n}, qq{1/1 [1] "x "y", z" ""\n});
check('newlines in quotes', 'columns=3', qq{1,"two\r\nlines",x\r\n2,"a\n\nb",c\n3,d,e\n},
	qq{1/1 [1] "two\r\nlines" [x]\n2/3 [2] "a\n\nb" [c]\n3/6 [3] [d] [e]\n});
check('tabs', 'delimiter=t columns=2', "1\t2\n3\t \n", "1/1 [1] [2]\n2/2 [3] [ ]\n");
check('another quote', q{quote=' delimiter=; columns=2}, qq{1;'a;''b'\n"2;3\n}, qq{1/1 [1] "a;'b"\n2/2 ["2] [3]\n});
check('escape by a backslash', 'escape=\ columns=2', qq{1,"say \\"hi\\" \\\\ now"\n2,C:\\temp\n3,"C:\\x, ""y"""\n},
	qq{1/1 [1] "say "hi" \\ now"\n2/2 [2] [C:\\temp]\n3/3 [3] "C:\\x, "y""\n});
check('a backslash without quotes', 'delimiter=t quote= escape=\ columns=2 null=\N', qq{1\ta\\\tb\n2\tx\\\ny\\n"z"\n3\t\\N\n},
	qq{1/1 [1] [a\tb]\n2/2 [2] [x\ny\n"z"]\n3/4 [3] NULL\n});
check('spaces around quotes', 'columns=3', qq{1, "sp, q" ,3\n}, qq{1/1 [1] "sp, q" [3]\n});
check('a newline in quotes behind a space', 'columns=2', qq{a, "two\n} . 'l' x 70 . qq{"\nb,c\n},
	qq{1/1 [a] "two\n} . 'l' x 70 . qq{"\n2/3 [b] [c]\n});
check('a quote behind a space that nothing closes soon', 'columns=2', qq{a, "b\n} . "c,d\n" x 20 . qq{e,"f"\n},
	qq{1/1 [a] [ "b]\n} . join('', map { "$_/$_ [c] [d]\n" } 2 .. 21) . qq{22/22 [e] "f"\n});
check('null', 'null=NA columns=3', qq{NA,"NA",\n}, qq{1/1 NULL "NA" []\n});
check('comments, blank lines, trimming', 'comment=# trim=1 columns=2', qq{# c\n1,2\n#3,4\n\n 5 , " 6 " \n  \n"# no",7\n},
	qq{1/2 [1] [2]\n2/5 [5] "6"\n3/7 "# no" [7]\n});
check('only delimiters', 'columns=3', ",,\n", "1/1 NULL NULL NULL\n");
check('one column', 'columns=1', "a\n\n \nb\n", "1/1 [a]\n2/3 [ ]\n3/4 [b]\n");
check('preamble, and a header of two rows', 'skip=3 header=2 columns=2', qq{Report\n"open\n\na,b\n"x\ny",z\n1,2\n}, "1/7 [1] [2]\n");
check('a BOM', 'columns=1', "\xef\xbb\xbfa\n", "1/1 [a]\n");
check('UTF-16LE', 'utf16=l columns=2 header=1', "\xff\xfea\0,\0b\0\n\x001\0,\0\xe4\0\r\0\n\0\x3d\xd8\0\xde,\0\n\x01",
	"1/2 [1] [\xc3\xa4]\n2/3 [\xf0\x9f\x98\x80] [\xc4\x8a]\n");
check('UTF-16BE', 'utf16=b columns=1', "\xfe\xff\0a\0\n\0b", "1/1 [a]\n2/2 [b]\n");
check('a Ctrl-Z', 'columns=1', "a\n\x1a", "1/1 [a]\n");
check('nothing', 'columns=1', '', '');
check('only newlines', 'columns=2', "\n\r\n\r", '');

# --- rows with flaws ----------------------------------------------------------------
check('ragged', 'columns=2', "1,2\n3\n4,5,6\n7,8\n", "1/1 [1] [2]\n2/2 flaws 1 at -1 [3]\n3/3 flaws 2 at -1 [4] [5] [6]\n4/4 [7] [8]\n");
check('padded', 'columns=2 pad=1', "1,2\n3\n4,5,6\n7,8,,\n", "1/1 [1] [2]\n2/2 [3] NULL\n3/3 flaws 2 at -1 [4] [5] [6]\n4/4 [7] [8]\n");
check('a quote in a bare field', 'columns=2', qq{5" pipe,2\n4, "k" v\n}, qq{1/1 [5" pipe] [2]\n2/2 [4] [ "k" v]\n});
check('a quote in a quoted field', 'columns=2', qq{1,"un said "hi" x"\n2,3\n}, qq{1/1 [1] "un said "hi" x"\n2/2 [2] [3]\n});
check('text after a quote', 'columns=3', qq{1,"bad"x,"def"\n2,3,4\n}, qq{1/1 flaws 4 at 1 [1] "bad"x,"def"\n2/2 [2] [3] [4]\n});
check('an open quote, then quotes', 'columns=3', qq{1,"abc,2\n3,"x\ny",4\n5,6,7\n}, qq{1/1 flaws 4 at 1 [1] ["abc] [2]\n2/2 [3] "x\ny" [4]\n3/4 [5] [6] [7]\n});
check('an open quote, then none', 'columns=3', qq{1,"abc,2\n5,6,7\n8,9,10\n}, qq{1/1 flaws 4 at 1 [1] ["abc] [2]\n2/2 [5] [6] [7]\n3/3 [8] [9] [10]\n});
check('an open quote at the end', 'columns=2', qq{1,2\n3,"abc}, qq{1/1 [1] [2]\n2/2 flaws 4 at 1 [3] ["abc]\n});
check('an open quote in a text of several lines', 'columns=2', qq{1,"abc\nmore\nand more\n2,"x"\n},
	qq{1/1 flaws 4 at 1 [1] ["abc\nmore\nand more]\n2/4 [2] "x"\n});
check('an open quote in every line', 'columns=2', join('', map { qq{$_,"x\n} } 1 .. 4),
	join('', map { qq{$_/$_ flaws 4 at 1 [$_] ["x]\n} } 1 .. 4));
# Each of these once took as long as it takes to read the rest of the file.
for my $odd (
	[ 'in every other line', qq{"abc,1\n} . qq{x,2\n} ],
	[ 'in one line of a hundred', qq{"abc,1\n} . qq{x,2\n} x 99 ],
	[ 'doubled', qq{""abc,1\n} . qq{x,2\n} ],
	[ 'in every line', qq{"abc,1\n} ])
{
	my ($what, $lines) = @$odd;
	my $file = $lines x (300_000 / length $lines);
	my $bad = () = $file =~ /^"/mg;

	IPC::Run::run([ "$dir/rows", 'columns=2', 'print', '-' ], '<', \$file, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	is(() = $out =~ / flaws 4 /g, $bad, "an open quote $what, many times: no other row is lost");
	is($out =~ tr/\n//, $file =~ tr/\n//, 'and all are there');
}
check('a delimiter that is usually a quote', 'delimiter=" quote= escape=\ columns=3', qq{1"a\\"b"c\n2"x"y\n}, qq{1/1 [1] [a"b] [c]\n2/2 [2] [x] [y]\n});
check('a row of several lines with too few fields', 'columns=3', qq{1,"a\nb"\n2,3,4\n}, qq{1/1 flaws 1 at -1 [1] "a\nb"\n2/3 [2] [3] [4]\n});
check('NUL, and no UTF-8', 'columns=2', "1,x\0y\n2,\xff\xfe\n3,\xc3\xa4\n", "1/1 flaws 8 at 1 [1] [x?y]\n2/2 flaws 8 at 1 [2] [??]\n3/3 [3] [\xc3\xa4]\n");
check('half a surrogate pair', 'utf16=l columns=1', "a\0\n\0\x3d\xd8b\0", "1/1 [a]\n2/2 flaws 8 at 0 [?b]\n");

# --- too long ---------------------------------------------------------------------
my $long = 'x' x 1000;
is(rows('tight', 'columns=2', "1,2\n3,$long\n4,5\n"), "1/1 [1] [2]\n2/2 flaws 16 at -1\n3/3 [4] [5]\n", 'a long field');
is(rows('tight', 'columns=2', qq{1,"$long\n$long"\n4,5\n}), "1/1 flaws 16 at -1\n2/3 [4] [5]\n", 'a long field in quotes');
is(rows('tight', 'columns=2', qq{1,"$long\n4,5\n"6",7\n}), qq{1/1 flaws 16 at -1\n2/2 [4] [5]\n3/3 "6" [7]\n}, 'a long field with an open quote');
my $wide = ',' x 21 . "\n";
is(rows('tight', 'columns=22', $wide x 2) =~ s/( NULL)+$//mgr, "1/1 flaws 2 at -1\n2/2 flaws 2 at -1\n", 'more columns than are kept');
is(rows('tight', 'columns=2', "1,2\n" . ',' x 100 . "\n3,4\n") =~ s/( NULL)+$//mr, "1/1 [1] [2]\n2/2 flaws 2 at -1\n3/3 [3] [4]\n", 'many fields');

# --- gzip -------------------------------------------------------------------------
sub gzip
{
	my ($text) = @_;
	my $packed;

	IPC::Run::run([ 'gzip', '-nc' ], '<', \$text, '>', \$packed) or die 'gzip';
	return $packed;
}

check('gzip', 'columns=2', gzip("1,2\n3,4\n"), "1/1 [1] [2]\n2/2 [3] [4]\n");
check('several members, and zeros behind', 'columns=2', gzip("1,2\n3,") . gzip("4\n5,6\n") . "\0\0\0", "1/1 [1] [2]\n2/2 [3] [4]\n3/3 [5] [6]\n");
check('cut', 'columns=2', substr(gzip("1,2\n" x 1000), 0, -9), "the gzip is cut short\n");
check('broken', 'columns=2', gzip("1,2\n") . 'x', "the gzip is broken\n");

done_testing();
