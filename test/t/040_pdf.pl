# PDF files, read back by programs that are not ours: every value is there, in
# the order in which people read; each page has the table's header and its own
# number; fonts are embedded; nothing that is long is cut off.

use strict;
use warnings;
use utf8;

use Compress::Zlib ();
use JobsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $missing = grep { !-x "/usr/bin/$_" } qw(pdftotext pdfinfo pdffonts);
plan skip_all => 'pdftotext, pdfinfo or pdffonts is missing' if $missing;

chomp(my $library = `$ENV{PG_CONFIG} --pkglibdir`);
$library .= '/jobs_pdf.so';
plan skip_all => 'built without the format pdf' unless -e $library;

my $node = JobsTest->create('main', conf => 'log_temp_files = 0');
my $dir = PostgreSQL::Test::Utils::tempdir;
my $files = 0;

# ----------------------------------------------------------------------------
# Helpers
# ----------------------------------------------------------------------------

sub utf8_text { my ($s) = @_; utf8::decode($s); return $s }

# Exports a query; returns the name of the file and the job's id.
sub pdf
{
	my ($query, %params) = @_;
	my $options = $params{options} || '{}';
	my $dbname = $params{dbname} || 'postgres';
	my $title = defined $params{title} ? "title => \$t\$$params{title}\$t\$" : 'title => NULL';
	my $sql = "SELECT jobs.export(\$q\$$query\$q\$, 'pdf', $title, options => '$options')";

	utf8::encode($sql);
	my $id = $node->sql("SET client_encoding = 'UTF8'; $sql", $dbname);
	my $state = $node->wait_job($id, $dbname);
	if ($state ne 'succeeded')
	{
		fail("job $id: $state, " . $node->job($id, 'error_message', $dbname));
		return ('/dev/null', $id);
	}
	my $file = "$dir/" . ++$files . '.pdf';
	open(my $out, '>:raw', $file) or die "$file: $!";
	print $out pack('H*', $node->sql("SELECT encode(string_agg(c, ''), 'hex') FROM jobs.download($id) c", $dbname));
	close $out;
	return ($file, $id);
}

# Its text, page by page, without the marks that pdftotext puts around letters
# that are written from right to left.
sub pages
{
	my ($file, @options) = @_;

	open(my $in, '-|:encoding(UTF-8)', 'pdftotext', '-enc', 'UTF-8', @options, $file, '-') or die "pdftotext: $!";
	my $text = do { local $/; <$in> };
	close $in;
	$text =~ s/[\x{202A}-\x{202E}\x{2066}-\x{2069}]//g;
	my @pages = split /\f/, $text;
	return @pages;
}

# All of it on one line.
sub text
{
	my $text = join ' ', pages(@_);

	$text =~ s/\s+/ /g;
	return $text;
}

sub info
{
	my ($file) = @_;

	return { map { /^([^:]+):\s*(.*)$/ ? ($1 => utf8_text($2)) : () } split /\n/, `pdfinfo '$file'` };
}

# Whether words stand in a text in this order; the first that does not, or ''.
sub first_missing
{
	my ($text, @words) = @_;
	my $from = 0;

	for my $word (@words)
	{
		my $at = index($text, $word, $from);

		return $word if $at < 0;
		$from = $at + length $word;
	}
	return '';
}

sub fonts_ok
{
	my ($file, $name) = @_;
	my @fonts = split /\n/, `pdffonts '$file'`;
	my @bad = grep { !/ yes yes yes +\d+ +\d+$/ } @fonts[2 .. $#fonts];

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok(scalar @fonts, '>', 2, "$name has fonts");
	is("@bad", '', '... all embedded, as subsets, with their characters');
}

# What the streams of a file say, without its date.
sub content
{
	my ($file) = @_;
	my $content = '';
	my $bytes = slurp_file($file);

	while ($bytes =~ /(.*?)stream\r?\n(.*?)\r?\nendstream/gs)
	{
		my ($before, $stream) = ($1, $2);
		my $inflated = Compress::Zlib::uncompress($stream);

		$content .= defined $inflated ? $inflated : $stream;
	}
	return $content;
}

# ----------------------------------------------------------------------------
# A table of 5,000 rows
# ----------------------------------------------------------------------------

$node->sql(<<'SQL');
CREATE TABLE orders AS
    SELECT i AS id, 'Customer ' || (i * 7919 % 10007) AS customer, date '2026-01-01' + i % 300 AS ordered,
           round(i * 37.31 % 10000, 2) AS amount, i % 7 = 0 AS urgent,
           CASE WHEN i % 10 <> 0 THEN 'note ' || i END AS note
      FROM generate_series(1, 5000) i
SQL

my ($file, $job) = pdf('SELECT * FROM orders ORDER BY id', title => 'Orders of 2026');
my $info = info($file);
my @pages = pages($file, '-layout');

is($info->{Title}, 'Orders of 2026', 'the title is in the metadata');
is($info->{'Page size'}, '595.276 x 841.89 pts (A4)', 'A4, upright');
is($info->{Pages}, scalar @pages, 'pdftotext sees all the pages');
cmp_ok($info->{Pages}, '>', 50, 'which are many');
is($node->sql("SELECT started_at - interval '5 s' < '$info->{CreationDate}' AND '$info->{CreationDate}' <= finished_at
                 FROM jobs.job WHERE id = $job"), 't', 'the date is that of the job');
like($pages[0], qr/^\s*Orders of 2026\s+20\d\d-\d\d-\d\d \d\d:\d\d \S+ · 5,000 rows\s+id +customer/,
	'title, date and number of rows stand above the table');
is(scalar(grep { !/^ *id +customer +ordered +amount +urgent +note *$/m } @pages), 0, 'the header is on each page');
is(scalar(grep { $pages[$_] !~ /Page \Q${\($_ + 1)} of $info->{Pages}\E\s*$/ } 0 .. $#pages), 0, 'and the page number');
is(scalar(grep { $_ !~ /Orders of 2026/ } @pages), 0, 'and the title');

my @rows = map { [ split /\|/ ] } split /\n/, $node->sql('SELECT * FROM orders ORDER BY id');
$_->[4] = $_->[4] eq 't' ? 'true' : 'false' for @rows;
my @lines = grep { /^ *\d+ +Customer/ } map { split /\n/ } @pages;
is(scalar @lines, 5000, 'one line for each row');
is(scalar(grep { $lines[$_] !~ /^ *\Q$rows[$_][0]\E  +@{[ join '  +', map { quotemeta } grep { defined } @{ $rows[$_] }[1 .. 5] ]} *$/ } 0 .. $#rows),
	0, 'with its values from left to right, and nothing for null');
my @values = map { grep { defined } @$_ } @rows;
is(first_missing(text($file, '-layout'), @values), '', 'every value, in reading order');
is(first_missing(text($file), @values), '', 'also as pdftotext arranges them by itself');
is(first_missing(text($file, '-raw'), @values), '', 'and as they come in the file');
fonts_ok($file, 'a table');

# Numbers end at the same place, text begins at the same.
sub places
{
	my ($file, $pattern, $edge) = @_;
	my %seen;

	open(my $in, '-|:encoding(UTF-8)', 'pdftotext', '-bbox', '-l', 1, $file, '-') or die "pdftotext: $!";
	while (<$in>)
	{
		$seen{ sprintf '%.1f', $1 }++ if /$edge="([0-9.]+)".*>$pattern</;
	}
	close $in;
	return scalar keys %seen;
}
is(places($file, '\d+\.\d\d', 'xMax'), 1, 'numbers are aligned on the right');
cmp_ok(places($file, '\d+\.\d\d', 'xMin'), '>', 1, 'and not on the left');
is(places($file, 'Customer', 'xMin'), 1, 'text is aligned on the left');

# The same rows make the same file, but for its date.
my ($again) = pdf('SELECT * FROM orders ORDER BY id', title => 'Orders of 2026');
my ($one, $two) = map { content($_) } $file, $again;
s/\(20\d{12}Z\)/(date)/, s/^\(?20\d\d-.*$//mg for $one, $two;
is(length $one, length $two, 'the same rows make the same file');
is(join("\n", pages($file)) =~ s/^20.* UTC//mr, join("\n", pages($again)) =~ s/^20.* UTC//mr, 'with the same text');

# ----------------------------------------------------------------------------
# Options
# ----------------------------------------------------------------------------

($file) = pdf('SELECT * FROM orders WHERE id < 10', options => '{"paper": "Letter", "orientation": "landscape"}');
is(info($file)->{'Page size'}, '792 x 612 pts (letter)', 'Letter, across');
is(info($file)->{Title}, 'orders', 'without a title it is the name of the file');
like(text($file, '-layout'), qr/^orders 20.* · 9 rows id customer/, 'also above the table');
($file) = pdf('SELECT * FROM orders WHERE id < 10', options => '{"paper": "Letter", "title": "My «title»"}', title => 'Not this');
is(info($file)->{'Page size'}, '612 x 792 pts (letter)', 'Letter, upright');
is(info($file)->{Title}, 'My «title»', 'the title of the options');
like(text($file, '-layout'), qr/^My «title» 20/, 'is above the table');
unlike(text($file, '-layout'), qr/Not this/, 'and no other');
($file) = pdf('SELECT * FROM orders WHERE id < 10', options => '{"title": "", "header": false}', title => 'Orders');
is(info($file)->{Title}, 'Orders', 'the metadata has a title in any case');
like(text($file, '-layout'), qr/^20\d\d-\S+ \S+ UTC · 9 rows 1 Customer 7919/, 'no title, no header');
($file) = pdf('SELECT * FROM orders WHERE false', title => 'None');
like(text($file, '-layout'), qr/^None 20.* · 0 rows id customer ordered amount urgent note None Page 1 of 1 $/, 'no rows');
($file) = pdf('SELECT 1 AS a', title => 'One');
like(text($file, '-layout'), qr/^One 20.* · 1 row a 1 One Page 1 of 1 $/, 'one row');


# Long titles and names.
my $long = join(' ', map { "title$_" } 1 .. 50) . '\nend';
($file) = pdf('SELECT id AS "The number of the order which has been given to it", customer AS "Of the order—the customer" FROM orders WHERE id < 200',
	options => qq{{"orientation": "landscape", "title": "$long"}});
$long =~ s/\\n/ /;
is(info($file)->{Title}, $long, 'a long title');
like(text($file, '-layout'), qr/^\Q$long\E 20/, '... is there as a whole');
like((pages($file, '-layout'))[0], qr/^ *title1 title2 .*title\d+… +Page 1 of /m, '... and in part below the page');
is(scalar(grep { !/The number of the order .* Of the order—the customer/ } pages($file, '-layout')), 0, 'long names of columns');
($file) = pdf('SELECT * FROM orders WHERE id < 40', options => '{"title": "' . 'x\n' x 250 . '"}');
is(first_missing(text($file, '-layout'), ('x') x 250, map { "Customer " . $_ * 7919 % 10007 } 1 .. 39), '', 'title with many lines');

# ----------------------------------------------------------------------------
# Scripts
# ----------------------------------------------------------------------------

my @sentences = (
	[ 'Latin', 'Äpfel, Öl — „Übermut“ & Łódź, Ćevapčići; 100 € für ñandú' ],
	[ 'Vietnamese', 'Tiếng Việt với nhiều dấu ắ ằ ẳ ẵ ặ' ],
	[ 'Greek', 'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία' ],
	[ 'Cyrillic', 'Съешь же ещё этих мягких французских булок, да выпей чаю' ],
	[ 'Arabic', 'نص حكيم له سر قاطع وذو شأن عظيم' ],
	[ 'Hebrew', 'דג סקרן שט בים מאוכזב ולפתע מצא חברה' ],
	[ 'Devanagari', 'ऋषियों को सताने वाले दुष्ट राक्षसों के राजा' ],
	[ 'Thai', 'เป็นมนุษย์สุดประเสริฐเลิศคุณค่า' ],
	[ 'Chinese', '视野无限广，窗外有蓝天。' ],
	[ 'Japanese', 'いろはにほへと ちりぬるを カタカナ 漢字' ],
	[ 'Korean', '키스의 고유조건은 입술끼리 만나야 하고' ],
	[ 'Emoji', 'Party 🎈 with 😀 and 🎉 text' ],
	[ 'Accents', "a\x{301}e\x{308} combined" ],
	[ 'None', "no font has \x{10FFFD} this" ]);
$node->sql('CREATE TABLE scripts (id int, script text, sentence text)');
for my $i (0 .. $#sentences)
{
	my $sql = "INSERT INTO scripts VALUES ($i, '$sentences[$i][0]', '$sentences[$i][1]')";

	utf8::encode($sql);
	$node->sql($sql);
}
($file) = pdf('SELECT * FROM scripts ORDER BY id', title => 'Ελληνικά, العربية, 漢字');
is(info($file)->{Title}, 'Ελληνικά, العربية, 漢字', 'a title in three scripts');
fonts_ok($file, 'a table with many scripts');
for my $mode ('-layout', undef)
{
	my $text = text($file, defined $mode ? $mode : ());

	like($text, qr/^Ελληνικά, العربية, 漢字 20/, 'three scripts above the table');
	for my $sentence (@sentences)
	{
		# A letter and its accent may come back as one.
		my $words = $sentence->[1] =~ s/a\x{301}e\x{308}/(?:a\x{301}|á) ?(?:e\x{308}|ë)/r;

		like($text, qr/\Q$sentence->[0]\E $words /, "$sentence->[0]" . ($mode ? " ($mode)" : ''));
	}
}

# A column of Arabic names stands on the right, with its header.
($file) = pdf(q{SELECT i, (ARRAY['مرحبا بالعالم', 'السعودية', 'مصر'])[1 + i % 3] AS name, 'x' AS x FROM generate_series(1, 30) i});
my ($first) = map { split /\n/ } grep { /name/ } pages($file, '-layout');
like(text($file, '-layout'), qr/1 السعودية x 2 مصر x 3 مرحبا بالعالم x/, 'a column of Arabic');

# ----------------------------------------------------------------------------
# What does not fit
# ----------------------------------------------------------------------------

my $words = 'SELECT string_agg(prefix || i, \' \' ORDER BY i) FROM generate_series(1, n) i';
$node->sql(<<"SQL");
CREATE FUNCTION words(prefix text, n int) RETURNS text LANGUAGE sql AS \$\$ $words \$\$;
CREATE TABLE long AS SELECT i AS id, words('a' || i || '_', 20 + i * 5) AS first, words('b' || i || '_', 30) AS second,
                            'https://example.com/' || repeat('path/', 20) || i AS link
                       FROM generate_series(1, 20) i;
SQL
($file) = pdf('SELECT * FROM long ORDER BY id');
my $raw = text($file, '-raw');
is(first_missing($raw, map { my $i = $_; (map { "a${i}_$_" } 1 .. 20 + $i * 5), map { "b${i}_$_" } 1 .. 30 } 1 .. 20),
	'', 'long cells are wrapped at spaces');
my $unbroken = $raw =~ s/ //gr;
is(first_missing($unbroken, map { 'https://example.com/' . ('path/' x 20) . $_ } 1 .. 20), '', 'long words too');

# Higher than a page: some 20 pages of one row.
$node->sql(q{CREATE TABLE high AS SELECT 1 AS id, 'before' AS a, words('w', 20000) AS text, 'b1' AS b
             UNION ALL SELECT 2, 'after', 'short', 'b2'});
($file) = pdf('SELECT * FROM high ORDER BY id');
@pages = pages($file, '-layout');
cmp_ok(scalar @pages, '>', 10, 'a row that is higher than a page');
is(scalar(grep { !/^ *id +a +text +b *$/m } @pages), 0, 'has the header on each');
is(first_missing(text($file, '-raw'), '1 before', (map { "w$_" } 1 .. 5)), '', 'begins');
is(first_missing(join(' ', @pages), map { "w$_" } 1 .. 20000), '', 'is there as a whole');
like($pages[-1], qr/w20000\n+ *2 +after +short +b2\n/, 'and the next row follows');

# Too many columns: they go side by side, the first on each.
my $columns = join ', ', map { "'r' || i || 'c$_' AS column_$_" } 1 .. 40;
($file) = pdf("SELECT i AS id, $columns FROM generate_series(1001, 1100) i");
@pages = pages($file, '-layout');
my $text = join ' ', @pages;
is(scalar(grep { !/^ *id +(column_\d+ +)+column_\d+ *$/m } @pages), 0, 'many columns have a header on each page');
is(join(' ', grep { $text !~ /\bcolumn_$_\b/ } 1 .. 40), '', 'no column is missing');
is(join(' ', grep { $text !~ /\b$_\b/ } map { my $i = $_; map { "r${i}c$_" } 1 .. 40 } 1001 .. 1100), '', 'no value is missing');
like($pages[0], qr/Columns 1–(\d+) of 41 · Page 1 of /, 'the first of them');
my ($last) = $pages[0] =~ /Columns 1–(\d+) of 41/;
like($pages[1], qr/^ *id +column_$last .*Columns \Q@{[ $last + 1 ]}\E–\d+ of 41 · Page 2 of /ms, 'and the next');
like($pages[1], qr/^ *1001 +r1001c$last /m, 'with the same rows');

($file) = pdf("SELECT i AS id, $columns FROM generate_series(1001, 1100) i", options => '{"orientation": "portrait", "paper": "Letter"}');
$text = text($file, '-layout');
is(info($file)->{'Page size'}, '612 x 792 pts (letter)', 'also upright, for who asks for it');
is(join(' ', grep { $text !~ /\b$_\b/ } map { my $i = $_; map { "r${i}c$_" } 1 .. 40 } 1001 .. 1100), '', '... no value is missing');

# As many as there can be.
$columns = join ', ', map { "$_ AS c$_" } 1 .. 1600;
($file) = pdf("SELECT $columns");
cmp_ok(info($file)->{Pages}, '>', 30, '1,600 columns');

# ----------------------------------------------------------------------------
# Odd text
# ----------------------------------------------------------------------------

$node->sql(<<'SQL');
CREATE FUNCTION odd(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    starts int[] := ARRAY[1, 65, 127, 160, 192, 768, 880, 1024, 1424, 1536, 2304, 3584, 4352, 7680, 8192, 8203, 8205, 8234,
                          8294, 8352, 9728, 12288, 19968, 44032, 64285, 65024, 65136, 65529, 68352, 77824, 126464, 127744,
                          127995, 128512, 917504, 917760, 983040, 1114000];
    result text := '';
BEGIN
    FOR i IN 1..n LOOP
        result := result || CASE WHEN random() < 0.1 THEN ' '
            ELSE chr(starts[1 + floor(random() * array_length(starts, 1))::int] + floor(random() * 60)::int) END;
    END LOOP;
    RETURN result;
END $$;
SELECT setseed(0.3);
CREATE TABLE odd AS SELECT i AS id, odd(i % 20) AS a, odd(i % 7) AS b, odd(CASE WHEN i % 50 = 0 THEN 3000 ELSE i % 90 END) AS c
                      FROM generate_series(1, 300) i;
SQL
($file) = pdf('SELECT * FROM odd');
cmp_ok(info($file)->{Pages}, '>', 5, 'odd characters of all kinds');
($file) = pdf(q{SELECT E'one\ntwo\r\nthree\rfour\n' AS lines, E'tab\there' AS tab, E'bell\x07' AS bell, E'\n\n' AS empty});
like(text($file, '-layout'), qr/one tab here bell\x{FFFD} two three four/, 'lines, tabs, and control characters');

# Characters without width, which would make lines of any length.
($file) = pdf(q{SELECT repeat(U&'\200B', 100000) || 'zero', 'a' || repeat(U&'\0301', 20000) || 'accents', repeat(U&'\00A0', 100000) || 'spaces'});
is(first_missing(text($file, '-raw') =~ s/ //gr, 'zero'), '', 'a hundred thousand characters without width');

# More lines than anybody wants.
$job = $node->sql(q{SELECT jobs.export($$SELECT repeat(E'\n', 10000001) || 'x' AS lines$$, 'pdf')});
is($node->wait_job($job), 'failed', 'a cell of too many lines');
is($node->job($job, 'error_code, error_message, error_detail'),
	'54000|a cell has too many lines for a PDF file|It would have more than 10000000.', '... says so');

# Databases in other encodings.
$node->sql("CREATE DATABASE $_->[0] ENCODING '$_->[1]' LOCALE 'C' TEMPLATE template0") for [ 'latin', 'LATIN1' ], [ 'ascii', 'SQL_ASCII' ];
$node->sql('CREATE EXTENSION jobs', $_) for 'latin', 'ascii';
($file) = pdf("SELECT 'Müller' AS \"Überschrift\"", dbname => 'latin', title => 'Größe');
like(text($file, '-layout'), qr/^Größe 20.*Überschrift Müller /, 'LATIN1');
is(info($file)->{Title}, 'Größe', '... also in the metadata');
$node->sql(q{CREATE TABLE bytes AS SELECT E'M\xc3\xbcller'::text AS a, E'bad \xfc\xff end'::text AS b}, 'ascii');
($file) = pdf('SELECT * FROM bytes', dbname => 'ascii');
like(text($file, '-layout'), qr/Müller bad \x{FFFD}\x{FFFD} end /, 'bytes of no encoding');

# ----------------------------------------------------------------------------
# Size
# ----------------------------------------------------------------------------

$node->sql(<<'SQL');
CREATE TABLE large AS
    SELECT i AS id, 'Customer ' || i % 977 AS customer, timestamp '2026-01-01' + i * interval '1 min' AS ordered,
           round(i * 37.31 % 10000, 2) AS amount, (ARRAY['paid', 'open', 'shipped'])[1 + i % 3] AS status, i % 7 = 0 AS urgent,
           'Note number ' || i || ' about this order, please handle it with care' AS note
      FROM generate_series(1, 100000) i
SQL
my $from = time;
($file, $job) = pdf('SELECT * FROM large WHERE id <= 48291');
cmp_ok(time - $from, '<', 30, '48,291 rows of 7 columns in less than 30 seconds');
my $worker = ($node->pids('worker', 'postgres'))[0];
SKIP:
{
	skip 'a sanitizer takes memory itself', 1 if slurp_file("/proc/$worker/maps") =~ /libasan/;
	my ($most) = slurp_file("/proc/$worker/status") =~ /^VmHWM:\s+(\d+) kB/m;
	cmp_ok($most, '<', 500 * 1024, 'and in less than 500 MB');
}
cmp_ok(info($file)->{Pages}, '>', 1000, 'on many pages');

# Threads of the libraries come and go, and none may get a signal.
my $mask = 0;
$mask |= 1 << $_ - 1 for 1, 2, 3, 10, 12, 14, 15, 23;    # HUP INT QUIT USR1 USR2 ALRM TERM URG
my @open = grep { my ($blocked) = slurp_file("$_/status") =~ /^SigBlk:\s+(\w+)/m; (hex($blocked) & $mask) != $mask }
  grep { !m{/$worker$} } glob "/proc/$worker/task/*";
is("@open", '', 'no thread takes signals');

# Rows wait on disk, not in memory.
like($node->log_since(0), qr/LOG:  temporary file: path "[^"]+", size \d{7,}/, 'rows go to disk');

# Cancelled while it is drawn.
$job = $node->sql(q{SELECT jobs.export('SELECT * FROM large', 'pdf')});
ok($node->poll("SELECT phase = 'finishing' AND bytes > 100000 FROM jobs.progress WHERE id = $job"), 'while pages are drawn');
$from = time;
is($node->sql("SELECT jobs.cancel($job)"), 't', 'the job is cancelled');
is($node->wait_job($job), 'cancelled', '... at once');
cmp_ok(time - $from, '<', 1, '... which is less than a second');
is($node->sql("SELECT count(*) FROM jobs.artifact WHERE job = $job"), '0', '... without a file');
is(($node->pids('worker', 'postgres'))[0], $worker, '... and the worker goes on');
($file) = pdf('SELECT * FROM large WHERE id < 100');
is(info($file)->{Pages} > 1, 1, '... with other files');

# ----------------------------------------------------------------------------
# Libraries
# ----------------------------------------------------------------------------

sub libraries
{
	my ($pid) = @_;
	my %seen = map { $_ => 1 } slurp_file("/proc/$pid/maps") =~ m{/lib(pango|cairo|glib|fontconfig)[^/]*\.so}g;

	return join ' ', sort keys %seen;
}
$node->stop;
$node->start;
$job = $node->sql(q{SELECT jobs.export('SELECT 1')});
$node->wait_job($job);
is(libraries($node->wait_process('launcher')), '', 'the launcher has none of the libraries');
is(libraries($node->wait_process('scheduler', 'postgres')), '', 'nor has the scheduler');
is(libraries($node->wait_process('worker', 'postgres')), '', 'nor a worker that makes no PDF');
pdf('SELECT 1');
is(libraries($node->wait_process('worker', 'postgres')), 'cairo fontconfig glib pango', 'one that does has');

# A server without fonts, and one whose fontconfig can't write anywhere.
my $log = $node->log_length;
my ($font) = `fc-match -f '%{file}' sans`;
{
	local $ENV{HOME} = '/nonexistent';
	local $ENV{XDG_CACHE_HOME} = '/nonexistent';

	append_to_file("$dir/none.conf", '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig></fontconfig>');
	local $ENV{FONTCONFIG_FILE} = "$dir/none.conf";
	$node->stop;
	$node->start;
	$job = $node->sql(q{SELECT jobs.export('SELECT 1', 'pdf')});
	is($node->wait_job($job), 'failed', 'without fonts');
	is($node->job($job, 'error_code, error_message'), '0A000|there are no fonts for PDF files on this server', '... it says so');
	$job = $node->sql(q{SELECT jobs.export('SELECT 1', 'pdf')});
	is($node->wait_job($job), 'failed', '... also the second time');

	mkdir "$dir/fonts";
	symlink $font, "$dir/fonts/font.ttf";
	append_to_file("$dir/one.conf", qq{<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
		<dir>$dir/fonts</dir><cachedir>/nonexistent</cachedir></fontconfig>});
	$ENV{FONTCONFIG_FILE} = "$dir/one.conf";
	$node->stop;
	$node->start;
	($file) = pdf('SELECT * FROM scripts');
	like(text($file, '-raw'), qr/视/, 'text that no font has is there for programs');
	unlike($node->log_since($log), qr/Fontconfig|Pango|GLib/, 'nothing of it in the log');
}

# Without the module.
SKIP:
{
	skip 'the directory of libraries cannot be written', 2 unless rename $library, "$library.away";
	my $error = $node->error(q{SELECT jobs.export('SELECT 1', 'pdf')});
	rename "$library.away", $library or die "$library: $!";
	like($error, qr/ERROR:  0A000: format "pdf" is not available on this server\n.*HINT:  It needs the module jobs_pdf, which is built where Pango/s,
		'without the module, submitting says so');
	like($node->sql(q{SELECT jobs.export('SELECT 1', 'pdf')}), qr/^\d+$/, 'and with it, it goes');
}

$node->wait_all;
$node->log_ok;
$node->stop;
done_testing();
