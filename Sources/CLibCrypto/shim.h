#pragma once
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

/* Public keys and what they verify. Whoever gets a key frees it with EVP_PKEY_free; NULL: the bytes are no
 * such key. OpenSSL's queue of errors, which others on this thread look at, is left empty. */

/* Whether the last block that was looked for in a PEM file was not there, rather than malformed. */
static inline bool ms_pem_has_ended(void) {
  unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* What a key can verify; 0 for keys of other types and curves, and for RSA keys under 2048 bits, which
 * RFC 7518, 3.3 forbids. */
enum { MS_KEY_OTHER = 0, MS_KEY_RSA = 1, MS_KEY_P256 = 2, MS_KEY_ED25519 = 3 };

static inline int ms_key_kind(EVP_PKEY *key) {
  char curve[32] = "";
  size_t length = 0;
  switch (EVP_PKEY_get_base_id(key)) {
  case EVP_PKEY_RSA:
    return EVP_PKEY_get_bits(key) >= 2048 ? MS_KEY_RSA : MS_KEY_OTHER;
  case EVP_PKEY_EC:
    EVP_PKEY_get_group_name(key, curve, sizeof curve, &length);
    return strcmp(curve, "prime256v1") == 0 ? MS_KEY_P256 : MS_KEY_OTHER;
  case EVP_PKEY_ED25519:
    return MS_KEY_ED25519;
  default:
    return MS_KEY_OTHER;
  }
}

static inline EVP_PKEY *ms_key_from_parts(const char *type, OSSL_PARAM_BLD *parts) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(parts);
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (parameters && context && EVP_PKEY_fromdata_init(context) == 1 &&
      EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
    key = NULL;
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(parameters);
  ERR_clear_error();
  return key;
}

/* From big-endian numbers. */
static inline EVP_PKEY *ms_rsa_key(const unsigned char *modulus, size_t modulus_size,
                                   const unsigned char *exponent, size_t exponent_size) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
  BIGNUM *n = BN_bin2bn(modulus, (int)modulus_size, NULL);
  BIGNUM *e = BN_bin2bn(exponent, (int)exponent_size, NULL);
  if (parts && n && e && OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
      OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, e) == 1)
    key = ms_key_from_parts("RSA", parts);
  OSSL_PARAM_BLD_free(parts);
  BN_free(n);
  BN_free(e);
  return key;
}

/* From an uncompressed point: 4, then both coordinates in 32 bytes each. */
static inline EVP_PKEY *ms_p256_key(const unsigned char *point, size_t size) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
  if (parts &&
      OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point, size) == 1)
    key = ms_key_from_parts("EC", parts);
  OSSL_PARAM_BLD_free(parts);
  ERR_clear_error();
  return key;
}

static inline EVP_PKEY *ms_ed25519_key(const unsigned char *bytes, size_t size) {
  EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, size);
  ERR_clear_error();
  return key;
}

/* From DER, as PEM blocks of the types PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE hold it. */
static inline EVP_PKEY *ms_key_from_der(const char *type, const unsigned char *der, long size) {
  EVP_PKEY *key = NULL;
  if (strcmp(type, PEM_STRING_PUBLIC) == 0) {
    key = d2i_PUBKEY(NULL, &der, size);
  } else if (strcmp(type, PEM_STRING_RSA_PUBLIC) == 0) {
    key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &der, size);
  } else if (strcmp(type, PEM_STRING_X509) == 0) {
    X509 *certificate = d2i_X509(NULL, &der, size);
    if (certificate) key = X509_get_pubkey(certificate);
    X509_free(certificate);
  }
  ERR_clear_error();
  return key;
}

/* Whether the signature is the key's. `digest` is NULL where the algorithm has its own. */
static inline int ms_verify(EVP_PKEY *key, const EVP_MD *digest, const unsigned char *signature,
                            size_t signature_size, const unsigned char *data, size_t size) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int verifies = context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
                 EVP_DigestVerify(context, signature, signature_size, data, size) == 1;
  EVP_MD_CTX_free(context);
  ERR_clear_error();
  return verifies;
}

/* The same for ECDSA as JSON Web Signatures write it: both numbers in 32 bytes each, without DER. */
static inline int ms_verify_p256(EVP_PKEY *key, const unsigned char *signature,
                                 const unsigned char *data, size_t size) {
  unsigned char *der = NULL;
  int der_size = -1;
  ECDSA_SIG *pair = ECDSA_SIG_new();
  BIGNUM *r = BN_bin2bn(signature, 32, NULL);
  BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
  if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
    der_size = i2d_ECDSA_SIG(pair, &der);
  } else {
    BN_free(r);
    BN_free(s);
  }
  int verifies =
      der_size > 0 && ms_verify(key, EVP_sha256(), der, (size_t)der_size, data, size);
  OPENSSL_free(der);
  ECDSA_SIG_free(pair);
  return verifies;
}

static inline void ms_openssl_free(void *memory) { OPENSSL_free(memory); }
