# errors.pl
#	  Prints the errors that the sources raise, for docs/errors.md: code, text,
#	  detail and hint of each, in the order of the codes.
#
#	    perl errors.pl errcodes.txt source ...
#
# errcodes.txt is PostgreSQL's, in the directory that pg_config --sharedir names.

use strict;
use warnings;

my ($errcodes, @sources) = @ARGV;
my (%sqlstate, %condition, %errors);

die "usage: errors.pl errcodes.txt source ...\n" unless @sources;

open my $file, '<', $errcodes or die "$errcodes: $!\n";
while (<$file>)
{
	next unless /^([0-9A-Z]{5})\s+[EWS]\s+ERRCODE_(\w+)\s*(\w*)/;
	$sqlstate{"ERRCODE_$2"} //= $1;
	$condition{$1} ||= $3;
}
close $file;

# The text from an opening parenthesis to the one that closes it, without them.
# Strings may have parentheses in them.
sub balanced
{
	my ($text, $start) = @_;
	my $depth = 0;

	pos($text) = $start;
	while ($text =~ /\G(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|([()])|[^()"']+)/gc)
	{
		next unless defined $1;
		$depth += $1 eq '(' ? 1 : -1;
		return substr($text, $start + 1, pos($text) - $start - 2) if $depth == 0;
	}
	die "unbalanced: " . substr($text, $start, 80) . "\n";
}

# The arguments of a call.
sub arguments
{
	my ($text) = @_;
	my @arguments = ('');
	my $depth = 0;

	while ($text =~ /\G("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[()]|,|[^()"',]+)/gc)
	{
		my $token = $1;

		$depth++ if $token eq '(';
		$depth-- if $token eq ')';
		if ($token eq ',' && $depth == 0) { push @arguments, '' }
		else { $arguments[-1] .= $token }
	}
	return @arguments;
}

# Whether a format is nothing but a text that is made elsewhere.
sub is_empty_format
{
	return $_[0] =~ /^(?:%[-\w.]*|\s)+$/;
}

# The texts that a call of errmsg and the like may have.  Where the format is just
# "%s", they are the literals among its arguments.
sub texts
{
	my ($name, $call) = @_;
	my @arguments = arguments($call);
	my @texts = literals($arguments[0]);

	@texts = literals($arguments[1]) if $name =~ /_plural$/;
	@texts = map { literals($_) } @arguments[ 1 .. $#arguments ] if @texts == 1 && is_empty_format($texts[0]);
	return grep { !is_empty_format($_) } @texts;
}

# The string literals of an expression; neighbours are one.
sub literals
{
	my ($expression) = @_;
	my @literals;

	# Formats of integers that are macros.
	$expression =~ s/\b(?:U?INT64_FORMAT|PRI[du]64)\b/"%d"/g;
	while ($expression =~ /((?:"(?:[^"\\]|\\.)*"\s*)+)/g)
	{
		my $literal = join '', $1 =~ /"((?:[^"\\]|\\.)*)"/g;

		$literal =~ s/\\(["\\])/$1/g;
		push @literals, $literal;
	}
	return @literals;
}

# A message as a reader of the page wants it.
sub prose
{
	my ($text) = @_;

	$text =~ s/%%/\0/g;
	$text =~ s/%(?:-?\d*|\.\*|\.\d+)?(?:l|ll|z|h)*[diuxXsScfgm]/…/g;
	$text =~ s/\0/%/g;
	$text =~ s/\\n/ /g;
	$text =~ s/\|/\\|/g;
	return $text;
}

sub read_source
{
	my ($path) = @_;

	local $/;
	open my $source, '<', $path or die "$path: $!\n";
	my $text = <$source>;

	# Comments go, strings stay.
	$text =~ s{("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|/\*.*?\*/}{defined $1 ? $1 : ' '}gse;
	while ($text =~ /\b(ereport|jobs_refuse_option)\s*\(/g)
	{
		my ($macro, $call) = ($1, balanced($text, pos($text) - 1));
		my %parts = (errmsg => [], errdetail => [], errhint => []);

		next if $call =~ /^\s*(?:LOG|DEBUG\d|NOTICE|INFO|WARNING|COMMERROR|elevel)\b|__VA_ARGS__/;
		my @codes = $macro eq 'ereport' ? $call =~ /\b(ERRCODE_\w+)/g : 'ERRCODE_INVALID_PARAMETER_VALUE';
		@codes = ('ERRCODE_INTERNAL_ERROR') unless @codes;
		while ($call =~ /\b(err(?:msg|detail|hint))(_plural)?\s*\(/g)
		{
			my ($part, $plural) = ($1, $2 // '');
			push @{ $parts{$part} }, texts("$part$plural", balanced($call, pos($call) - 1));
		}
		for my $code (@codes)
		{
			my $sqlstate = $sqlstate{$code} or die "$path: unknown $code\n";

			# Internal errors are bugs; there is nothing to look up.
			next if $sqlstate eq 'XX000';
			for my $message (@{ $parts{errmsg} })
			{
				my $hints = join ' · ', map { prose($_) } @{ $parts{errdetail} }, @{ $parts{errhint} };
				$errors{$sqlstate}{ prose($message) }{$hints} = 1;
			}
		}
	}
	return;
}

read_source($_) for @sources;

binmode STDOUT, ':raw';
for my $sqlstate (sort keys %errors)
{
	print "### $sqlstate", $condition{$sqlstate} ? " $condition{$sqlstate}" : '', "\n\n| message | detail and hint |\n|---|---|\n";
	for my $message (sort { lc $a cmp lc $b || $a cmp $b } keys %{ $errors{$sqlstate} })
	{
		for my $hint (sort keys %{ $errors{$sqlstate}{$message} })
		{
			print "| $message | $hint |\n";
		}
	}
	print "\n";
}
