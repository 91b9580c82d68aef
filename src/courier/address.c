/*-------------------------------------------------------------------------
 *
 * address.c
 *	  Where a courier may connect to, and whom it may write to.
 *
 * The ranges are those of IANA's registries of special-purpose addresses, and
 * the addresses at which clouds serve their machines.  IPv6 is the other way
 * round: global unicast (2000::/3) less its special purposes, and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct Range4
{
	uint32_t	prefix;
	int			bits;
	bool		inside;			/* can be allowed */
	const char *what;
} Range4;

typedef struct Range6
{
	unsigned char prefix[16];
	int			bits;
	bool		inside;
	const char *what;
} Range6;

/* The first that matches counts. */
static const Range4 ranges4[] = {
	{0x00000000, 8, false, "an address of this network"},
	{0x0a000000, 8, true, "a private address"},
	{0x64400000, 10, false, "an address of a carrier's network"},
	{0x7f000000, 8, true, "a loopback address"},
	{0xa83f8110, 32, false, "an address of a cloud's own services"},	/* 168.63.129.16 */
	{0xa9fe0000, 16, false, "a link-local address"},
	{0xac100000, 12, true, "a private address"},
	{0xc0000000, 24, false, "a special-purpose address"},
	{0xc0000200, 24, false, "an address for documentation"},
	{0xc0586300, 24, false, "a special-purpose address"},
	{0xc0a80000, 16, true, "a private address"},
	{0xc6120000, 15, false, "an address for benchmarks"},
	{0xc6336400, 24, false, "an address for documentation"},
	{0xcb007100, 24, false, "an address for documentation"},
	{0xe0000000, 4, false, "a multicast address"},
	{0xf0000000, 4, false, "a reserved address"},
};

static const Range6 ranges6[] = {
	{{0}, 128, false, "the unspecified address"},
	{{[15] = 1}, 128, true, "a loopback address"},
	{{[10] = 0xff, 0xff}, 96, false, "an IPv4 address written as IPv6"},
	/* fd00:ec2::254 and fd20:ce::254 */
	{{0xfd, 0, 0x0e, 0xc2, [14] = 0x02, 0x54}, 128, false, "an address of a cloud's own services"},
	{{0xfd, 0x20, 0, 0xce, [14] = 0x02, 0x54}, 128, false, "an address of a cloud's own services"},
	{{0xfc}, 7, true, "a private address"},
	{{0xfe, 0x80}, 10, false, "a link-local address"},
	{{0xfe, 0xc0}, 10, false, "a site-local address"},
	{{0xff}, 8, false, "a multicast address"},
	{{0x20, 0x01}, 23, false, "a special-purpose address"},
	{{0x20, 0x01, 0x0d, 0xb8}, 32, false, "an address for documentation"},
	{{0x20, 0x02}, 16, false, "an IPv4 address written as IPv6"},
	{{0x3f, 0xff}, 20, false, "an address for documentation"},
	{{0x20}, 3, false, NULL},
	{{0}, 0, false, "not an address of the public Internet"},
};

/* 64:ff9b::/96, behind which gateways reach IPv4 (RFC 6052). */
static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};

static const char *refused4(uint32_t address, bool inside);
static const char *refused6(const unsigned char *address, bool inside);
static bool same_bits(const unsigned char *a, const unsigned char *b, int bits);

const char *
address_refused(const struct sockaddr *address, bool inside)
{
	if (address->sa_family == AF_INET)
		return refused4(ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr), inside);
	if (address->sa_family == AF_INET6)
		return refused6(((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr, inside);
	return "not an address of the Internet";
}

static const char *
refused4(uint32_t address, bool inside)
{
	for (size_t i = 0; i < sizeof(ranges4) / sizeof(ranges4[0]); i++)
	{
		const Range4 *range = &ranges4[i];

		if ((address ^ range->prefix) >> (32 - range->bits) == 0)
			return inside && range->inside ? NULL : range->what;
	}
	return NULL;
}

static const char *
refused6(const unsigned char *address, bool inside)
{
	size_t		i = 0;

	/* It must be public behind the gateway too. */
	if (memcmp(address, nat64, sizeof(nat64)) == 0)
		return refused4((uint32_t) address[12] << 24 | (uint32_t) address[13] << 16 |
						(uint32_t) address[14] << 8 | address[15], false);
	while (!same_bits(address, ranges6[i].prefix, ranges6[i].bits))
		i++;
	return inside && ranges6[i].inside ? NULL : ranges6[i].what;
}

static bool
same_bits(const unsigned char *a, const unsigned char *b, int bits)
{
	int			bytes = bits / 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return bits % 8 == 0 || (a[bytes] ^ b[bytes]) >> (8 - bits % 8) == 0;
}

void
address_print(const struct sockaddr *address, char *out, size_t size)
{
	const void *bits = NULL;

	if (address->sa_family == AF_INET)
		bits = &((const struct sockaddr_in *) address)->sin_addr;
	else if (address->sa_family == AF_INET6)
		bits = &((const struct sockaddr_in6 *) address)->sin6_addr;
	if (bits == NULL || inet_ntop(address->sa_family, bits, out, size) == NULL)
		snprintf(out, size, "?");
}

bool
address_mail_ok(const char *address)
{
	/*
	 * An atom's characters (RFC 5322) and the dot, less those that some servers take
	 * for a way on to another, or hand to a shell.
	 */
	static const char local_chars[] = "#$&'*+-/=?^_{}~.";
	size_t		len = strnlen(address, MAX_MAIL_ADDRESS + 1);
	const char *at = memchr(address, '@', len);
	size_t		local;

	if (len > MAX_MAIL_ADDRESS || at == NULL)
		return false;
	local = at - address;
	if (local == 0 || local > 64 || local + 1 == len || address[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = address[i];

		if (i == local)
			continue;
		if (c >= 0x80 || (!isalnum(c) && (i > local ? c != '-' && c != '.' : strchr(local_chars, c) == NULL)))
			return false;
		/* No dot at an end of either part, and no two in a row. */
		if (c == '.' && (i == 0 || address[i - 1] == '.' || i - 1 == local || i + 1 == local || i + 1 == len))
			return false;
	}
	return true;
}
