/*-------------------------------------------------------------------------
 *
 * unit.c
 *	  The courier's parts that need neither a network nor a database: addresses,
 *	  texts, keys.  Prints TAP.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "hangs.h"
#include "message.h"
#include "secret.h"
#include "text.h"

static int	tests;
static int	failures;

static void
ok(bool good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, what);
	failures += !good;
}

/* ---------------------------------------------------------------------------
 * Addresses
 * ---------------------------------------------------------------------------
 */

static const char *
judge(const char *figures, bool inside)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, figures, &v4.sin_addr) == 1)
		return address_refused((struct sockaddr *) &v4, inside);
	if (inet_pton(AF_INET6, figures, &v6.sin6_addr) == 1)
		return address_refused((struct sockaddr *) &v6, inside);
	return "no address";
}

/* Public, inside only, or never: '+', '~' and '-'. */
static void
address(char kind, const char *figures)
{
	char		what[100];
	const char *without = judge(figures, false);
	const char *with = judge(figures, true);

	snprintf(what, sizeof(what), "%s: %s", figures, kind == '+' ? "public" : kind == '~' ? "inside" : "never");
	ok((without == NULL) == (kind == '+') && (with == NULL) == (kind != '-'), what);
}

static void
test_addresses(void)
{
	static const char *const addresses[] = {
		"+1.1.1.1", "+8.8.8.8", "+9.255.255.255", "+11.0.0.0", "+100.63.255.255", "+100.128.0.0", "+126.255.255.255",
		"+128.0.0.0", "+169.253.255.255", "+169.255.0.0", "+172.15.255.255", "+172.32.0.0", "+192.167.255.255",
		"+192.169.0.0", "+198.17.255.255", "+198.20.0.0", "+203.0.112.255", "+203.0.114.0", "+223.255.255.255",
		"+168.63.129.15", "+168.63.129.17",
		"~10.0.0.0", "~10.255.255.255", "~127.0.0.1", "~127.255.255.255", "~172.16.0.0", "~172.31.255.255",
		"~192.168.0.0", "~192.168.255.255",
		"-0.0.0.0", "-0.255.255.255", "-100.64.0.0", "-100.100.100.200", "-100.127.255.255", "-168.63.129.16",
		"-169.254.0.0", "-169.254.169.254", "-169.254.255.255", "-192.0.0.0", "-192.0.0.192", "-192.0.2.1",
		"-192.88.99.1", "-198.18.0.0", "-198.19.255.255", "-198.51.100.1", "-203.0.113.1", "-224.0.0.1",
		"-239.255.255.255", "-240.0.0.0", "-255.255.255.255",
		"+2606:4700:4700::1111", "+2a00:1450:4001::1", "+2001:200::1", "+2003::1", "+3ffe::1", "+3fff:1000::1",
		"+64:ff9b::8.8.8.8",
		"~::1", "~fc00::1", "~fd12:3456::1", "~fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"-::", "-::2", "-::7f00:1", "-::ffff:127.0.0.1", "-::ffff:8.8.8.8", "-::ffff:a9fe:a9fe", "-::ffff:0:127.0.0.1",
		"-64:ff9b::127.0.0.1", "-64:ff9b::169.254.169.254", "-64:ff9b::10.0.0.1", "-64:ff9b:1::8.8.8.8",
		"-100::1", "-2001::1", "-2001:0:7f00:1::", "-2001:1ff:ffff::", "-2001:db8::1", "-2002:7f00:1::", "-2002:a9fe:a9fe::",
		"-3fff::1", "-3fff:fff::1", "-4000::1", "-5f00::1", "-fd00:ec2::254", "-fd20:ce::254", "-fe80::1", "-febf::1",
		"-fec0::1", "-feff::1", "-ff02::1", "-ffff::"
	};
	struct sockaddr unix_address = {.sa_family = AF_UNIX};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		address(addresses[i][0], addresses[i] + 1);
	ok(address_refused(&unix_address, true) != NULL, "a socket in the file system: never");
}

static void
test_mail_addresses(void)
{
	static const char *const good[] = {
		"ada@example.com", "a@b", "ada.king+jobs@mail.example.com", "o'neil@example.org", "a_b-c=d{e}f~g@x-y.z",
		"ada@xn--exmple-cua.de"
	};
	static const char *const bad[] = {
		"", "@", "ada", "ada@", "@example.com", "a@b@c", "ada@example.com\n", "ada@example.com\r\nRCPT TO:<eve@x>",
		"ada\r\n@example.com", "ada@exa\tmple.com", "ada @example.com", " ada@example.com", "ada@example.com ",
		"<ada@example.com>", "ada@example.com>", "Ada <ada@example.com>", "ada@example.com,eve@example.com",
		"ada@example.com;eve@example.com", "\"a b\"@example.com", "ada@[127.0.0.1]", "ada@exam_ple.com", ".ada@example.com",
		"ada.@example.com", "a..b@example.com", "ada@.example.com", "ada@example.com.", "ada@example..com", "ada@ex\x7f.com",
		"ad\xc3\xa4@example.com", "ada@ex\xc3\xa4mple.com", "ada@example.com\x01", "-fada@example.com", "ada@exam(x)ple.com",
		"ada\\@example.com", "ada%eve.example@example.com", "eve.example!ada@example.com", "|sh@example.com", "`sh`@example.com"
	};
	char	   *large = malloc(1000001);
	char		label[400];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(address_mail_ok(good[i]), good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		char		what[100];

		make_printable(what, sizeof(what), bad[i], strlen(bad[i]));
		ok(!address_mail_ok(bad[i]), what[0] != '\0' ? what : "nothing");
	}
	memset(large, 'a', 1000000);
	large[1000000] = '\0';
	ok(!address_mail_ok(large), "a million characters");
	large[64] = '@';
	ok(!address_mail_ok(large), "64 and a million characters");
	large[254] = '\0';
	ok(address_mail_ok(large), "254 characters");
	large[254] = 'a';
	large[255] = '\0';
	ok(!address_mail_ok(large), "255 characters");
	snprintf(label, sizeof(label), "%.65s@example.com", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	ok(!address_mail_ok(label), "65 characters before the @");
	free(large);
}

/* ---------------------------------------------------------------------------
 * Texts and keys
 * ---------------------------------------------------------------------------
 */

static void
is(const char *got, const char *expected, const char *what)
{
	ok(strcmp(got, expected) == 0, what);
	if (strcmp(got, expected) != 0)
		printf("# got: %s\n# expected: %s\n", got, expected);
}

static void
test_texts(void)
{
	char		small[8];
	char		text[100];
	Buffer		buffer = {NULL};

	make_printable(small, sizeof(small), "0123456789", 10);
	is(small, "0123456", "a text is cut");
	make_printable(text, sizeof(text), " \r\na\nb\x1b[2Jc\0d\xc3\xa4 \r\n", 18);
	is(text, "a b?[2Jc?d??", "control characters");
	make_printable(text, sizeof(text), "", 0);
	is(text, "", "no text");
	for (int i = 0; i <= 3; i++)
	{
		buffer_base64(&buffer, "\xff\x00\x41", i);
		buffer_puts(&buffer, ",");
	}
	is(buffer.data, ",/w==,/wA=,/wBB,", "base64");
	buffer_free(&buffer);
	ok(message_id_ok("3f2504e0-4f89-41d3-9a0c-0305e82c3301"), "a UUID is a message id");
	ok(!message_id_ok(""), "an empty one is not");
	ok(!message_id_ok("a.b"), "nor one with a dot");
	ok(!message_id_ok("a>\r\nBcc: x"), "nor one with an end of line");
}

static void
test_secrets(void)
{
	Secret		secret = {NULL};
	Secret		own = {NULL};
	Buffer		out = {NULL};

	/* The example of the specification's libraries. */
	ok(secret_decode(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "a key of 24 bytes");
	ok(secret.len == 24, "its length");
	ok(secret_sign(&out, &secret, "example.com", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}"), "signs");
	is(out.data, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "the signature of a known message");
	buffer_free(&out);
	ok(secret_decode(&own, "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="), "a key of 32 bytes");
	ok(own.len == 32, "its length");
	own.host = (char *) "example.com";
	ok(!secret_sign(&out, &own, "example.org", "a", "1", "{}"), "no key for a host");
	own.next = &secret;
	ok(secret_sign(&out, &own, "EXAMPLE.com", "a", "1", "{}") && strchr(out.data, ' ') == NULL, "a host's own key");
	buffer_free(&out);
	own.host = NULL;
	ok(secret_sign(&out, &own, "example.com", "a", "1", "{}") && strchr(out.data, ' ') != NULL, "two keys for all");
	buffer_free(&out);
	ok(!secret_decode(&secret, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "no prefix");
	ok(!secret_decode(&secret, "whsec_"), "no key");
	ok(!secret_decode(&secret, "whsec_AAAA"), "a short key");
	ok(!secret_decode(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"), "broken base64");
	ok(!secret_decode(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!!"), "no base64");
	ok(!secret_decode(&secret, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
	   "a long key");
}

/* ---------------------------------------------------------------------------
 * Hosts that hang or fail
 * ---------------------------------------------------------------------------
 */

/* For how long a host is left alone. */
static int64_t
left_alone(const char *host, int64_t now)
{
	int64_t		wait;

	return hangs_refused(host, 4, now, &wait) == NULL ? 0 : wait;
}

/* Whether it is asked. */
static bool
asked(const char *host, int places, int64_t now)
{
	int64_t		wait;

	return hangs_refused(host, places, now, &wait) == NULL;
}

static void
note(const char *host, Answer answer, int n, int64_t now)
{
	while (n-- > 0)
		hangs_note(host, answer, now);
}

static void
test_hangs(void)
{
	char		name[20];

	note("a.example", ANSWER_NONE, 1, 1000);
	note("A.Example", ANSWER_NONE, 1, 1000);
	ok(asked("a.example", 4, 1000), "a host that has hung twice is asked");
	note("a.example", ANSWER_NONE, 1, 1000);
	ok(left_alone("A.EXAMPLE", 1000) == 60000, "after the third time it is left alone");
	ok(left_alone("a.example", 60999) == 1, "for a minute");
	ok(asked("b.example", 4, 1000), "others are asked");
	ok(asked("a.example", 4, 61000), "then one asks");
	ok(left_alone("a.example", 61000) > 10000, "and one only");
	note("a.example", ANSWER_NONE, 1, 71000);
	ok(left_alone("a.example", 71000) == 60000, "without an answer it is left alone again");
	ok(asked("a.example", 4, 131000), "asked again");
	note("a.example", ANSWER_GOOD, 1, 131500);
	ok(asked("a.example", 4, 131500) && asked("a.example", 4, 131500), "it answers, and all may ask");
	note("a.example", ANSWER_NONE, 2, 132000);
	note("a.example", ANSWER_GOOD, 1, 132000);
	note("a.example", ANSWER_NONE, 1, 132000);
	ok(asked("a.example", 4, 132000), "three that are not in a row");
	for (int i = 0; i < 900; i++)
	{
		snprintf(name, sizeof(name), "%d.example", i / 3);
		note(name, ANSWER_NONE, 1, 200000 + i);
	}
	ok(asked("0.example", 4, 200900), "of many, the first are forgotten");
	ok(left_alone("299.example", 200900) > 0 && left_alone("60.example", 200900) > 0, "and the last are not");
}

static void
test_failing_hosts(void)
{
	char		name[20];
	bool		good = true;

	for (int i = 0; i < 4; i++)
		good = good && asked("c.example", 4, 1000);
	ok(good, "a host that is not known may have all places");
	note("c.example", ANSWER_BAD, 2, 1000);
	ok(asked("c.example", 4, 1000) && asked("c.example", 4, 1000), "so may one that has failed twice");
	note("c.example", ANSWER_BAD, 2, 1000);
	ok(!asked("c.example", 4, 1000) && !asked("C.Example", 4, 1000), "after the third time, no more than half");
	ok(asked("d.example", 4, 1000), "others are asked");
	ok(asked("c.example", 6, 1000), "of six, three");
	note("c.example", ANSWER_NONE, 1, 2000);
	note("c.example", ANSWER_BAD, 1, 2000);
	ok(asked("c.example", 4, 2000) && !asked("c.example", 4, 2000), "the place of one that has ended is the next one's");
	note("c.example", ANSWER_GOOD, 1, 3000);
	ok(asked("c.example", 4, 3000) && asked("c.example", 4, 3000), "one good answer, and it may have all again");
	note("e.example", ANSWER_BAD, 3, 3000);
	ok(asked("e.example", 1, 3000) && !asked("e.example", 1, 3000), "where there is one place, it may have that");
	for (int i = 0; i < 900; i++)
	{
		snprintf(name, sizeof(name), "%d.example", i);
		note(name, ANSWER_BAD, 1, 4000 + i);
	}
	ok(!asked("e.example", 1, 5000), "one that is being asked is not forgotten for others");
}

/* ---------------------------------------------------------------------------
 * Mails: any strings stay in their fields
 * ---------------------------------------------------------------------------
 */

static void
test_message(const char *subject, const char *body, const char *html)
{
	Mail		mail = {
		.from = "jobs@example.com", .from_name = subject, .to = "ada@example.com", .subject = subject,
		.id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301", .written = 0, .body = body, .html = html
	};
	Buffer		out = {NULL};
	size_t		column = 0;
	bool		good = true;
	bool		folded = true;

	message_build(&out, &mail);
	good = strlen(out.data) == out.len;
	for (size_t i = 0; i < out.len; i++)
	{
		unsigned char c = out.data[i];

		if (c == '\r' || c == '\n')
			good = good && (c == '\r' ? out.data[i + 1] == '\n' : i > 0 && out.data[i - 1] == '\r');
		else
			good = good && c < 0x7f && (c >= ' ' || c == '\t');
		column = c == '\n' ? 0 : column + 1;
		folded = folded && column <= 78;
	}
	ok(good, "ASCII, and CRLF only in pairs");
	ok(folded, "no long line");
	*strstr(out.data, "\r\n\r\n") = '\0';
	ok(strstr(out.data, "\nBcc:") == NULL, "no field more");
	buffer_free(&out);
}

static void
test_messages(void)
{
	char		noise[3000];
	unsigned int seed = 42;

	test_message("plain", "text\n", "<p>");
	test_message("", "", NULL);
	test_message("a\r\nBcc: eve@example.com", "a\r\n.\r\nBcc: x", "\r\n--=_id--\r\nBcc: x");
	test_message("\xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98\x80",
				 "\n\n\n", " \n \t\n");
	for (int round = 0; round < 50; round++)
	{
		size_t		len = round * 50;

		for (size_t i = 0; i < len; i++)
		{
			seed = seed * 1103515245 + 12345;
			noise[i] = 1 + (seed >> 16) % 255;
		}
		noise[len] = '\0';
		test_message(noise, noise, round % 2 ? noise : NULL);
	}
}

int
main(void)
{
	test_addresses();
	test_mail_addresses();
	test_texts();
	test_secrets();
	test_hangs();
	test_failing_hosts();
	test_messages();
	printf("1..%d\n", tests);
	return failures > 0;
}
