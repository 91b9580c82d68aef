# What packages are made of says the same everywhere: META.json, as PGXN's specification
# 1.0.0 wants it, the control file, the install scripts, debian/, and the changelog.

use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $meta = eval { JSON::PP->new->utf8->decode(slurp_file('META.json')) };

ok($meta, 'META.json is JSON') or BAIL_OUT($@);

# Numbers of semantic versions, and terms: at least two characters without those.
my $version = qr/\A(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[A-Za-z][0-9A-Za-z.-]*)?\z/;
my $term = qr/\A[^\s\/\\[:cntrl:]]{2,}\z/;
my $tag = qr/\A[^\/\\[:cntrl:]]{1,255}\z/;

like($meta->{name}, $term, 'name');
like($meta->{version}, $version, 'version');
ok(length $meta->{abstract} && !ref $meta->{abstract}, 'abstract');
ok(length $meta->{maintainer}, 'maintainer');
is($meta->{license}, 'postgresql', 'license is one that the specification knows');
is($meta->{'meta-spec'}{version}, '1.0.0', 'meta-spec');
like($meta->{'meta-spec'}{url} // '', qr{^https?://pgxn\.org/(?:meta/spec\.txt|spec/)$}, 'its address');
like($meta->{release_status}, qr/\A(?:stable|testing|unstable)\z/, 'release_status');
is(join(' ', grep { !/$tag/ } @{ $meta->{tags} }), '', 'tags');
for my $phase (keys %{ $meta->{prereqs} })
{
	like($phase, qr/\A(?:configure|build|test|runtime|develop)\z/, "prereqs: $phase");
	for my $kind (keys %{ $meta->{prereqs}{$phase} })
	{
		like($kind, qr/\A(?:requires|recommends|suggests|conflicts)\z/, "prereqs: $phase, $kind");
		like($_, $version, "prereqs: $phase, $kind, a version") for values %{ $meta->{prereqs}{$phase}{$kind} };
	}
}
for my $name (keys %{ $meta->{provides} })
{
	my $provided = $meta->{provides}{$name};

	like($name, $term, "provides: $name");
	like($provided->{version}, $version, "provides: its version");
	ok(-e $provided->{file}, "provides: $provided->{file} is there");
	ok(-e $provided->{docfile}, "provides: $provided->{docfile} is there");
	ok(length $provided->{abstract}, 'provides: abstract');
}
is(join(' ', grep { !/\A(?:name|version|abstract|maintainer|license|provides|meta-spec|description|generated_by|tags|no_index|prereqs|release_status|resources|x_\w+)\z/i } keys %$meta),
	'', 'no key that the specification does not have');

# The others.
my ($default) = slurp_file('jobs.control') =~ /^default_version\s*=\s*'([^']+)'/m;
my ($changelog) = slurp_file('CHANGELOG.md') =~ /^## (\d+\.\d+\.\d+)/m;
my ($debian) = slurp_file('debian/changelog') =~ /\Ajobs \(([^)-]+)-/;

like($meta->{version}, qr/^\Q$default\E\./, 'the version of the control file');
ok(-e "sql/jobs--$default.sql", 'the install script of that version');
is($meta->{version}, $changelog, 'the version of CHANGELOG.md');
is($meta->{version}, $debian, 'the version of debian/changelog');

my ($control, $template) = map { slurp_file($_) } 'debian/control', 'debian/control.in';
my @packages = $control =~ /^Package: postgresql-(\d+)-jobs$/mg;

cmp_ok(scalar @packages, '>=', 1, 'debian/control has packages');
(my $expected = $template) =~ s/^(Package: postgresql-PGVERSION.*)\z//ms;
my $stanza = $1;
$expected .= join "\n", map { my $major = $_; $stanza =~ s/PGVERSION/$major/gr } @packages;
is($control =~ s/\n+\z/\n/r, $expected =~ s/\n+\z/\n/r, 'debian/control is that of debian/control.in');

# Who makes it, and how to write to them, for PGXN and for Debian.
my ($maintainer) = $control =~ /^Maintainer: (.*)$/m;

is($meta->{maintainer}, $maintainer, 'the maintainer');
like($maintainer, qr/^[^<>]+ <[^<>@ ]+\@[^<>@ ]+>$/, 'a name and an address');
like(slurp_file('debian/changelog'), qr/^ -- \Q$maintainer\E  /m, 'the same in debian/changelog');

# A courier trusts the system's certificates, which libcurl's package only recommends.
like(slurp_file($_), qr/\bca-certificates\b/, "$_: ca-certificates") for 'debian/control.in', 'Dockerfile';

# The image and the workflow ask for what the Makefile needs.
my $docker = slurp_file('Dockerfile');
my $workflow = slurp_file((glob('.github/workflows/*.yml'))[0]);

for my $package (qw(libcsv-dev zlib1g-dev libxlsxwriter-dev libpango1.0-dev libpq-dev libisal-dev libcurl4-openssl-dev libssl-dev))
{
	like($docker, qr/\b\Q$package\E\b/, "Dockerfile: $package");
	like($workflow, qr/\b\Q$package\E\b/, "the workflow: $package");
	like($control, qr/^ \Q$package\E\b/m, "debian/control: $package");
}
ok(-e (split ' ', $_)[0], "Dockerfile copies what is there: $_") for map { split ' ' } map { s/ \S+$//r } $docker =~ /^COPY (?!--from)(.*)$/mg;

done_testing;
