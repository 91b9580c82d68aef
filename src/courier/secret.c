/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Keys of webhooks, and signatures by them (Standard Webhooks).
 *
 *-------------------------------------------------------------------------
 */
#include "secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX "whsec_"

static bool sign(Buffer *out, const Secret *secret, const Buffer *content);

bool
secret_decode(Secret *secret, const char *text)
{
	unsigned char bytes[MAX_SECRET + 3];
	size_t		len;
	size_t		padding = 0;
	int			decoded;

	if (strncmp(text, PREFIX, strlen(PREFIX)) != 0)
		return false;
	text += strlen(PREFIX);
	len = strlen(text);
	if (len == 0 || len % 4 != 0 || len / 4 * 3 > sizeof(bytes))
		return false;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	decoded = EVP_DecodeBlock(bytes, (const unsigned char *) text, len);
	if (decoded != (int) (len / 4 * 3))
		return false;
	/* What stands for the padding counts as bytes there. */
	decoded -= padding;
	if (decoded < MIN_SECRET || decoded > MAX_SECRET)
		return false;
	memcpy(secret->key, bytes, decoded);
	secret->len = decoded;
	return true;
}

bool
secret_sign(Buffer *out, const Secret *secrets, const char *host,
			const char *id, const char *timestamp, const char *payload)
{
	Buffer		content = {NULL};
	bool		own = false;
	bool		signed_one = false;

	for (const Secret *secret = secrets; secret != NULL; secret = secret->next)
	{
		if (secret->host != NULL && strcasecmp(secret->host, host) == 0)
			own = true;
	}
	buffer_printf(&content, "%s.%s.", id, timestamp);
	buffer_puts(&content, payload);
	for (const Secret *secret = secrets; secret != NULL; secret = secret->next)
	{
		if (own ? secret->host == NULL || strcasecmp(secret->host, host) != 0 : secret->host != NULL)
			continue;
		if (signed_one)
			buffer_puts(out, " ");
		if (!sign(out, secret, &content))
		{
			signed_one = false;
			break;
		}
		signed_one = true;
	}
	buffer_free(&content);
	return signed_one;
}

static bool
sign(Buffer *out, const Secret *secret, const Buffer *content)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int len = sizeof(mac);

	if (HMAC(EVP_sha256(), secret->key, secret->len,
			 (const unsigned char *) content->data, content->len, mac, &len) == NULL)
		return false;
	buffer_puts(out, "v1,");
	buffer_base64(out, mac, len);
	return true;
}
